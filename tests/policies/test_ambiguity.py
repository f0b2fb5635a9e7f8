"""Is it clear enough what a call does: what is held, what is only written down, and what becomes familiar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard import pipeline
from fuseboard.adapters.stores.table import Table
from fuseboard.budgets import milestones_key, run_key
from fuseboard.cedar.rules import compile_rules
from fuseboard.events import Caller, CallProposed, CallReturned, Effect, Event, Tool, ToolListed
from fuseboard.policies.ambiguity import AmbiguityPolicy
from fuseboard.state import EMPTY, Add, Reserve, Settle
from fuseboard.verdicts import Allow, Hold, Verdict
from support.judging import ANA, DEPLOY, READ, FakeRule, call

BOLD: dict[str, Any] = {"to": "ana@example.org", "files": "/srv/*"}
"""With a new tool it scores 63."""


@dataclass(frozen=True)
class Run:
    calls: int | None = None
    time_s: float | None = None
    output_bytes: int | None = None
    tokens: int | None = None
    money: float | None = None
    depth: int | None = None
    parallel: int | None = None
    rate: None = None
    pause_at: float | None = None


class Judge:
    """One policy over a store's table."""

    def __init__(self, ask_above: int | None = 60, *, run: Run | None = None, rules: tuple[FakeRule, ...] = ()) -> None:
        self.policy = AmbiguityPolicy(ask_above, run or Run(), compile_rules(rules, "allow"))
        self.table = Table()

    def ask(self, event: Event) -> Verdict:
        read = self.table.read(self.policy.keys(event), at=event.at)
        verdict = self.policy.decide(event, read)
        assert self.table.apply(verdict.writes, read, at=event.at) is not None
        return verdict

    def came_back(self, event: CallProposed, truth: str = "ok") -> int:
        verdict = self.ask(CallReturned(event.at, event, truth))
        assert isinstance(verdict, Allow)
        return len(verdict.writes)


def points(verdict: Verdict) -> int:
    found: int = verdict.facts["score"]
    return found


def test_what_scores_enough_waits_for_a_person_who_is_told_why() -> None:
    held = Judge().ask(call(DEPLOY, BOLD))
    assert isinstance(held, Hold)
    assert held.rule == "ambiguity"
    assert (held.facts["score"], held.facts["ask_above"]) == (63, 60)
    assert [term["term"] for term in held.facts["terms"]] == ["irreversibility", "unfamiliarity", "blast radius"]
    assert held.reason == (
        "A person has to approve calling ci__deploy, 63 of 100 points: what it does may not be undone (35); "
        "the tool is new for this principal; it was never called with these arguments together; new in to (20); "
        "a wildcard in files (8)."
    )


def test_what_scores_less_goes_on_and_its_score_is_written_down() -> None:
    verdict = Judge().ask(call(DEPLOY, {"id": 7}))
    assert isinstance(verdict, Allow)
    assert verdict.rule is None  # it has no say in what allowed the call
    assert points(verdict) == 47


@pytest.mark.parametrize(("ask_above", "held"), [(63, True), (64, False), (None, False), (0, True)])
def test_the_operator_says_from_where(ask_above: int | None, held: bool) -> None:
    verdict = Judge(ask_above).ask(call(DEPLOY, BOLD))
    assert isinstance(verdict, Hold) is held
    assert points(verdict) == 63


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(call(READ, BOLD), id="a read"),
        pytest.param(call(DEPLOY, BOLD, method="prompts/get"), id="a prompt"),
        pytest.param(replace(call(DEPLOY, BOLD), continues="d-1"), id="a later round of a call"),
        pytest.param(ToolListed(0.0, ANA, DEPLOY), id="a listing"),
        pytest.param(CallReturned(0.0, call(READ, BOLD), "ok"), id="a read that came back"),
    ],
)
def test_everything_else_is_not_scored_and_reads_nothing(event: Event) -> None:
    judge = Judge(0)
    assert judge.policy.keys(event) == ()
    assert judge.policy.decide(event, EMPTY) == Allow()


def test_a_read_has_a_score_for_whoever_asks() -> None:
    judge = Judge()
    assert judge.policy.scored(call(READ, BOLD), EMPTY).total == 28


def test_what_worked_is_familiar_the_next_time() -> None:
    judge = Judge()
    event = call(DEPLOY, BOLD)
    assert judge.came_back(event) == 2
    assert points(judge.ask(event)) == 43
    assert points(judge.ask(replace(event, caller=Caller("ben")))) == 63
    assert judge.came_back(event) == 0


@pytest.mark.parametrize("truth", ["tool_error", "business_error", "timeout", "denied", "input_required", "task"])
def test_what_did_not_work_stays_as_new_as_it_was(truth: str) -> None:
    judge = Judge()
    event = call(DEPLOY, BOLD)
    assert judge.came_back(event, truth) == 0
    assert points(judge.ask(event)) == 63


def test_a_call_in_rounds_becomes_familiar_with_its_last() -> None:
    judge = Judge()
    assert judge.came_back(replace(call(DEPLOY, BOLD), continues="d-1")) == 2


def test_names_that_a_caller_makes_up_are_not_remembered() -> None:
    judge = Judge()
    made_up = replace(DEPLOY, known=False)
    assert judge.came_back(call(made_up, BOLD)) == 0
    assert points(judge.ask(call(made_up, BOLD))) == 66


def test_a_call_that_no_rule_speaks_of_scores_more_where_there_are_rules() -> None:
    other, same = FakeRule("a", "deny", tools=("files__*",)), FakeRule("b", "allow", tools=("ci__*",))
    event = call(DEPLOY, {"id": 7})
    assert points(Judge(rules=(other,)).ask(event)) == 51
    assert points(Judge(rules=(other, same)).ask(event)) == 47


@pytest.mark.parametrize(("used", "milestones", "expected"), [(4, 0, 47), (5, 0, 52), (5, 1, 47)])
def test_half_a_budget_without_a_milestone_is_pressure(used: int, milestones: int, expected: int) -> None:
    judge = Judge(run=Run(calls=10))
    event = call(DEPLOY, {"id": 7})
    for number in range(used):
        spend = (
            Reserve(run_key("r1"), f"d-{number}", {"calls": 1}, {}, 60, 60),
            Settle(run_key("r1"), f"d-{number}", {"calls": 1}, 60),
        )
        assert judge.table.apply(spend, EMPTY, at=0.0) is not None
    for _ in range(milestones):
        assert judge.table.apply((Add(milestones_key("r1"), 1, None, 60),), EMPTY, at=0.0) is not None
    assert points(judge.ask(event)) == expected


def test_an_approval_of_it_lets_the_very_same_judgement_pass() -> None:
    judge, event = Judge(), call(DEPLOY, BOLD)
    outcome = pipeline.descend((judge.policy,), event, EMPTY, granted={("ambiguity", "ambiguity"): "a-1"})
    assert outcome.refused is None
    assert outcome.checks[0].facts["approved"] == "a-1"


def test_effects_alone_make_a_difference() -> None:
    tool = Tool("x", "y", "x__y", Effect.WRITE)
    assert points(Judge().ask(call(tool, {"id": 7}))) == 27
