import pytest

from fuseboard.adapters.demo.story import (
    ALLOWED,
    Answer,
    Call,
    Chapter,
    Ending,
    Look,
    Verb,
    denied,
    failed,
    held,
    junk,
    nudged,
    rewritten,
    steps_of,
)


@pytest.mark.parametrize(
    ("ending", "refused"),
    [
        pytest.param(ALLOWED, False, id="an allowed call is sent"),
        pytest.param(rewritten("r"), False, id="a rewritten call is sent"),
        pytest.param(denied("r"), True, id="a denied call is not"),
        pytest.param(held("r"), True, id="a held call is not"),
    ],
)
def test_what_is_refused_has_that_for_its_truth(ending: Ending, refused: bool) -> None:
    assert (ending.refused, ending.truth) == (refused, "denied" if refused else "ok")


def test_the_steps_of_a_story_are_those_of_its_chapters_in_order() -> None:
    one, two, three = Look("a"), Call("b", "t"), Call("c", "t")
    assert steps_of([Chapter("x", (one, two)), Chapter("y", (three,))]) == (one, two, three)


def test_the_run_s_own_name_stands_in_what_a_person_types() -> None:
    assert Verb("a", ("resume", "{run}", "--why", "run {run}")).of("r-1") == ("resume", "r-1", "--why", "run {run}")


@pytest.mark.parametrize(
    ("ending", "fails"),
    [
        pytest.param(ALLOWED, False, id="a good call"),
        pytest.param(failed("lost"), True, id="a call that is lost"),
        pytest.param(junk(), False, id="junk calls itself a success"),
        pytest.param(nudged("loops.repeat"), False, id="a word beside a good result"),
        pytest.param(denied("no"), False, id="a refusal is no failure of the server"),
    ],
)
def test_an_ending_says_whether_the_agent_gets_an_error_of_the_server_s(ending: Ending, fails: bool) -> None:
    assert ending.fails is fails


def test_only_a_nudge_is_a_word_beside_a_result() -> None:
    assert Answer(decision={"verdict": "nudge", "rule": "a"}).nudge == "a"
    assert Answer(decision={"verdict": "deny", "rule": "a"}).nudge is None
    assert Answer().nudge is None
