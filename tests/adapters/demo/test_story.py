import pytest

from fuseboard.adapters.demo.story import (
    ALLOWED,
    Call,
    Chapter,
    Ending,
    Look,
    Verb,
    denied,
    held,
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
