"""Runs that look like loops and are none: who stops one of these does more harm than a loop. Each for any seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from failures.scripts import Case, Step, moment, spelt, stamping


def pages_by_cursor(rng: random.Random) -> Iterator[Step]:
    """RooCodeInc/Roo-Code#9502: fifty pages with new data, each called a loop."""
    cursor = None
    for number in range(50):
        items = [{"id": 20 * number + n, "name": f"{rng.getrandbits(40):x}"} for n in range(3)]
        after = f"{rng.getrandbits(48):x}"
        arguments = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        yield Step("list_users", spelt(rng, arguments), json.dumps({"items": items, "next": after}))
        cursor = after


def pages_by_offset(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        lines = "\n".join(f"{rng.getrandbits(60):x}" for _ in range(5))
        yield Step("read_file", {"path": "/var/log/big.log", "offset": number * 5, "limit": 5}, lines)


def pages_without_arguments(rng: random.Random) -> Iterator[Step]:
    words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu")
    for _ in range(30):
        yield Step("read_output", {}, " ".join(rng.choices(words, k=9)) + f" {rng.getrandbits(30):x}")


def waiting_for_a_job(rng: random.Random) -> Iterator[Step]:
    for _ in range(rng.randint(5, 8)):
        yield Step("get_job", {"job_id": "j-9"}, json.dumps({"status": rng.choice(["pending", "pending", "running"])}))
    yield Step("get_job", {"job_id": "j-9"}, json.dumps({"status": "succeeded", "url": "https://example.com/r"}))


def waiting_without_a_change(rng: random.Random) -> Iterator[Step]:
    for _ in range(8):
        yield Step("check_build", {"build": 81}, "Build is still in progress, check back later.")
    yield Step("check_build", {"build": 81}, "Build finished: success")


def waiting_with_times(rng: random.Random) -> Iterator[Step]:
    for _ in range(8):
        text = json.dumps({"state": "queued", "checked_at": moment(rng)})
        yield Step("deployment_status", {"deployment_id": 3}, text, pause_s=2.0)
    yield Step("deployment_status", {"deployment_id": 3}, json.dumps({"state": "live", "checked_at": moment(rng)}))


def watching_progress(rng: random.Random) -> Iterator[Step]:
    share = 0
    while share < 100:
        yield Step("get_progress", {"task_id": "t-4"}, f"Progress: {share}%")
        share += rng.randint(4, 11)
    yield Step("get_progress", {"task_id": "t-4"}, "Finished: 214 files converted")


def several_jobs_in_turn(rng: random.Random) -> Iterator[Step]:
    for _ in range(6):
        for job in ("a", "b", "c"):
            yield Step("get_job", {"job_id": job}, json.dumps({"status": "running"}))
    for job in ("a", "b", "c"):
        yield Step("get_job", {"job_id": job}, json.dumps({"status": "done", "rows": rng.randint(1, 900)}))


def health_by_the_clock(rng: random.Random) -> Iterator[Step]:
    for _ in range(20):
        yield Step("health", {}, "healthy", pause_s=5.5)


def a_growing_log(rng: random.Random) -> Iterator[Step]:
    log = ""
    for _ in range(20):
        log += f"{moment(rng)} worker {rng.getrandbits(20):x} handled {rng.choice(['mail', 'file', 'page', 'row'])}\n"
        yield Step("tail_log", {"path": "/var/log/app.log", "lines": 200}, log)


def forty_files_ok(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        yield Step("process_file", {"path": f"in/{number}-{rng.getrandbits(20)}.csv"}, "ok")


def forty_files_ok_at_length(rng: random.Random) -> Iterator[Step]:
    text = json.dumps({"status": "success", "message": "The file was converted.", "warnings": [], "errors": []})
    for number in range(40):
        yield Step("convert", {"file": f"in/{number}.docx", "to": "pdf"}, text)


def forty_files_clean(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        yield Step("lint_file", {"path": f"src/m{number}.py"}, "No issues found")


def deletions_that_say_nothing(rng: random.Random) -> Iterator[Step]:
    for number in range(30):
        yield Step("delete_file", {"path": f"tmp/{rng.getrandbits(30):x}-{number}"}, None)


def messages_to_many(rng: random.Random) -> Iterator[Step]:
    for number in range(25):
        yield Step("send_message", {"to": f"user-{number}", "text": "The office is closed on Monday."}, "sent")


def bulk_creation(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        arguments = {"owner": "o", "repo": "r", "title": f"Task {number}", "body": f"{rng.getrandbits(60):x}"}
        yield Step("create_issue", spelt(rng, arguments), f"Created issue #{number + 100}")


_FAILING = (
    "===== 1 failed, 11 passed =====\nFAILED tests/test_login.py::test_expired - AssertionError: assert 401 == 200"
)


def edit_and_test(rng: random.Random) -> Iterator[Step]:
    """The same failure several times, with another try before each."""
    for number in range(8):
        edit = {"path": "src/login.py", "old_string": f"a{number}", "new_string": f"{rng.getrandbits(40):x}"}
        yield Step("edit_file", edit, "The file was edited.")
        yield Step("run_tests", {}, _FAILING)
    yield Step("run_tests", {"all": True}, "12 passed")


def edit_and_failing_test(rng: random.Random) -> Iterator[Step]:
    """The test tool flags a failing test as an error."""
    for number in range(4):
        edit = {"path": "src/login.py", "old_string": f"a{number}", "new_string": f"{rng.getrandbits(40):x}"}
        yield Step("edit_file", edit, "The file was edited.")
        yield Step("run_tests", {"path": "tests/test_login.py"}, _FAILING, is_error=True)
    yield Step("run_tests", {"path": "tests/test_login.py"}, "12 passed")


def edit_and_test_in_a_shell(rng: random.Random) -> Iterator[Step]:
    for number in range(7):
        yield Step("bash", {"command": f"sed -i 's/{number}/{rng.getrandbits(16)}/' src/login.py"}, "(no output)")
        yield Step("bash", {"command": "pytest -q tests/test_login.py"}, _FAILING)
    yield Step("bash", {"command": "pytest -q"}, "12 passed")


def edit_by_an_unknown_tool(rng: random.Random) -> Iterator[Step]:
    for number in range(7):
        block = {
            "command": "str_replace",
            "path": "/repo/src/x.ts",
            "old_str": f"{number}",
            "new_str": f"{rng.random()}",
        }
        yield Step("text_editor", block, "Done.")
        yield Step("npm", {"script": "build"}, "src/x.ts(4,1): error TS2304: Cannot find name 'foo'.")


def edit_and_look(rng: random.Random) -> Iterator[Step]:
    for number in range(8):
        yield Step("edit_file", {"path": "a/b.py", "edits": [{"line": number, "text": f"{rng.random()}"}]}, "ok")
        yield Step("git_status", {}, "On branch main\n modified: a/b.py")


def read_after_each_edit(rng: random.Random) -> Iterator[Step]:
    body = ["x"] * 6
    for number in range(6):
        yield Step("read_file", {"path": "src/view.py"}, "\n".join(body))
        body[number] = f"{rng.getrandbits(50):x}"
        yield Step("edit_file", {"path": "./src/view.py", "line": number, "text": body[number]}, "ok")


def list_before_each_write(rng: random.Random) -> Iterator[Step]:
    """A listing that says the same because what is written is no new file."""
    for number in range(8):
        yield Step("list_directory", {"path": "/srv/site"}, "index.html\nstyle.css\nimg")
        name = rng.choice(["index.html", "style.css"])
        yield Step("write_file", {"path": f"/srv/site/{name}", "content": f"{rng.getrandbits(60):x} {number}"}, "ok")


def two_files_side_by_side(rng: random.Random) -> Iterator[Step]:
    for number in range(5):
        yield Step("read_file", {"path": "src/old.py"}, "def f(): return 1")
        yield Step("read_file", {"path": "src/new.py"}, f"def f(): return {rng.getrandbits(40):x}")
        target = ("src/new.py", "src/old.py")[number % 2]
        yield Step("edit_file", {"path": target, "old_string": "1", "new_string": f"{rng.getrandbits(30):x}"}, "ok")


def a_debugger(rng: random.Random) -> Iterator[Step]:
    """google-gemini/gemini-cli#9276: stepping was killed as a loop."""
    for number in range(30):
        code = rng.choice(["x = f(y)", "for row in rows:", "total += row.sum", "if total > top:", "return total"])
        yield Step("next", {}, f"main.py:{10 + number}\n> {code}\nlocals: total={rng.getrandbits(16)}")


def a_debugger_in_a_loop(rng: random.Random) -> Iterator[Step]:
    lines = ["for row in rows:", "    cell = row[0]", "    total += cell", "    seen.add(cell)"]
    for number in range(24):
        yield Step("step_over", {"thread_id": 1}, f"main.py:{20 + number % 4}\n> {lines[number % 4]}\ntotal={number}")


def a_debugger_that_tells_little(rng: random.Random) -> Iterator[Step]:
    for number in range(20):
        yield Step("next", {}, f"stopped at line {10 + number}")


def pages_in_a_browser(rng: random.Random) -> Iterator[Step]:
    words = ("apple", "pear", "plum", "fig", "lime", "date", "kiwi", "nut", "leek", "kale")
    for number in range(12):
        yield Step("click", {"selector": "text=Next"}, "Clicked")
        yield Step(
            "snapshot", {}, f"Page {number + 2}: " + " ".join(rng.sample(words, 6)) + f" {rng.getrandbits(30):x}"
        )


def a_page_that_scrolls(rng: random.Random) -> Iterator[Step]:
    words = ("apple", "pear", "plum", "fig", "lime", "date", "kiwi", "nut", "leek", "kale")
    for _ in range(20):
        yield Step("scroll", {"direction": "down"}, " ".join(rng.choices(words, k=8)) + f" {rng.getrandbits(30):x}")


def once_more_after_an_error(rng: random.Random) -> Iterator[Step]:
    for number in range(8):
        arguments = {"url": f"https://example.com/{number}-{rng.getrandbits(20)}"}
        if number % 3 == 1:
            yield Step("fetch", arguments, "Error: connection reset by peer", is_error=True, pause_s=1.0)
        yield Step("fetch", arguments, f"Article {number}: {rng.getrandbits(80):x}", pause_s=1.0)


def a_search_that_finds_in_the_end(rng: random.Random) -> Iterator[Step]:
    for _ in range(6):
        yield Step("grep", {"pattern": f"{rng.getrandbits(30):x}", "path": "src"}, "No matches found")
    yield Step("grep", {"pattern": "login", "path": "src"}, "src/login.py:1: import x")
    for _ in range(6):
        yield Step("grep", {"pattern": f"{rng.getrandbits(30):x}", "path": "lib"}, "No matches found")
    yield Step("grep", {"pattern": "auth", "path": "lib"}, "lib/auth.py:4: def auth")


def finding_out_by_mistakes(rng: random.Random) -> Iterator[Step]:
    """NousResearch/hermes-agent#56065: a breaker that tripped on ordinary exploring."""
    yield Step("query", {"sql": "select nme from users"}, 'ERROR: column "nme" does not exist', is_error=True)
    yield Step("query", {"sql": "select name from users"}, "Ada\nBob")
    yield Step(
        "query", {"sql": "select name from user_orders"}, 'ERROR: relation "user_orders" does not exist', is_error=True
    )
    yield Step("query", {"sql": "select * from orders limit 3"}, f"1 {rng.getrandbits(20)}\n2 {rng.getrandbits(20)}")


def long_research(rng: random.Random) -> Iterator[Step]:
    for number in range(55):
        tool = rng.choice(["search", "fetch", "read_file", "list_directory"])
        yield Step(tool, {"query": f"{rng.getrandbits(40):x}", "path": f"/x/{number}"}, f"{rng.getrandbits(160):x}")


def work_with_a_list(rng: random.Random) -> Iterator[Step]:
    for number in range(10):
        todos = [{"id": str(n), "content": f"part {n}", "status": "done" if n < number else "open"} for n in range(10)]
        yield Step("todo_write", {"todos": todos}, "Todos updated.")
        yield Step("write_file", {"path": f"out/part-{number}.md", "content": f"{rng.getrandbits(80):x}"}, "ok")


def many_looks_at_what_grows(rng: random.Random) -> Iterator[Step]:
    made: list[str] = []
    for number in range(12):
        yield Step("list_issues", {"repo": "r", "state": "open"}, json.dumps(made[-3:]))
        made.append(f"{number}: {rng.getrandbits(40):x}")
        yield Step("create_issue", {"repo": "r", "title": made[-1]}, "created")


def the_same_thing_twice(rng: random.Random) -> Iterator[Step]:
    """Two intended identical calls, now and then."""
    for number in range(10):
        path = f"src/{number}-{rng.getrandbits(16)}.py"
        yield Step("read_file", {"path": path}, f"# {number}\n")
        yield Step("read_file", {"path": path}, f"# {number}\n")


def a_service_started_anew(rng: random.Random) -> Iterator[Step]:
    stamped = stamping(rng)
    for number in range(4):
        yield Step("set_config", {"service": "web", "key": f"workers-{number}", "value": rng.randint(1, 99)}, "ok")
        yield Step("restart_service", {"service": "web"}, "restarted")
        yield Step("get_service", {"service": "web"}, stamped("unhealthy: port closed"))
    yield Step("get_service", {"service": "web"}, "healthy")


def dice(rng: random.Random) -> Iterator[Step]:
    words = ("heads", "tails", "edge")
    for _ in range(6):
        yield Step("draw_card", {}, f"{rng.choice(words)} {rng.getrandbits(50):x}")


def patch_and_test(rng: random.Random) -> Iterator[Step]:
    """The patch names its file inside, the tests name another one."""
    for number in range(6):
        patch = f"--- a/src/app.py\n+++ b/src/app.py\n@@ -{number} +{number} @@\n-x\n+{rng.getrandbits(40):x}\n"
        yield Step("apply_patch", {"patch": patch}, "Patch applied.")
        yield Step("execute_command", {"command": "npm test -- login"}, "1 failing: login expires")


def rows_changed_and_read(rng: random.Random) -> Iterator[Step]:
    for number in range(6):
        sql = f"UPDATE users SET name = '{rng.getrandbits(30):x}' WHERE id = {number}"
        yield Step("execute_sql", {"query": sql}, "1 row affected")
        yield Step("execute_sql", {"query": "SELECT count(*) FROM users"}, "count: 40")


def waiting_and_asking(rng: random.Random) -> Iterator[Step]:
    for _ in range(7):
        yield Step("wait", {"seconds": 5}, "Waited 5 seconds")
        yield Step("get_run", {"run_id": 12}, json.dumps({"status": "in_progress", "conclusion": None}))
    yield Step("get_run", {"run_id": 12}, json.dumps({"status": "completed", "conclusion": "success"}))


def a_form_filled_in(rng: random.Random) -> Iterator[Step]:
    """The page's outline stays the same while its fields are filled."""
    for number in range(8):
        yield Step("fill", {"selector": f"#field-{number}", "value": f"{rng.getrandbits(30):x}"}, "Filled")
        yield Step("snapshot", {}, "form Sign up: 8 fields, button Send")


def a_status_in_words_of_its_own(rng: random.Random) -> Iterator[Step]:
    for _ in range(4):
        yield Step("get_deployment_status", {"id": 8}, "rollout: 0/3 replicas updated", pause_s=3.0)
    yield Step("get_deployment_status", {"id": 8}, "rollout: 3/3 replicas updated")


def words_classified(rng: random.Random) -> Iterator[Step]:
    for number in range(25):
        yield Step("classify", {"text": f"review {number}: {rng.getrandbits(60):x}"}, "positive")


def addresses_checked(rng: random.Random) -> Iterator[Step]:
    for _ in range(25):
        yield Step("validate_email", {"email": f"u{rng.getrandbits(30):x}@example.com"}, json.dumps({"valid": True}))


def notebook_cells(rng: random.Random) -> Iterator[Step]:
    for _ in range(6):
        yield Step("edit_cell", {"cell_id": "c3", "source": f"x = {rng.getrandbits(30)}\nprint(y)"}, "ok")
        yield Step(
            "run_cell", {"cell_id": "c3"}, "NameError: name 'y' is not defined", is_error=bool(rng.getrandbits(1))
        )


_SCRIPTS = (
    pages_by_cursor,
    pages_by_offset,
    pages_without_arguments,
    waiting_for_a_job,
    waiting_without_a_change,
    waiting_with_times,
    watching_progress,
    several_jobs_in_turn,
    a_growing_log,
    forty_files_ok,
    forty_files_ok_at_length,
    forty_files_clean,
    deletions_that_say_nothing,
    messages_to_many,
    bulk_creation,
    edit_and_test,
    edit_and_failing_test,
    edit_and_test_in_a_shell,
    edit_by_an_unknown_tool,
    edit_and_look,
    read_after_each_edit,
    list_before_each_write,
    two_files_side_by_side,
    a_debugger,
    a_debugger_in_a_loop,
    a_debugger_that_tells_little,
    pages_in_a_browser,
    a_page_that_scrolls,
    once_more_after_an_error,
    a_search_that_finds_in_the_end,
    finding_out_by_mistakes,
    long_research,
    work_with_a_list,
    many_looks_at_what_grows,
    the_same_thing_twice,
    a_service_started_anew,
    dice,
    patch_and_test,
    rows_changed_and_read,
    waiting_and_asking,
    a_form_filled_in,
    a_status_in_words_of_its_own,
    words_classified,
    addresses_checked,
    notebook_cells,
)

CASES = (
    *(Case(script.__name__.replace("_", " "), script, None) for script in _SCRIPTS),
    Case("health by the clock", health_by_the_clock, None, facts={"health": {"poll": "5s"}}),
)
