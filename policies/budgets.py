"""Is there anything left of what this run, and its principal, may use?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from fuseboard.accounts import SLOTS, TIME, Standing, frees_s, pace_wait_s, standing
from fuseboard.budgets import (
    CALLS,
    IDLE_S,
    KEPT_S,
    MONEY,
    OUTPUT,
    TOKEN_BYTES,
    TOKENS,
    WORDS,
    Limits,
    RunLimitsLike,
    limits_of,
    number,
    principal_key,
    run_key,
    slots,
    upstream_key,
)
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.reviews import RunState, state_key
from fuseboard.state import Reserve, Settle, Snapshot, Write
from fuseboard.stated import Stated
from fuseboard.verdicts import Allow, Deny, Verdict

RESERVE_BYTES: Final = 16_384
"""What a call holds of the output budget while nobody knows how much it will return.

So the output of a run passes its ceiling by at most what its calls under way return beyond this.
"""

_LAPSE_S: Final = 60.0
"""How long after its deadline a call's end is still waited for, before its hold is charged in full."""

_TOOL_CALL: Final = "tools/call"
_REMEMBERED: Final = 256

NO_UPSTREAMS: Final[Mapping[str, Limits]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, Any]] = {}


class Account(NamedTuple):
    """One of the accounts that a call draws on. ``idle_s`` is given where it counts active time.

    ``ceilings`` are those of ``limits`` and, as one more unit, how many calls may be under way.
    """

    scope: str
    key: str
    limits: Limits
    ceilings: Mapping[str, float]
    ttl_s: float
    idle_s: float | None = None


class _Drawn(NamedTuple):
    """What a call draws on, the run's own account first, and the keys of all that is read to judge it."""

    accounts: tuple[Account, ...]
    keys: tuple[str, ...]


_WHOSE: Final = {"run": "This run", "principal": "All your runs together", "upstream": "All runs together at {server}"}


class BudgetPolicy:
    """Reserves what a call may need before it is sent, all of it or nothing, and settles what it took afterwards.

    Runs that the operator signed stand alone; all others of one principal draw on one allowance besides their own
    limits, so that a new run, however it is named, is no way around a budget. An upstream that has limits of its own
    gives no more than those to all of them together.
    """

    name = "budgets"
    tells_callers_apart = False
    keyed_by_call = False
    judges = (CallProposed, CallReturned)

    def __init__(self, run: RunLimitsLike, allowance: Limits, upstreams: Mapping[str, Limits] = NO_UPSTREAMS) -> None:
        self._run = limits_of(run)
        self._depth = run.depth
        self._allowance = allowance
        self._upstreams = {alias: limits for alias, limits in upstreams.items() if not limits.empty}
        # Not a memory of calls: what follows from the configuration is the same for each call of a run.
        self._drawn: Callable[[str, str | None, str | None, int, float], _Drawn] = lru_cache(_REMEMBERED)(self._draw)
        self._needed: Callable[[bool, float, int], dict[str, float]] = lru_cache(_REMEMBERED)(self._need)

    def keys(self, event: Event) -> tuple[str, ...]:
        return self._drawn_on(event).keys if isinstance(event, CallProposed) else ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return self._proposed(event, state)
        if isinstance(event, CallReturned):
            return Allow(writes=self._settlement(event))
        return Allow()

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        depth = self._depth if event.stated is None else event.stated.depth or self._depth
        if depth is not None and event.depth >= depth:
            return _too_deep(event, depth)
        accounts, first = self._drawn_on(event).accounts, event.continues is None
        paced = first and event.method == _TOOL_CALL
        amounts = self._needed(paced, event.tool.cost if first else 0, event.depth)
        kept = state.values.get(state_key(event.run))
        if kept is not None or event.stated is not None:
            own = self._own(event, accounts[0], RunState.of(kept))
            accounts = (own, *accounts[1:])
            amounts = {**amounts, **_guessed(own.ceilings)}
        hold_s = event.timeout_s + _LAPSE_S
        writes = []
        for account in accounts:
            _, key, limits, ceilings, ttl_s, idle_s = account
            if (refused := _refused(event, account, state.values.get(key), amounts, paced)) is not None:
                return refused
            pace = limits.pace if paced else None
            writes.append(Reserve(key, event.id, amounts, ceilings, hold_s, ttl_s, limits.window_s, idle_s, pace))
        used = (state.values.get(accounts[0].key) or _NOTHING).get("used", _NOTHING)
        return Allow(facts={"used": used}, writes=tuple(writes))

    def _own(self, event: CallProposed, account: Account, now: RunState) -> Account:
        """The run's own account, with what its token states and what reviews added."""
        limits = self._run if event.stated is None else _as_stated(self._run, event.stated)
        limits = limits._replace(ceilings=now.raised(limits.ceilings))
        return account._replace(limits=limits, ceilings=_ceilings(limits, event.depth))

    def _drawn_on(self, call: CallProposed) -> _Drawn:
        principal = None if call.signed or self._allowance.empty else call.caller.principal
        upstream = call.tool.upstream if call.tool.upstream in self._upstreams else None
        return self._drawn(call.run, principal, upstream, call.depth, call.kept_s)

    def _draw(self, run: str, principal: str | None, upstream: str | None, depth: int, kept_s: float) -> _Drawn:
        accounts = [Account("run", run_key(run), self._run, _ceilings(self._run, depth), kept_s, IDLE_S)]
        if principal is not None:
            accounts.append(_shared("principal", principal_key(principal), self._allowance, depth))
        if upstream is not None:
            accounts.append(_shared("upstream", upstream_key(upstream), self._upstreams[upstream], depth))
        return _Drawn(tuple(accounts), (accounts[0].key, state_key(run), *(account.key for account in accounts[1:])))

    def _need(self, counted: bool, cost: float, depth: int) -> dict[str, float]:
        """What the call holds until its end is seen. The later rounds of one logical call are no calls of their own."""
        guessed = _guessed(self._run.ceilings)
        return {CALLS: 1 if counted else 0, **guessed, MONEY: cost, slots(depth): 1}

    def _settlement(self, event: CallReturned) -> tuple[Write, ...]:
        call = event.proposal
        took: dict[str, float] = {OUTPUT: event.result_bytes, TOKENS: event.result_bytes / TOKEN_BYTES}
        if event.late:
            return self._charged_late(event, took)
        if call.continues is None and call.method == _TOOL_CALL:
            took[CALLS] = 1
        if call.tool.cost and call.continues is None:
            took[MONEY] = call.tool.cost
        return tuple(
            [
                Settle(key, call.id, took, ttl_s, limits.window_s, idle_s)
                for _, key, limits, _, ttl_s, idle_s in self._drawn_on(call).accounts
            ]
        )

    def _charged_late(self, event: CallReturned, took: Mapping[str, float]) -> tuple[Write, ...]:
        """Only a hold can be settled, and that of the call is: so nothing is held, and that is settled at once."""
        if not event.result_bytes:
            return ()
        id = f"{event.proposal.id}/late"
        writes: list[Write] = []
        for _, key, limits, _, ttl_s, idle_s in self._drawn_on(event.proposal).accounts:
            writes.append(Reserve(key, id, {}, {}, _LAPSE_S, ttl_s, limits.window_s, idle_s))
            writes.append(Settle(key, id, took, ttl_s, limits.window_s, idle_s))
        return tuple(writes)


def _as_stated(limits: Limits, stated: Stated) -> Limits:
    pace, rate = (limits.pace, limits.rate) if stated.pace is None else (stated.pace, stated.rate)
    parallel = stated.parallel or limits.parallel
    return limits._replace(ceilings=stated.over(limits.ceilings), parallel=parallel, pace=pace, rate=rate)


def _shared(scope: str, key: str, limits: Limits, depth: int) -> Account:
    kept_s = KEPT_S + (limits.window_s or 0.0)
    return Account(scope, key, limits, _ceilings(limits, depth), kept_s, IDLE_S if TIME in limits.ceilings else None)


def _ceilings(limits: Limits, depth: int) -> Mapping[str, float]:
    return limits.ceilings if limits.parallel is None else {**limits.ceilings, slots(depth): limits.parallel}


def _refused(event: CallProposed, account: Account, kept: Any, needed: Mapping[str, float], paced: bool) -> Deny | None:
    limits = account.limits
    now = standing(kept, at=event.at, window_s=limits.window_s)
    if (unit := _over(now, needed, account.ceilings)) is not None:
        if unit.startswith(SLOTS):
            return _crowded(event, account, int(account.ceilings[unit]))
        wait_s = frees_s(kept, limits.window_s, at=event.at) if limits.window_s is not None else None
        return _spent(event, unit, now, account, wait_s, needed.get(unit, 0.0))
    if paced and limits.pace is not None and (early_s := pace_wait_s(kept, limits.pace, at=event.at)) > 0:
        return _too_fast(event, account, early_s)
    return None


def _spent(event: CallProposed, unit: str, now: Standing, account: Account, wait_s: float | None, needs: float) -> Deny:
    used, held, limit = now.used.get(unit, 0), now.held.get(unit, 0), account.limits.ceilings[unit]
    flight = f" ({number(held)} of them held by calls under way)" if held else ""
    whose = _WHOSE[account.scope].format(server=event.tool.upstream)
    within = f" within {number(account.limits.window_s)} s" if account.limits.window_s is not None else ""
    price = f", and this call costs {number(needs)}" if unit == MONEY else ""
    reason = (
        f"{event.tool.exposed} was not called: the budget is spent. {whose} used {number(now.taken(unit))}{flight} "
        f"of {number(limit)} {WORDS[unit]}{within}{price}. Do not go on calling tools: sum up what is done and what is "
        "left, and tell the user."
    )
    facts = {"unit": unit, "used": used, "held": held, "limit": limit, "scope": account.scope}
    if unit == MONEY:
        facts["price"] = needs
    rule = f"{account.scope}.{unit.removesuffix('_s').removesuffix('_bytes')}"
    return Deny(rule, reason, facts, retry_after_s=wait_s if wait_s is None else round(wait_s, 3))


def _too_deep(event: CallProposed, limit: int) -> Deny:
    reason = (
        f"{event.tool.exposed} was not called: it stands on {event.depth} calls under way, and {limit} is the "
        "most that may stand on one another. Answer with what you have instead of asking yet another agent."
    )
    return Deny("run.depth", reason, {"depth": event.depth, "limit": limit})


def _crowded(event: CallProposed, account: Account, limit: int) -> Deny:
    whose = {"run": "this run", "principal": "all your runs", "upstream": f"all runs at {event.tool.upstream}"}
    reason = (
        f"{event.tool.exposed} was not called: {limit} calls of {whose[account.scope]} are under way, and no more may "
        "be at once. Wait for one of them to return, then call it again."
    )
    return Deny(f"{account.scope}.parallel", reason, {"limit": limit, "depth": event.depth}, retry_after_s=1.0)


def _too_fast(event: CallProposed, account: Account, early_s: float) -> Deny:
    whose = {"run": "this run calls", "principal": "all your runs together call", "upstream": "all runs together call"}
    reason = (
        f"{event.tool.exposed} was not called: {whose[account.scope]} too fast ({account.limits.rate}). Call it again "
        f"in {early_s:.1f} s, and fewer tools at a time."
    )
    facts = {"rate": account.limits.rate}
    return Deny(f"{account.scope}.rate", reason, facts, retry_after_s=round(early_s, 3))


def _guessed(limits: Mapping[str, float]) -> dict[str, float]:
    """What is held of units of which nobody knows beforehand how much a call will take."""
    return {
        OUTPUT: min(RESERVE_BYTES, limits.get(OUTPUT, RESERVE_BYTES) / 100),
        TOKENS: min(RESERVE_BYTES / TOKEN_BYTES, limits.get(TOKENS, RESERVE_BYTES) / 100),
    }


def _over(now: Standing, needed: Mapping[str, float], limits: Mapping[str, float]) -> str | None:
    """The first unit of which too little is left. Of what a call is not known to need, some has to be left."""
    used, held = now.used, now.held
    for unit, limit in limits.items():
        taken = used.get(unit, 0) + held.get(unit, 0)
        if (taken + needed[unit] > limit) if unit in needed else taken >= limit:
            return unit
    return None
