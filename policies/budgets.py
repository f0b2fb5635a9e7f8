"""Is there anything left of what this run, and its principal, may use?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fuseboard.accounts import Standing, pace_wait_s, standing
from fuseboard.budgets import (
    CALLS,
    IDLE_S,
    KEPT_S,
    MONEY,
    OUTPUT,
    TOKEN_BYTES,
    TOKENS,
    WORDS,
    Allowance,
    RunLimitsLike,
    ceilings,
    number,
    principal_key,
    run_key,
    slots,
)
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.reviews import RunState, state_key
from fuseboard.state import Reserve, Settle, Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Verdict

RESERVE_BYTES: Final = 16_384
"""What a call holds of the output budget while nobody knows how much it will return.

So the output of a run passes its ceiling by at most what its calls under way return beyond this.
"""

_LAPSE_S: Final = 60.0
"""How long after its deadline a call's end is still waited for, before its hold is charged in full."""

_TOOL_CALL: Final = "tools/call"


class BudgetPolicy:
    """Reserves what a call may need before it is sent, all of it or nothing, and settles what it took afterwards.

    Runs that the operator signed stand alone; all others of one principal draw on one allowance besides their own
    limits, so that a new run, however it is named, is no way around a budget.
    """

    name = "budgets"
    tells_callers_apart = False

    def __init__(self, run: RunLimitsLike, allowance: Allowance) -> None:
        self._ceilings = ceilings(run)
        self._depth = run.depth
        self._parallel = run.parallel
        self._rate = run.rate
        self._pace = (run.rate.per_s / run.rate.count, run.rate.burst) if run.rate is not None else None
        self._allowance = allowance

    def keys(self, event: Event) -> tuple[str, ...]:
        if isinstance(event, CallProposed):
            own = (run_key(event.run), state_key(event.run))
            return own if event.signed else (*own, principal_key(event.caller.principal))
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return self._proposed(event, state)
        if isinstance(event, CallReturned):
            return Allow(writes=self._settlement(event))
        return Allow()

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        if self._depth is not None and event.depth >= self._depth:
            return self._too_deep(event, self._depth)
        mine = RunState.of(state.get(state_key(event.run))).raised(event.stated or self._ceilings)
        run = standing(state.get(run_key(event.run)), at=event.at)
        needed = _needed(event, mine)
        if (over := _over(run, needed, mine)) is not None:
            return self._spent(event, over, run, mine, "This run", "run")
        if not event.signed:
            key = principal_key(event.caller.principal)
            together = standing(state.get(key), at=event.at, window_s=self._allowance.window_s)
            if (over := _over(together, needed, self._allowance.ceilings)) is not None:
                return self._spent(
                    event, over, together, self._allowance.ceilings, "All your runs together", "principal"
                )
        slot = slots(event.depth)
        if self._parallel is not None and run.taken(slot) >= self._parallel:
            return self._crowded(event, self._parallel)
        pace = self._pace if event.continues is None and event.method == _TOOL_CALL else None
        if pace is not None:
            early_s = pace_wait_s(state.get(run_key(event.run)), pace, at=event.at)
            if early_s > 0:
                return self._too_fast(event, early_s)
        return Allow(facts={"used": run.used}, writes=self._admission(event, needed, mine, pace))

    def _admission(
        self,
        event: CallProposed,
        needed: Mapping[str, float],
        mine: Mapping[str, float],
        pace: tuple[float, int] | None,
    ) -> tuple[Write, ...]:
        hold_s = event.timeout_s + _LAPSE_S
        slot = slots(event.depth)
        limits = mine if self._parallel is None else {**mine, slot: self._parallel}
        own = {**needed, slot: 1}
        run = Reserve(run_key(event.run), event.id, own, limits, hold_s, event.kept_s, idle_s=IDLE_S, pace=pace)
        if event.signed:
            return (run,)
        key, (together, window_s) = principal_key(event.caller.principal), self._allowance
        return (run, Reserve(key, event.id, needed, together, hold_s, KEPT_S + window_s, window_s))

    def _settlement(self, event: CallReturned) -> tuple[Write, ...]:
        call = event.proposal
        took: dict[str, float] = {
            CALLS: 0 if call.continues is not None or call.method != _TOOL_CALL else 1,
            OUTPUT: event.result_bytes,
            TOKENS: event.result_bytes / TOKEN_BYTES,
            MONEY: call.tool.cost if call.continues is None else 0,
        }
        run = Settle(run_key(call.run), call.id, took, call.kept_s, idle_s=IDLE_S)
        if call.signed:
            return (run,)
        window_s = self._allowance.window_s
        return (run, Settle(principal_key(call.caller.principal), call.id, took, KEPT_S + window_s, window_s))

    def _spent(
        self,
        event: CallProposed,
        unit: str,
        now: Standing,
        limits: Mapping[str, float],
        whose: str,
        scope: str,
    ) -> Deny:
        used, held, limit = now.used.get(unit, 0), now.held.get(unit, 0), limits[unit]
        flight = f" ({number(held)} of them held by calls under way)" if held else ""
        reason = (
            f"{event.tool.exposed} was not called: the budget is spent. {whose} used {number(now.taken(unit))}{flight} "
            f"of {number(limit)} {WORDS[unit]}. Do not go on calling tools: sum up what is done and what is left, and "
            "tell the user."
        )
        facts = {"unit": unit, "used": used, "held": held, "limit": limit, "scope": scope}
        return Deny(f"{scope}.{unit.removesuffix('_s').removesuffix('_bytes')}", reason, facts)

    def _too_deep(self, event: CallProposed, limit: int) -> Deny:
        reason = (
            f"{event.tool.exposed} was not called: it stands on {event.depth} calls under way, and {limit} is the "
            "most that may stand on one another. Answer with what you have instead of asking yet another agent."
        )
        return Deny("run.depth", reason, {"depth": event.depth, "limit": limit})

    def _crowded(self, event: CallProposed, limit: int) -> Deny:
        reason = (
            f"{event.tool.exposed} was not called: {limit} calls of this run are under way, and no more may be at "
            "once. Wait for one of them to return, then call it again."
        )
        return Deny("run.parallel", reason, {"limit": limit, "depth": event.depth}, retry_after_s=1.0)

    def _too_fast(self, event: CallProposed, early_s: float) -> Deny:
        assert self._rate is not None
        reason = (
            f"{event.tool.exposed} was not called: this run calls too fast ({self._rate}). Call it again in "
            f"{early_s:.1f} s, and fewer tools at a time."
        )
        return Deny("run.rate", reason, {"rate": str(self._rate)}, retry_after_s=round(early_s, 3))


def _needed(event: CallProposed, limits: Mapping[str, float]) -> dict[str, float]:
    """What the call holds until its end is seen. The later rounds of one logical call are no calls of their own."""
    first = event.continues is None
    output = min(RESERVE_BYTES, limits.get(OUTPUT, RESERVE_BYTES) / 100)
    tokens = min(RESERVE_BYTES / TOKEN_BYTES, limits.get(TOKENS, RESERVE_BYTES) / 100)
    return {
        CALLS: 1 if first and event.method == _TOOL_CALL else 0,
        OUTPUT: output,
        TOKENS: tokens,
        MONEY: event.tool.cost if first else 0,
    }


def _over(now: Standing, needed: Mapping[str, float], limits: Mapping[str, float]) -> str | None:
    """The first unit of which too little is left. Of what a call is not known to need, some has to be left."""
    for unit, limit in limits.items():
        if now.taken(unit) + needed.get(unit, 0) > limit or (unit not in needed and now.taken(unit) >= limit):
            return unit
    return None
