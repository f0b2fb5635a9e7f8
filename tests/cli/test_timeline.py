import io
from pathlib import Path

import pytest
from rich.console import Console

from fuseboard.adapters.stores.reader import Call, LedgerReader, Run
from fuseboard.cli.timeline import decision, runs_table, tail_line, timeline, why_in_few_words
from fuseboard.ports import Entry
from support.ledger_entries import BEGAN, concluded, denied, proposed, record, story

# ruff: noqa: E501
TIMELINE = """\
  #  tool                   decision  0s ········· 5s ········· 10s ········ 15s ·       ms  why
  1  github__search_issues  allow     █▏                                                412
  2  github__list_issues    DENY           ✗                                              -  arguments; /limit expected an integer
  3  github__list_issues    allow            ██████████▋                               4100
  4  files__read_file       DENY                             ✗                            -  no-secret-files
  5  files__read_file       allow                              ▒                        6.2  business error
  6  search__web            allow                                 ▒▒▒▒▒▒▒▒▒▒▒▒▒        5000  timeout: search: no answer within 5 s
  7  prompt github__review  allow                                                ?        -  no recorded end: under way, or lost in a crash
fuseboard trace why r-5kq0p1xy7c2m9d4h#4  explains the last refusal
"""


CLEANED = {
    "policy": "output",
    "verdict": "rewrite",
    "rule": "output.cleaned",
    "facts": {"counts": {"invisible": 3, "links": 1}, "places": []},
}


def read(path: Path, *entries: Entry) -> tuple[Run, list[Call]]:
    record(path / "ledger.db", *entries)
    with LedgerReader(path / "ledger.db") as ledger:
        (run,) = ledger.runs()
        return run, list(ledger.calls())


def one(path: Path, *entries: Entry) -> Call:
    return read(path, *entries)[1][0]


def drawn(path: Path, *entries: Entry, width: int | None = None) -> list[str]:
    run, calls = read(path, *entries)
    return [line.plain for line in timeline(run, calls, width=width)]


def test_a_run_as_a_timeline(tmp_path: Path) -> None:
    who, counts, *lines = drawn(tmp_path, *story())
    named = "run r-5kq0p1xy7c2m9d4h  claude-code/2.1.317  stdio 2026-07-28  principal local"
    assert who == f"{named}  (run known by: process)"
    assert counts.endswith(" +17s  7 calls  2 denied  3 failed  output 5.5 kB  config 8c1e5d00")
    assert "\n".join(lines) + "\n" == TIMELINE


def test_the_header_counts_what_waited_for_a_person(tmp_path: Path) -> None:
    asked = {"policy": "approvals", "verdict": "allow", "rule": "approved", "facts": {"waited_s": 2.0}}
    _, counts, *_ = drawn(tmp_path, denied(verdict="hold"), proposed("d-2", seq=2, checks=[asked]), concluded("d-2"))
    assert "2 calls  0 denied  2 held  0 failed" in counts


def test_a_narrow_terminal_folds_between_words(tmp_path: Path) -> None:
    lines = drawn(tmp_path, *story(), width=90)
    words = [line.strip() for line in lines if line.startswith(" " * 40)]
    assert words == ["an integer", "within 5 s", "or lost in a crash"]
    assert all(len(line) <= 90 for line in lines[2:])


def test_a_run_of_one_call_without_length(tmp_path: Path) -> None:
    lines = drawn(tmp_path, denied())
    assert "✗" in lines[3]


@pytest.mark.parametrize("seconds", [0.004, 0.9, 59.0, 4000.0, 90_000.0])
def test_every_axis_is_as_wide_as_its_bars(tmp_path: Path, seconds: float) -> None:
    end = concluded(at=BEGAN + seconds, duration_ms=seconds * 1000)
    *_, head, line = drawn(tmp_path, proposed(), end)
    assert line.index("█") == head.index("0s")
    assert line.count("█") == 44
    assert line.split()[-1] == f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f}"


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        pytest.param([proposed(), concluded()], "allow", id="allowed"),
        pytest.param([denied()], "DENY", id="denied"),
        pytest.param([denied(verdict="hold")], "HOLD", id="held"),
        pytest.param([proposed(verdict="rewrite"), concluded()], "rewrite", id="rewritten"),
        pytest.param(
            [denied(final=False, checks=[{"policy": "p", "verdict": "deny", "rule": "r", "facts": {}}]), concluded()],
            "deny (observed)",
            id="judged and let through",
        ),
        pytest.param(
            [
                proposed(),
                concluded(verdict="deny", checks=[{"policy": "p", "verdict": "deny", "rule": "r", "facts": {}}]),
            ],
            "DENY",
            id="a result that was refused",
        ),
    ],
)
def test_decision(tmp_path: Path, entries: list[Entry], word: str) -> None:
    assert decision(one(tmp_path, *entries)) == word


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        pytest.param([proposed(), concluded()], "", id="nothing to say"),
        pytest.param([proposed(rule="reads"), concluded(truth="empty")], "reads; empty", id="rule and truth"),
        pytest.param([denied(rule=None)], "permissions", id="the policy where there is no rule"),
        pytest.param(
            [proposed(), concluded(truth="outage", error="no\x1b route")],
            "outage: no\\x1b route",
            id="an error, made safe",
        ),
        pytest.param(
            [proposed(continues="d-0\x1b"), concluded()], "goes on from d-0\\x1b", id="a later round, made safe"
        ),
        pytest.param(
            [proposed(), concluded(truth="task")], "a task was begun; its result was not fetched yet", id="a task"
        ),
        pytest.param([proposed(), concluded(truth="task"), concluded()], "", id="a task that was fetched"),
        pytest.param([proposed(), concluded(checks=[CLEANED])], "cleaned: invisible 3, links 1", id="a cleaned result"),
    ],
)
def test_why_in_few_words(tmp_path: Path, entries: list[Entry], words: str) -> None:
    assert why_in_few_words(one(tmp_path, *entries)) == words


def test_a_hostile_name_is_shown_and_does_nothing(tmp_path: Path) -> None:
    lines = drawn(tmp_path, proposed(exposed="x\x1b[2J\u202e[bold]", client="\x1b]0;t\x07"), concluded())
    text = "\n".join(lines)
    assert "x\\x1b[2J\\u202e[bold]" in text
    assert not {"\x1b", "\u202e", "\x07"} & set(text)


def test_colour_only_adds_to_the_text(tmp_path: Path) -> None:
    run, calls = read(tmp_path, *story())
    plain, coloured = io.StringIO(), io.StringIO()
    for line in timeline(run, calls, width=None):
        Console(file=plain, no_color=True).print(line, soft_wrap=True)
        Console(file=coloured, force_terminal=True, color_system="standard").print(line, soft_wrap=True)
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[1;31mDENY" in coloured.getvalue()


def test_tail_shows_a_call_on_one_line(tmp_path: Path) -> None:
    line = tail_line(one(tmp_path, proposed(), concluded(truth="empty"))).plain
    assert line.endswith("  r-5kq0p1xy7c2m9d4h#1  github__search_issues  allow  412 ms  empty")


def test_runs_as_a_table(tmp_path: Path) -> None:
    run, _ = read(tmp_path, *story())
    head, line = [line.plain.split() for line in runs_table([run])]
    assert head == ["run", "began", "took", "client", "principal", "calls", "denied", "failed"]
    assert (line[0], *line[3:]) == ("r-5kq0p1xy7c2m9d4h", "17s", "claude-code/2.1.317", "local", "7", "2", "3")


def test_the_header_says_how_surely_the_run_is_known_and_the_lines_what_they_stand_on(tmp_path: Path) -> None:
    entries = (
        proposed("d-1", confidence="claimed", run_source="trace"),
        proposed("d-2", seq=2, confidence="claimed", run_source="trace", depth=1, parent="d-1"),
    )
    who, _, _, first, second = drawn(tmp_path, *entries)
    assert who.endswith("(run known by: trace, claimed)")
    assert "depth" not in first
    assert "depth 1, under d-1" in second
