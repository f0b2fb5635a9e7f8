"""The state of a run, as a person changes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.reviews import RunState, due


def test_what_nobody_touched_runs() -> None:
    assert RunState.of(None) == RunState()
    assert RunState.of(None).state == "running"


def test_it_is_kept_as_json_and_read_back() -> None:
    state = (
        RunState()
        .paused(at=1.0, by="ana", why="odd")
        .resumed(at=2.0, by="bo", used={"calls": 5}, milestones=1, more={"calls": 200})
    )
    write = state.written("r1")
    assert write.key == "runstate/r1"
    assert RunState.of(write.value) == state


def test_what_reviews_granted_adds_up() -> None:
    state = RunState()
    for more in ({"calls": 10.0}, {"calls": 5.0, "money": 1.0}, {}):
        state = state.resumed(at=1.0, by="ana", used={}, milestones=0, more=more)
    assert state.raised({"calls": 100.0, "money": 5.0, "tokens": 7.0}) == {"calls": 115.0, "money": 6.0, "tokens": 7.0}
    assert state.reviews == 3


def test_a_unit_without_a_ceiling_stays_without() -> None:
    state = RunState().resumed(at=1.0, by="ana", used={}, milestones=0, more={"calls": 10.0})
    assert state.raised({"tokens": 7.0}) == {"tokens": 7.0}


@pytest.mark.parametrize("share", [0.5, 0.8, 1.0])
def test_a_review_is_due_from_its_share_on(share: float) -> None:
    state = RunState()
    assert due(state, {"calls": share * 100 - 1}, {"calls": 100.0}, share, milestones=0) is None
    assert due(state, {"calls": share * 100}, {"calls": 100.0}, share, milestones=0) == "calls"


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e6), st.floats(0.01, 1))
def test_who_used_more_is_never_spared_what_who_used_less_is_not(
    less: float, extra: float, ceiling: float, share: float
) -> None:
    state = RunState()
    if due(state, {"calls": less}, {"calls": ceiling}, share, milestones=0) is not None:
        assert due(state, {"calls": less + extra}, {"calls": ceiling}, share, milestones=0) is not None
