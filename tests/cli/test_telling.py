from __future__ import annotations

import pytest
from rich.text import Text

from fuseboard.adapters.demo.story import Answer, Back, Call, Chapter, Look, Step, Verb, denied, held
from fuseboard.cli.telling import Teller

LOOK = Look("The agent looks around.", hidden=("secret", "listed"))
CALL = Call("It reads.", "read")
DENIED = Call("It steals.", "read", ends=denied("no-theft"))
HELD = Call("It asks.", "read", ends=held("ask-first"))
CHAPTERS = [Chapter("One", (LOOK, CALL)), Chapter("Two", (DENIED, HELD))]


def told(*steps: tuple[Step, Answer], width: int = 80) -> list[str]:
    lines: list[Text] = []
    teller = Teller(CHAPTERS, lines.append, width=width)
    for step, answer in steps:
        teller.begins(step)
        teller.ended(step, answer)
    return [line.plain for line in lines]


def refusal(verdict: str, rule: str, text: str) -> Answer:
    return Answer(f"{text} [d-1]", decision={"id": "d-1", "verdict": verdict, "rule": rule}, failed=True)


def test_a_story_is_told_step_by_step() -> None:
    lines = told(
        (LOOK, Answer(tools=("listed", "read"))),
        (CALL, Answer("first line\nsecond")),
        (DENIED, refusal("deny", "no-theft", "Do not steal.")),
        (HELD, refusal("hold", "ask-first", "A person has to approve it.")),
    )
    assert lines == [
        "",
        "One",
        "  ·  The agent looks around.",
        "     ✓ tools/list  2 tools, without secret",
        "  1  It reads.",
        "     ✓ read  first line …",
        "",
        "Two",
        "  2  It steals.",
        "     ✗ read  denied by no-theft",
        "       Do not steal.",
        "  3  It asks.",
        "     ‖ read  held by ask-first",
        "       A person has to approve it.",
    ]


def test_what_a_tool_reports_as_its_own_error_has_a_mark_of_its_own() -> None:
    assert told((CALL, Answer("no such file", failed=True)))[-1] == "     ▒ read  no such file"


def test_an_answer_that_was_rewritten_went_through() -> None:
    answer = Answer("cut", decision={"id": "d-1", "verdict": "rewrite", "rule": "output.max"})
    assert told((CALL, answer))[-1] == "     ✓ read  cut"


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = refusal(
        "deny", "no-theft", "- /path: found a long text of many words; expected a short one of few words. " * 3
    )
    lines = told((CALL, Answer("word " * 60)), (DENIED, long), width=width)
    assert max(map(len, lines)) <= width


def test_what_a_server_says_cannot_move_the_cursor() -> None:
    assert told((CALL, Answer("a\x1b[2Jb")))[-1] == "     ✓ read  a\\x1b[2Jb"


def test_it_opens_with_the_task_and_closes_with_what_to_do_next() -> None:
    lines: list[Text] = []
    teller = Teller(CHAPTERS, lines.append, width=80)
    teller.opens("Mend it.")
    teller.begins(CALL)
    teller.closes(1.5, ["fuseboard trace show last"])
    plain = [line.plain for line in lines]
    assert "Its task: Mend it." in plain
    assert plain[-2:] == ["The story went as told: 1 call in 1.5s.  Go on with", "  fuseboard trace show last"]


def test_what_a_person_does_is_told_as_it_was_typed_and_what_it_printed() -> None:
    verb = Verb("A person looks.", ("resume", "{run}", "--why", "it is fine"))
    printed = "a-1  let it go on\n  why: half \x1b[2Jof it\nr-1 goes on"
    assert told((verb, Answer(printed, words=verb.of("r-1")))) == [
        "  ·  A person looks.",
        "     $ fuseboard resume r-1 --why 'it is fine'",
        "       a-1  let it go on",
        "         why: half \\x1b[2Jof it",
        "       r-1 goes on",
    ]


def test_a_word_beside_a_result_is_told_below_it() -> None:
    beside = {"id": "d-1", "verdict": "nudge", "rule": "loops.repeat", "reason": "The same for the 3rd time."}
    lines = told((CALL, Answer("text", decision=beside)))
    assert lines[-2:] == ["     ✓ read  text", "       The same for the 3rd time."]


def test_another_agent_s_calls_are_not_counted_and_a_wait_is_told_by_its_first_line() -> None:
    lines = told(
        (Call("Ana reads.", "read", by="ana"), Answer("text")), (Back("She has it."), Answer()), (CALL, Answer())
    )
    assert [line[:5] for line in lines if "reads" in line or "has it" in line] == ["  ·  ", "  ·  ", "  1  "]
