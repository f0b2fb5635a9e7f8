"""Is there anything left: of the run's own limits, and of what its principal's runs have together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.accounts import standing
from fuseboard.adapters.stores.table import Table
from fuseboard.budgets import allowance
from fuseboard.config.units import Rate
from fuseboard.events import CallProposed, CallReturned
from fuseboard.policies.budgets import RESERVE_BYTES, BudgetPolicy
from fuseboard.reviews import RunState
from fuseboard.state import EMPTY
from fuseboard.stated import Stated
from fuseboard.verdicts import Allow, Deny, Verdict
from support.judging import DEPLOY, READ, call


@dataclass(frozen=True)
class Run:
    calls: int | None = 3
    time_s: float | None = None
    output_bytes: int | None = None
    tokens: int | None = None
    money: float | None = None
    depth: int | None = None
    parallel: int | None = None
    rate: Rate | None = None
    pause_at: float | None = None


@dataclass(frozen=True)
class Shared:
    """Limits of a principal's runs together, or of all runs at one upstream."""

    calls: int | None = None
    time_s: float | None = None
    output_bytes: int | None = None
    tokens: int | None = None
    money: float | None = None
    parallel: int | None = None
    rate: Rate | None = None
    window_s: float = 900.0


@dataclass
class Ledger:
    """A store's table with one policy before it: calls are judged, admitted and settled as the exchange does it."""

    run: Run = field(default_factory=Run)
    principal: Shared = field(default_factory=lambda: Shared(calls=1000))
    at: float = 1000.0
    calls: int = 0

    def __post_init__(self) -> None:
        self.table = Table()
        self.policy = BudgetPolicy(self.run, allowance(self.run, self.principal))

    def propose(self, **facts: Any) -> CallProposed:
        self.calls += 1
        return replace(call(), at=self.at, id=f"d-{self.calls}", **facts)

    def ask(self, event: CallProposed) -> Verdict:
        """Judge, and where it is allowed admit."""
        read = self.table.read(self.policy.keys(event), at=event.at)
        verdict = self.policy.decide(event, read)
        if isinstance(verdict, Allow):
            assert self.table.apply(verdict.writes, read, at=event.at) is not None
        return verdict

    def settle(self, event: CallProposed, *, result_bytes: int = 0, truth: str = "ok", late: bool = False) -> None:
        verdict = self.policy.decide(CallReturned(self.at, event, truth, None, result_bytes, late), EMPTY)
        assert self.table.apply(verdict.writes, EMPTY, at=self.at) is not None

    def use(self, *, result_bytes: int = 0, **facts: Any) -> Verdict:
        event = self.propose(**facts)
        if isinstance(verdict := self.ask(event), Allow):
            self.settle(event, result_bytes=result_bytes)
        return verdict


def denied(verdict: Verdict) -> Deny:
    assert isinstance(verdict, Deny), verdict
    return verdict


def test_a_run_may_use_its_calls_and_not_one_more() -> None:
    ledger = Ledger()
    assert all(isinstance(ledger.use(), Allow) for _ in range(3))
    refusal = denied(ledger.use())
    assert refusal.rule == "run.calls"
    assert "This run used 3 of 3 calls" in refusal.reason
    assert "tell the user" in refusal.reason
    assert refusal.facts == {"unit": "calls", "used": 3, "held": 0, "limit": 3, "scope": "run"}


def test_calls_under_way_count_before_they_are_settled() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.ask(ledger.propose())
    assert "3 of them held by calls under way" in denied(ledger.ask(ledger.propose())).reason


def test_a_new_run_of_the_same_principal_draws_on_the_same_allowance() -> None:
    ledger = Ledger(principal=Shared(calls=4))
    for run in ("a", "b", "c", "d"):
        assert isinstance(ledger.use(run=run), Allow)
    refusal = denied(ledger.use(run="e"))
    assert (refusal.rule, refusal.facts["scope"]) == ("principal.calls", "principal")
    assert isinstance(ledger.use(run="f", signed=True), Allow)  # the operator's own word


def test_the_allowance_comes_back_when_its_window_is_over() -> None:
    ledger = Ledger(principal=Shared(calls=1, window_s=900))
    assert isinstance(ledger.use(run="a"), Allow)
    ledger.at += 890
    assert isinstance(ledger.use(run="b"), Deny)
    ledger.at += 120
    assert isinstance(ledger.use(run="c"), Allow)


def test_what_is_not_stated_for_the_principal_is_five_times_the_run_s() -> None:
    assert allowance(Run(calls=3, output_bytes=10), Shared(calls=7)).ceilings == {"calls": 7, "output_bytes": 50}


def test_output_is_counted_as_it_came_and_passes_its_ceiling_by_no_more_than_one_result() -> None:
    ledger = Ledger(Run(calls=None, output_bytes=1_000_000))
    assert isinstance(ledger.use(result_bytes=990_001), Allow)
    assert denied(ledger.use(result_bytes=1)).rule == "run.output"


def test_what_comes_late_of_a_task_is_output_and_no_second_call() -> None:
    ledger = Ledger(Run(calls=3, output_bytes=1000, money=1.0), principal=Shared(calls=9, output_bytes=5000))
    event = ledger.propose(tool=replace(DEPLOY, cost=0.25))
    ledger.ask(event)
    ledger.settle(event, result_bytes=50, truth="task")
    ledger.settle(event, result_bytes=940, late=True)
    for key in ledger.policy.keys(event)[::2]:
        now = standing(ledger.table.read([key], at=ledger.at).get(key), at=ledger.at, window_s=900)
        assert now.used["output_bytes"] == 990
        assert (now.used["calls"], now.used["money"], set(now.held)) == (1, 0.25, set())
    assert isinstance(ledger.use(), Allow)
    ledger.settle(event, result_bytes=10, late=True)  # past its ceiling: it has come, and cannot be refused
    assert denied(ledger.use()).rule == "run.output"


def test_parallel_calls_hold_back_what_they_may_return() -> None:
    ledger = Ledger(Run(calls=None, output_bytes=100 * RESERVE_BYTES))
    admitted = [ledger.ask(ledger.propose()) for _ in range(120)]
    assert sum(isinstance(verdict, Allow) for verdict in admitted) == 100


def test_tokens_are_an_estimate_and_say_so() -> None:
    ledger = Ledger(Run(calls=None, tokens=1000))
    ledger.use(result_bytes=4000)
    assert "tokens (an estimate)" in denied(ledger.use()).reason


def test_declared_costs_are_exact() -> None:
    ledger = Ledger(Run(calls=None, money=1.0))
    deploy = replace(DEPLOY, cost=0.5)
    assert isinstance(ledger.use(tool=deploy), Allow)
    assert isinstance(ledger.use(tool=deploy), Allow)
    assert isinstance(ledger.use(tool=READ), Allow)
    refusal = denied(ledger.use(tool=deploy))
    assert refusal.rule == "run.money"
    assert "used 1 of 1 of money, and this call costs 0.50" in refusal.reason
    assert refusal.facts["price"] == 0.5


def test_active_time_runs_while_a_call_does_and_a_little_beyond() -> None:
    ledger = Ledger(Run(calls=None, time_s=300))
    event = ledger.propose()
    ledger.ask(event)
    ledger.at += 250
    ledger.settle(event)
    ledger.at += 3600
    assert isinstance(ledger.use(), Allow)  # an hour of nothing is no activity; a minute of it counts
    assert denied(ledger.use()).rule == "run.time"


def test_a_chain_of_agents_ends_at_its_depth() -> None:
    ledger = Ledger(Run(depth=2))
    assert isinstance(ledger.use(depth=1), Allow)
    assert denied(ledger.use(depth=2)).rule == "run.depth"


def test_callers_never_starve_those_they_call() -> None:
    ledger = Ledger(Run(calls=None, parallel=2))
    for _ in range(2):
        assert isinstance(ledger.ask(ledger.propose()), Allow)
    crowded = denied(ledger.ask(ledger.propose()))
    assert (crowded.rule, crowded.retry_after_s) == ("run.parallel", 1.0)
    assert isinstance(ledger.ask(ledger.propose(depth=1)), Allow)


def test_a_rate_says_exactly_when_to_come_back() -> None:
    ledger = Ledger(Run(calls=None, rate=Rate(60, 60.0, 2)))
    assert isinstance(ledger.use(), Allow)
    assert isinstance(ledger.use(), Allow)
    early = denied(ledger.use())
    assert (early.rule, early.retry_after_s) == ("run.rate", 1.0)
    ledger.at += 1.0
    assert isinstance(ledger.use(), Allow)


def test_the_later_rounds_of_one_call_are_no_calls_of_their_own() -> None:
    ledger = Ledger(Run(calls=2, rate=Rate(1, 60.0, 1)))
    assert isinstance(ledger.use(), Allow)
    assert all(isinstance(ledger.use(continues="d-1"), Allow) for _ in range(5))
    ledger.at += 60
    assert isinstance(ledger.use(), Allow)
    assert denied(ledger.use()).rule == "run.calls"


def test_prompts_and_resources_are_no_tool_calls_but_their_bytes_count() -> None:
    ledger = Ledger(Run(calls=1, output_bytes=100_000))
    assert isinstance(ledger.use(method="prompts/get", result_bytes=99_900), Allow)
    assert denied(ledger.use(method="resources/read")).rule == "run.output"


def test_what_a_review_granted_counts() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.use()
    state = RunState(more={"calls": 1})
    ledger.table.apply([state.written("r1")], EMPTY, at=ledger.at)
    assert isinstance(ledger.use(), Allow)
    assert isinstance(ledger.use(), Deny)


def test_a_signed_run_has_the_limits_of_its_token() -> None:
    ledger = Ledger()
    stated = Stated({"calls": 5.0})
    assert all(isinstance(ledger.use(signed=True, stated=stated), Allow) for _ in range(5))
    assert denied(ledger.use(signed=True, stated=stated)).facts["limit"] == 5


@pytest.mark.parametrize(
    ("stated", "facts", "rule"),
    [
        pytest.param(Stated(depth=2), {"depth": 2}, "run.depth", id="less depth"),
        pytest.param(Stated(depth=9), {"depth": 8}, None, id="more depth"),
        pytest.param(Stated(parallel=1), {}, "run.parallel", id="fewer at once"),
        pytest.param(Stated(parallel=9), {}, None, id="more at once"),
        pytest.param(Stated(pace=(60.0, 1), rate="1/min"), {}, "run.rate", id="a slower rate"),
        pytest.param(Stated(), {}, None, id="nothing"),
    ],
)
def test_its_token_sets_every_limit_of_a_signed_run(stated: Stated, facts: dict[str, int], rule: str | None) -> None:
    ledger = Ledger(run=Run(depth=4, parallel=2))
    under_way = ledger.propose(signed=True, stated=stated)
    ledger.ask(under_way)
    verdict = ledger.ask(ledger.propose(signed=True, stated=stated, **facts))
    assert (verdict.rule if isinstance(verdict, Deny) else None) == rule


def test_what_its_token_does_not_state_is_as_configured() -> None:
    ledger = Ledger()
    refusal = [ledger.use(signed=True, stated=Stated({"money": 9.0}, parallel=2)) for _ in range(4)][-1]
    assert denied(refusal).rule == "run.calls"


@pytest.mark.parametrize("truth", ["lost", "timeout", "cancelled", "error"])
def test_a_call_that_failed_is_charged_too(truth: str) -> None:
    ledger = Ledger(Run(calls=1))
    event = ledger.propose()
    ledger.ask(event)
    ledger.settle(event, truth=truth)
    assert isinstance(ledger.use(), Deny)


def test_a_call_whose_end_nobody_saw_is_charged_in_full_after_its_deadline() -> None:
    ledger = Ledger(Run(calls=1, parallel=1))
    ledger.ask(ledger.propose(timeout_s=30))
    ledger.at += 1000
    assert denied(ledger.use()).rule == "run.calls"


def test_listings_are_no_question_of_budgets() -> None:
    assert Ledger().policy.decide(call(), EMPTY) != Allow()
