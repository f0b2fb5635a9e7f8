"""A run that used much and reached nothing waits for a person; one that a person stopped goes no further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.checkpoint import EXPOSED, TOOL, UPSTREAM
from fuseboard.events import CallReturned, Tool
from fuseboard.policies.review import ReviewPolicy
from fuseboard.reviews import RunState
from fuseboard.state import EMPTY, Add, Put, Snapshot
from fuseboard.stated import Stated
from fuseboard.verdicts import Allow, Deny, Hold, Verdict
from support.judging import DEPLOY, READ, call


@dataclass(frozen=True)
class Run:
    calls: int | None = 10
    time_s: float | None = None
    output_bytes: int | None = 1000
    tokens: int | None = None
    money: float | None = None
    depth: int | None = None
    parallel: int | None = None
    rate: Any = None
    pause_at: float | None = 0.5


@dataclass(frozen=True)
class Goal:
    tool: str
    truth: str = "ok"


def judge(
    used: dict[str, float], state: RunState | None = None, *, milestones: int = 0, run: Run | None = None, **facts: Any
) -> Verdict:
    values: dict[str, Any] = {"run/r1": {"used": used}, "milestones/r1": milestones}
    if state is not None:
        values["runstate/r1"] = state.written("r1").value
    return ReviewPolicy(run or Run(), ()).decide(replace(call(), at=7.0, **facts), Snapshot(values))


@pytest.mark.parametrize(
    ("used", "milestones", "pauses"),
    [
        pytest.param({}, 0, False, id="nothing used"),
        pytest.param({"calls": 4}, 0, False, id="not yet half"),
        pytest.param({"calls": 5}, 0, True, id="half of the calls"),
        pytest.param({"calls": 1, "output_bytes": 500}, 0, True, id="half of any budget"),
        pytest.param({"calls": 9}, 1, False, id="a milestone was reached"),
        pytest.param({"tokens": 1e9}, 0, False, id="a unit without a limit"),
    ],
)
def test_half_of_any_budget_without_a_milestone_pauses(used: dict[str, float], milestones: int, pauses: bool) -> None:
    verdict = judge(used, milestones=milestones)
    assert isinstance(verdict, Hold) is pauses


def test_the_pause_says_what_was_used_and_is_written_down() -> None:
    verdict = judge({"calls": 5})
    assert isinstance(verdict, Hold)
    assert verdict.rule == "run.paused"
    assert verdict.reason == "This run is paused for review: 5 of 10 calls used and no milestone reached."
    (write,) = verdict.writes
    assert isinstance(write, Put)
    assert RunState.of(write.value).state == "paused"
    assert (RunState.of(write.value).at, RunState.of(write.value).by) == (7.0, "fuseboard")


def test_without_pause_at_nothing_is_paused() -> None:
    assert judge({"calls": 9}, run=Run(pause_at=None)) == Allow()


def test_a_paused_run_is_held_whatever_it_used() -> None:
    verdict = judge({}, RunState().paused(at=1.0, by="ana", why="looks odd"))
    assert isinstance(verdict, Hold)
    assert "looks odd" in verdict.reason
    assert verdict.writes == ()


def test_a_stopped_run_is_denied_and_says_who_stopped_it() -> None:
    verdict = judge({}, RunState().stopped(at=1.0, by="ana", why="wrong repository"))
    assert isinstance(verdict, Deny)
    assert verdict.rule == "run.stopped"
    assert "ana stopped this run: wrong repository" in verdict.reason


def test_after_a_review_that_granted_nothing_more_the_limit_itself_is_the_next_stop() -> None:
    state = RunState().resumed(at=2.0, by="ana", used={"calls": 5}, milestones=0)
    assert judge({"calls": 9}, state) == Allow()


def test_after_a_review_that_granted_more_half_of_what_was_left_is_the_next_stop() -> None:
    state = RunState().resumed(at=2.0, by="ana", used={"calls": 5}, milestones=0, more={"calls": 10})
    assert judge({"calls": 12}, state) == Allow()
    assert isinstance(judge({"calls": 13}, state), Hold)  # 5 used of 20: half of the other 15 is 7.5


def test_a_milestone_since_the_last_review_spares_the_next() -> None:
    state = RunState().resumed(at=2.0, by="ana", used={"calls": 5}, milestones=2, more={"calls": 10})
    assert isinstance(judge({"calls": 14}, state, milestones=2), Hold)
    assert judge({"calls": 14}, state, milestones=3) == Allow()


def test_a_signed_run_is_measured_by_its_own_limits() -> None:
    assert judge({"calls": 9}, stated=Stated({"calls": 100.0})) == Allow()
    assert isinstance(judge({"calls": 9}, stated=Stated({"money": 1.0})), Hold)


def test_a_signed_run_is_paused_where_its_token_says() -> None:
    assert judge({"calls": 8}, stated=Stated(pause_at=0.9)) == Allow()
    assert isinstance(judge({"calls": 9}, stated=Stated(pause_at=0.9)), Hold)
    assert isinstance(judge({"calls": 1}, stated=Stated(pause_at=0.1)), Hold)


def test_the_later_rounds_of_a_call_are_not_paused_in_the_middle() -> None:
    assert judge({"calls": 9}, continues="d-1") == Allow()


@pytest.mark.parametrize(
    ("tool", "truth", "reached"),
    [(DEPLOY, "ok", True), (DEPLOY, "business_error", False), (READ, "ok", False)],
)
def test_a_milestone_is_a_result_that_can_be_seen(tool: Any, truth: str, reached: bool) -> None:
    policy = ReviewPolicy(Run(), (Goal("ci__*"),))
    verdict = policy.decide(CallReturned(1.0, call(tool), truth, None), EMPTY)
    assert [write.key for write in verdict.writes] == (["milestones/r1"] if reached else [])
    assert all(isinstance(write, Add) for write in verdict.writes)


@pytest.mark.parametrize(("offered", "counts"), [(False, True), (True, False)])
def test_no_glob_counts_our_own_checkpoint_but_a_server_of_that_name_is_its_own_affair(
    offered: bool, counts: bool
) -> None:
    ours = Tool(UPSTREAM, TOOL, EXPOSED)
    policy = ReviewPolicy(Run(), (Goal("*"),), offered=offered)
    verdict = policy.decide(CallReturned(1.0, call(ours), "ok"), EMPTY)
    assert isinstance(verdict, Allow)
    assert (verdict.rule == "milestone") is counts
