import io
from pathlib import Path

import pytest
from rich.console import Console

from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.cli.why import why
from fuseboard.cli.wording import day
from fuseboard.ports import Entry
from support.ledger_entries import concluded, proposed, record, story

MALFORMED = """\
github__list_issues  DENY by schema / arguments  (config 8c1e5d00, effect read)
  arguments {"limit": "ten"}
  checks    ✗ schema  deny     arguments
                /limit  found the text "ten"    expected an integer
                (all)   found no property repo  expected the property repo
  told      The arguments do not fit the tool's schema.
            /limit: found the text "ten", expected an integer
  sent      nothing: the call was refused before it reached github
  came back nothing
  truth     denied"""

FORBIDDEN = """\
files__read_file  DENY by permissions / no-secret-files  (config 8c1e5d00, effect read)
  arguments {"path": "/home/me/.ssh/id_ed25519", "max": 1.10}
  checks    · schema       allow
            ✗ permissions  deny     no-secret-files
                rules = ["no-secret-files"]
                path = /home/me/.ssh/id_ed25519
  told      Secret files are out of bounds. Ask the user for the value that you need.
  sent      nothing: the call was refused before it reached files
  came back nothing
  truth     denied"""

TIMED_OUT = """\
search__web  allow  (config 8c1e5d00, effect read)
  arguments {"query": "is:open"}
  checks    · schema       allow
            ✓ permissions  allow    default
  sent      web to search, arguments with SHA-256 9f86d081884c…
  came back 0 B after 5s
            search: no answer within 5 s
  truth     timeout"""


def told(path: Path, *entries: Entry, seq: int = 1) -> list[str]:
    record(path / "ledger.db", *entries)
    with LedgerReader(path / "ledger.db") as ledger:
        return [line.plain for call in ledger.calls() if call.seq == seq for line in why(call)]


@pytest.mark.parametrize(
    ("seq", "text"),
    [
        pytest.param(2, MALFORMED, id="malformed arguments"),
        pytest.param(4, FORBIDDEN, id="a forbidden call"),
        pytest.param(6, TIMED_OUT, id="a call that timed out"),
    ],
)
def test_a_decision_is_explained(tmp_path: Path, seq: int, text: str) -> None:
    first, call, run, *rest = told(tmp_path, *story(), seq=seq)
    assert "\n".join([first, *rest]) == text
    assert call.startswith("  call      d-5kq0p")
    assert run == f"  run       r-5kq0p1xy7c2m9d4h#{seq}  principal local  claude-code/2.1.317"


def test_a_call_without_an_end_says_so(tmp_path: Path) -> None:
    lines = told(tmp_path, proposed())
    assert lines[-2:] == [
        "  came back no end on record: the call is under way, or the process died with it",
        "  truth     unknown",
    ]


def test_what_came_back_is_shown_in_part(tmp_path: Path) -> None:
    lines = told(tmp_path, proposed(), concluded(preview='{"content":\n[]}', result_bytes=15))
    assert lines[-3:] == ["  came back 15 B after 412ms", '            {"content":\\n[]}', "  truth     ok"]


def test_a_check_of_the_result_says_so(tmp_path: Path) -> None:
    check = {"policy": "schema", "verdict": "deny", "rule": "result", "facts": {}}
    lines = told(tmp_path, proposed(), concluded(verdict="deny", policy="schema", rule="result", checks=[check]))
    assert lines[0].startswith("github__search_issues  DENY by schema / result")
    assert "            ✗ schema       deny     result  (of the result)" in lines


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(None, "not recorded (trace.args: none)", id="left out"),
        pytest.param("sha256:9f86", "sha256:9f86  (trace.args: hashed)", id="hashed"),
        pytest.param('{"a":"\\u001b[2J\u202e"}', '{"a": "\\u001b[2J\\u202e"}', id="hostile"),
    ],
)
def test_arguments(tmp_path: Path, arguments: str | None, line: str) -> None:
    assert f"  arguments {line}" in told(tmp_path, proposed(arguments=arguments))


def test_long_arguments_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    lines = told(tmp_path, proposed(arguments='{"n":1.10,"text":"' + "x" * 100 + '"}'))
    start = lines.index("  arguments {")
    assert lines[start + 1] == '              "n": 1.10,'


def test_moments_are_dates_and_counts_are_whole(tmp_path: Path) -> None:
    facts = {"until": 1795383387.99, "limit": 6.0, "share": 0.5, "strikes": [{"at": 0.0, "since": 1795383387.99}]}
    check = {"policy": "p", "verdict": "deny", "rule": "r", "facts": facts}
    lines = told(tmp_path, proposed(verdict="deny", final=True, checks=[check]))
    start = next(number for number, line in enumerate(lines) if line.strip().startswith("until = "))
    when = day(1795383387.99)
    expected = [f"until = {when}", "limit = 6", "share = 0.5", f'strikes = [{{"at": 0, "since": "{when}"}}]']
    assert [line.strip() for line in lines[start : start + 4]] == expected


def test_facts_that_are_no_mismatches_are_shown_as_json(tmp_path: Path) -> None:
    check = {"policy": "p", "verdict": "hold", "rule": None, "facts": {"n": 1, "mismatches": [], "who": "a\nb"}}
    lines = told(tmp_path, proposed(verdict="hold", final=True, checks=[check]))
    start = lines.index("  checks    ‖ p  hold")
    assert [line.strip() for line in lines[start + 1 : start + 4]] == ["n = 1", "mismatches = []", "who = a\\nb"]


def test_only_labels_and_asides_are_dim(tmp_path: Path) -> None:
    record(tmp_path / "ledger.db", *story())
    drawn = io.StringIO()
    with LedgerReader(tmp_path / "ledger.db") as ledger:
        call = next(call for call in ledger.calls() if call.seq == 4)
        for line in why(call):
            Console(file=drawn, force_terminal=True, color_system="standard").print(line, soft_wrap=True)
    text = drawn.getvalue()
    assert "\x1b[2m  sent      \x1b[0mnothing: the call" in text
    assert "\x1b[1;31m✗ \x1b[0mpermissions  " in text
    assert "\x1b[2mpath = \x1b[0m/home/me" in text
    assert "\x1b[1mfiles__read_file\x1b[0m  \x1b[1;31mDENY" in text


def test_a_later_round_says_what_it_goes_on_from(tmp_path: Path) -> None:
    lines = told(tmp_path, proposed(continues="d-0\x1b"), concluded())
    assert "  goes on   from d-0\\x1b: a later round of the same call" in lines


def test_a_task_that_nobody_fetched_says_so(tmp_path: Path) -> None:
    lines = told(tmp_path, proposed(), concluded(truth="task", preview=None, result_bytes=90))
    assert lines[-3:] == [
        "  came back a task, which was not asked yet for what came of it",
        "            90 B after 412ms",
        "  truth     task",
    ]


def test_how_the_run_is_known_and_what_the_call_stands_on(tmp_path: Path) -> None:
    entry = proposed("d-2", run_source="trace", confidence="claimed", depth=2, root="r-root", parent="d-1")
    lines = told(tmp_path, entry)
    (run,) = [line for line in lines if line.startswith("  run ")]
    assert run.endswith("known by trace, claimed")
    assert "  called by d-1, depth 2, at the bottom of it run r-root" in lines


def test_a_score_is_told_term_by_term(tmp_path: Path) -> None:
    terms = [
        {"term": "irreversibility", "points": 35, "reason": "what it does may not be undone"},
        {"term": "pressure", "points": 5, "reason": "odd\x1b[2J"},
    ]
    check = {"policy": "ambiguity", "verdict": "allow", "rule": None, "facts": {"score": 40, "terms": terms}}
    lines = told(tmp_path, proposed(checks=[check]))
    assert "                score = 40" in lines
    assert "                 35  irreversibility  what it does may not be undone" in lines
    assert "                  5  pressure         odd\\x1b[2J" in lines
