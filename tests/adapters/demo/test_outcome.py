from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from fuseboard.adapters.demo.outcome import differences, explained, run_of
from fuseboard.adapters.demo.story import Answer, Back, Call, Look, Step, Verb, denied, failed, nudged


@dataclass(frozen=True)
class Record:
    exposed: str
    verdict: str
    rule: str | None
    truth: str


STEPS: tuple[Step, ...] = (
    Look("looks", shown=("a",), hidden=("b",)),
    Call("reads", "a"),
    Call("steals", "a", ends=denied("no"), explained=True),
)
REFUSED = Answer("no", decision={"run": "r-1", "verdict": "deny"}, failed=True)
ANSWERS = [Answer(tools=("a", "c")), Answer("text"), REFUSED]
RECORDS = [Record("a", "allow", "default", "ok"), Record("a", "deny", "no", "denied")]


def test_a_story_that_went_as_told_leaves_no_difference() -> None:
    assert differences(STEPS, ANSWERS, RECORDS) == []


@pytest.mark.parametrize(
    ("answers", "records", "said"),
    [
        pytest.param([Answer(tools=("c",)), *ANSWERS[1:]], RECORDS, "a is missing", id="a tool is not listed"),
        pytest.param([Answer(tools=("a", "b")), *ANSWERS[1:]], RECORDS, "b should not", id="a hidden tool is listed"),
        pytest.param([ANSWERS[0], REFUSED, REFUSED], RECORDS, "should have gone through", id="a good call is refused"),
        pytest.param(
            [*ANSWERS[:2], Answer("got it")], RECORDS, "refused by no; the agent got: got it", id="a bad call passes"
        ),
        pytest.param(ANSWERS, RECORDS[:1], "2 calls were made, and the ledger has 1", id="a call is not recorded"),
        pytest.param(ANSWERS, RECORDS[::-1], "call 1 is recorded as a: deny by no", id="the order is another"),
        pytest.param(ANSWERS, [RECORDS[0], Record("a", "deny", "x", "denied")], "deny by x", id="another rule spoke"),
        pytest.param(ANSWERS, [Record("a", "allow", None, "empty"), RECORDS[1]], "empty", id="another truth"),
    ],
)
def test_a_difference_says_what_went_otherwise(answers: Sequence[Answer], records: Sequence[Record], said: str) -> None:
    assert said in "\n".join(differences(STEPS, answers, records))


def test_the_run_is_the_one_that_a_refusal_names() -> None:
    assert run_of(ANSWERS) == "r-1"
    assert run_of(ANSWERS[:2]) is None


def test_the_explained_call_is_found_in_the_ledger() -> None:
    assert explained(STEPS, RECORDS) is RECORDS[1]
    assert explained(STEPS, RECORDS[:1]) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(Answer("r-1 goes on", words=("resume", "r-1")), [], id="it was done"),
        pytest.param(
            Answer("r-1 is paused", words=("resume", "r-1")),
            ["`fuseboard resume r-1` did not say 'goes on': r-1 is paused"],
            id="it says something else",
        ),
        pytest.param(
            Answer("not known", words=("resume", "r-1"), failed=True),
            ["`fuseboard resume r-1` failed: not known"],
            id="it cannot be done",
        ),
    ],
)
def test_what_a_person_does_has_to_work_too(answer: Answer, said: list[str]) -> None:
    assert differences((Verb("resumes", ("resume", "{run}"), said=("goes on",)),), [answer], []) == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(Answer("told", decision={"rule": "loops.repeat", "verdict": "nudge"}), "", id="as told"),
        pytest.param(Answer("plain"), "came with a word of None", id="nothing is said beside it"),
        pytest.param(Answer("told", decision={"rule": "x", "verdict": "nudge"}), "word of x", id="another word"),
    ],
)
def test_a_word_beside_a_result_is_the_one_that_was_told(answer: Answer, said: str) -> None:
    call = Call("reads", "a", ends=nudged("loops.repeat"))
    found = differences([call], [answer], [Record("a", "allow", "default", "ok")])
    assert said in "\n".join(found)
    assert bool(found) is bool(said)


@pytest.mark.parametrize("failed_", [True, False])
def test_what_was_told_to_fail_by_itself_has_to(failed_: bool) -> None:
    call = Call("pays", "a", ends=failed("lost"))
    found = differences([call], [Answer("gone", failed=failed_)], [Record("a", "allow", "default", "lost")])
    assert (found == []) is failed_


def test_the_calls_of_other_agents_are_in_other_runs_and_judged_by_their_answers() -> None:
    steps = (Call("waits", "a", by="ana", aside=True), Call("closes", "a", by="ben", ends=denied("cycle")), Back("x"))
    refused = Answer("no", decision={"run": "r-2", "verdict": "deny", "rule": "cycle"}, failed=True)
    assert differences(steps, [Answer("done"), refused, Answer()], []) == []
    other = Answer("no", decision={"run": "r-2", "verdict": "deny", "rule": "held"}, failed=True)
    (line,) = differences(steps, [Answer("done"), other, Answer()], [])
    assert "should have been refused by cycle" in line
