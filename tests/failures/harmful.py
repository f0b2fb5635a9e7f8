"""Runs that learn nothing any more, shaped on what users report of agents. Each is written for any seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import cycle, islice

from failures.scripts import EXACT, LONG, VARIED, Case, Step, moment, noting, reading, spelt, stamping, strewn

_LENGTH = 24


def the_same_file(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step("read_file", spelt(rng, {"path": "src/app/main.py", "limit": 200}), "import sys\n\nprint('hi')\n")


def the_same_search(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step(
            "search", spelt(rng, {"query": "user login handler", "limit": 10}), "src/login.py:12\nsrc/auth.py:40"
        )


def an_error_without_its_flag(rng: random.Random) -> Iterator[Step]:
    """obra/superpowers-chrome#44: some 300 identical failing calls, the error in the text alone."""
    for _ in range(_LENGTH):
        yield Step("click", {"selector": "#submit"}, "Error: Element not found: #submit")


def an_error_with_its_flag(rng: random.Random) -> Iterator[Step]:
    stamped = stamping(rng)
    for _ in range(_LENGTH):
        yield Step("deploy", {"service": "web"}, stamped("Deployment failed: image not found"), is_error=True)


def the_same_bad_call(rng: random.Random) -> Iterator[Step]:
    """microsoft/agent-framework#7222: byte-identical bad calls, because the error said nothing."""
    for _ in range(_LENGTH):
        yield Step("create_ticket", {"title": "Broken", "priority": "asap"}, rpc_error=(-32602, "Invalid params"))


def a_server_that_is_down(rng: random.Random) -> Iterator[Step]:
    """NousResearch/hermes-agent#10776: up to 90 retries of one call."""
    for _ in range(_LENGTH):
        yield Step("query", {"sql": "select 1"}, rpc_error=(-32603, "connect ECONNREFUSED 10.0.0.7:5432"))


def a_result_with_its_time(rng: random.Random) -> Iterator[Step]:
    stamped = stamping(rng)
    for _ in range(_LENGTH):
        yield Step("get_user", {"user_id": 42}, stamped("Ada Lovelace, ada@example.com"))


def a_call_with_its_time(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        arguments = {"account_id": "a-7", "timestamp": moment(rng), "request_id": f"{rng.getrandbits(64):x}"}
        yield Step("get_balance", spelt(rng, arguments), '{"balance": 120}')


def a_login_page(rng: random.Random) -> Iterator[Step]:
    page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>"
    for _ in range(_LENGTH):
        yield Step("fetch_report", {"report": "q3"}, page)


def the_same_write(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step("write_file", spelt(rng, {"path": "notes/out.txt", "content": "hello\n"}), "Wrote 6 bytes")


def a_finished_job(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step("get_job", {"job_id": "j-1"}, json.dumps({"state": "completed", "result": "report.pdf"}))


def no_arguments_at_all(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step("list_tasks", {}, "- buy milk\n- call Bob")


def strewn_with_reading(rng: random.Random) -> Iterator[Step]:
    yield from strewn(rng, the_same_search(rng), reading)


def strewn_with_notes(rng: random.Random) -> Iterator[Step]:
    yield from strewn(rng, no_arguments_at_all(rng), noting)


def strewn_with_work_elsewhere(rng: random.Random) -> Iterator[Step]:
    def writing(rng: random.Random, number: int) -> Step:
        arguments = {"path": f"/home/ada/site/page-{number}.html", "content": f"<p>{rng.getrandbits(40)}</p>"}
        return Step("write_file", arguments, f"wrote page {number}", looped=False)

    yield from strewn(rng, the_same_file(rng), writing)


def strewn_with_other_questions(rng: random.Random) -> Iterator[Step]:
    """The same tool, asked other things in between."""

    def asking(rng: random.Random, number: int) -> Step:
        return Step("get_user", {"user_id": 100 + number}, f"User {rng.getrandbits(50):x}", looped=False)

    yield from strewn(rng, a_result_with_its_time(rng), asking)


def tests_without_an_edit(rng: random.Random) -> Iterator[Step]:
    stamped = stamping(rng)
    for number in range(_LENGTH):
        yield Step("run_tests", {}, stamped("1 failed, 11 passed: test_login"))
        yield Step("read_file", {"path": f"tests/test_{number}.py"}, f"def test_{number}(): ...", looped=False)


def _round(rng: random.Random, period: int, length: int) -> Iterator[Step]:
    round_of = [
        Step("read_file", {"path": f"lib/part-{n}.py"}, f"part {n}: {rng.getrandbits(60):x}") for n in range(period)
    ]
    yield from islice(cycle(round_of), length)


def to_and_fro(rng: random.Random) -> Iterator[Step]:
    """A, B, A, B: what a client's rule for consecutive repeats never sees."""
    for _ in range(_LENGTH):
        yield Step("open_tab", {"tab_id": 1}, "Dashboard", looped=True)
        yield Step("open_tab", {"tab_id": 2}, "Settings", looped=False)


def round_of_three(rng: random.Random) -> Iterator[Step]:
    yield from _round(rng, 3, 30)


def round_of_seven(rng: random.Random) -> Iterator[Step]:
    yield from _round(rng, 7, 49)


def a_walk_in_circles(rng: random.Random) -> Iterator[Step]:
    places = [Step("list_directory", {"path": f"/srv/{name}"}, f"{name}: a b c") for name in ("a", "b", "c", "d")]
    for _ in range(40):
        yield places[rng.randrange(4)]


def click_and_look(rng: random.Random) -> Iterator[Step]:
    """The click does nothing and the page stays as it is."""
    for _ in range(_LENGTH):
        yield Step("click", {"selector": "text=Next"}, "Clicked")
        yield Step("snapshot", {}, "Page 1 of 9: apples, pears", looped=False)


def an_edit_to_and_fro(rng: random.Random) -> Iterator[Step]:
    """One edit and its undoing, with the tests after each."""
    for number in range(12):
        old, new = ("a", "b") if number % 2 else ("b", "a")
        yield Step("edit_file", {"path": "src/x.py", "old_string": old, "new_string": new}, "edited", looped=False)
        yield Step("run_tests", {}, "1 failed: test_x")


def listings_all_empty(rng: random.Random) -> Iterator[Step]:
    """anomalyco/opencode#31942: 277 list calls, each with another prefix, all empty."""
    for _ in range(40):
        prefix = f"{rng.choice(['logs', 'data', 'tmp'])}/{rng.getrandbits(32):08x}"
        yield Step("list_objects", {"bucket": "b", "prefix": prefix}, '{"objects": [], "count": 0}')


def listings_with_nothing_in_them(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        yield Step("list_files", {"directory": f"/data/{number}/{rng.getrandbits(24):x}"}, None)


def searches_in_other_words(rng: random.Random) -> Iterator[Step]:
    words = (
        "login",
        "auth",
        "session",
        "token",
        "cookie",
        "user",
        "account",
        "password",
        "jwt",
        "oauth",
        "signin",
        "identity",
    )
    for number in range(40):
        query = " ".join(rng.sample(words, 3)) + f" {number}"
        yield Step("search_code", {"query": query}, "No results found")


def searches_that_repeat_the_question(rng: random.Random) -> Iterator[Step]:
    for _number in range(40):
        query = f"{rng.choice(['fix', 'why', 'how'])} {rng.getrandbits(24):x}"
        yield Step("web_search", {"query": query}, f'No results found for "{query}".')


def files_that_are_not_there(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        path = f"/opt/{rng.getrandbits(16):x}/config-{number}.yaml"
        yield Step(
            "read_file", {"path": path}, f"Error: ENOENT: no such file or directory, open '{path}'", is_error=True
        )


def errors_in_many_words(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        sql = f"select col_{rng.getrandbits(16):x} from t{number}"
        yield Step("query", {"sql": sql}, "ERROR: permission denied for schema public", is_error=True)


def strewn_empty_listings(rng: random.Random) -> Iterator[Step]:
    yield from strewn(rng, listings_all_empty(rng), reading)


def the_same_page_whatever_is_asked(rng: random.Random) -> Iterator[Step]:
    page = "Welcome to the help centre. " + "Choose a topic from the list below, or contact support. " * 20
    for number in range(40):
        yield Step("search_docs", {"query": f"{rng.getrandbits(24):x} configuration {number}"}, page)


def nothing_works(rng: random.Random) -> Iterator[Step]:
    """Every tool in turn, and nothing anywhere."""
    for number in range(40):
        tool = ("search_code", "list_files", "find_symbol")[number % 3]
        yield Step(tool, {"query": f"{rng.getrandbits(24):x}"}, "[]")


def a_job_that_never_ends(rng: random.Random) -> Iterator[Step]:
    """indexnetwork/index#918 the other way round: it is asked after for ever."""
    for _ in range(40):
        yield Step("get_job", {"job_id": "j-1"}, json.dumps({"status": "pending"}))


def a_build_that_never_ends(rng: random.Random) -> Iterator[Step]:
    stamped = stamping(rng)
    for _ in range(40):
        yield Step("build_status", {"build": 7}, stamped("Build is still running. Try again later."))


def errors_that_count(rng: random.Random) -> Iterator[Step]:
    for number in range(_LENGTH):
        yield Step("send_report", {"to": "ada@example.com"}, f"Failed after {number + 1} attempts", is_error=True)


def the_same_question_in_other_letters(rng: random.Random) -> Iterator[Step]:
    ways = ("User Login", "user login", "USER  LOGIN", " user login ")
    for _ in range(_LENGTH):
        arguments = {"query": rng.choice(ways), "limit": rng.choice([5, "5"]), **rng.choice([{}, {"lang": None}])}
        yield Step("search", spelt(rng, arguments), "src/login.py:12")


def made_and_taken_away(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step("create_branch", {"branch": "fix"}, "created fix")
        yield Step("delete_branch", {"branch": "fix"}, "deleted fix", looped=False)


def waiting_for_what_is_there(rng: random.Random) -> Iterator[Step]:
    for _ in range(_LENGTH):
        yield Step("wait", {"seconds": 5}, "Waited 5 seconds", looped=False)
        yield Step("get_run", {"run_id": 12}, json.dumps({"status": "completed", "conclusion": "failure"}))


def answers_that_say_they_do_not_know(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        query = f"{rng.choice(['who', 'where', 'when'])} {rng.getrandbits(24):x} {number}"
        yield Step("search_knowledge", {"question": query}, "I could not find anything about that in the documents.")


def edits_that_never_match(rng: random.Random) -> Iterator[Step]:
    for number in range(40):
        arguments = {"path": "src/x.py", "old_string": f"{rng.getrandbits(50):x}", "new_string": f"y{number}"}
        yield Step("edit_file", arguments, "Error: old_string not found in file")


def the_page_that_is_missing(rng: random.Random) -> Iterator[Step]:
    for _ in range(40):
        yield Step("fetch", {"url": f"https://example.com/{rng.getrandbits(40):x}"}, "404 Not Found")


CASES = (
    Case("the same file", the_same_file, EXACT, "repeat"),
    Case("the same search", the_same_search, EXACT, "repeat"),
    Case("an error without its flag", an_error_without_its_flag, EXACT, "repeat"),
    Case("an error with its flag", an_error_with_its_flag, EXACT, "repeat"),
    Case("the same bad call", the_same_bad_call, EXACT, "repeat"),
    Case("a server that is down", a_server_that_is_down, EXACT, "repeat"),
    Case("a result with its time", a_result_with_its_time, EXACT, "repeat"),
    Case("a call with its time", a_call_with_its_time, EXACT, "repeat"),
    Case("a login page", a_login_page, EXACT, "repeat"),
    Case("the same write", the_same_write, EXACT, "repeat"),
    Case("a finished job", a_finished_job, EXACT, "repeat"),
    Case("no arguments at all", no_arguments_at_all, EXACT, "repeat"),
    Case("errors that count", errors_that_count, EXACT, "repeat"),
    Case("the same question in other letters", the_same_question_in_other_letters, EXACT, "repeat"),
    Case("waiting for what is there", waiting_for_what_is_there, EXACT, "repeat, strewn"),
    Case("strewn with reading", strewn_with_reading, EXACT, "repeat, strewn"),
    Case("strewn with notes", strewn_with_notes, EXACT, "repeat, strewn"),
    Case("strewn with work elsewhere", strewn_with_work_elsewhere, EXACT, "repeat, strewn"),
    Case("strewn with other questions", strewn_with_other_questions, EXACT, "repeat, strewn"),
    Case("tests without an edit", tests_without_an_edit, EXACT, "repeat, strewn"),
    Case("to and fro", to_and_fro, EXACT, "cycle"),
    Case("click and look", click_and_look, EXACT, "cycle"),
    Case("an edit to and fro", an_edit_to_and_fro, EXACT, "cycle"),
    Case("made and taken away", made_and_taken_away, EXACT, "cycle"),
    Case("a round of three", round_of_three, 5 * 3, "cycle"),
    Case("a round of seven", round_of_seven, 5 * 7, "cycle"),
    Case("a walk in circles", a_walk_in_circles, VARIED, "cycle"),
    Case("listings, all empty", listings_all_empty, VARIED, "barren"),
    Case("listings with nothing in them", listings_with_nothing_in_them, VARIED, "barren"),
    Case("searches in other words", searches_in_other_words, VARIED, "barren"),
    Case("searches that repeat the question", searches_that_repeat_the_question, VARIED, "barren"),
    Case("files that are not there", files_that_are_not_there, VARIED, "barren"),
    Case("errors in many words", errors_in_many_words, VARIED, "barren"),
    Case("strewn empty listings", strewn_empty_listings, VARIED, "barren"),
    Case("the same page whatever is asked", the_same_page_whatever_is_asked, VARIED, "barren"),
    Case("answers that say they do not know", answers_that_say_they_do_not_know, VARIED, "barren"),
    Case("edits that never match", edits_that_never_match, VARIED, "barren"),
    Case("the page that is missing", the_page_that_is_missing, VARIED, "barren"),
    Case("nothing works", nothing_works, VARIED, "barren"),
    Case("a job that never ends", a_job_that_never_ends, LONG, "poll"),
    Case("a build that never ends", a_build_that_never_ends, LONG, "poll"),
)
