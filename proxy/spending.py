"""What runs have used of their budgets, for whoever looks on: read from the state, beside the proxies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from fuseboard.accounts import TIME, standing
from fuseboard.budgets import CALLS, MONEY, OUTPUT, TOKENS, UNITS, run_key
from fuseboard.reviews import RunState, state_key
from fuseboard.state import Put, Snapshot
from fuseboard.stated import NOTHING_STATED, Stated

_LIMITS_KEPT_S: Final = 400 * 86400.0
"""Longer than any proxy is likely to run, and any record to be kept."""

SHORT: Final = {CALLS: "calls", TIME: "time", OUTPUT: "output", TOKENS: "tokens", MONEY: "money"}
"""The units by the configuration's names."""


class Spending(NamedTuple):
    """``limits`` are as they hold for the next call, reviews included; ``None`` where nobody left word of them."""

    state: RunState
    used: Mapping[str, float]
    held: Mapping[str, float]
    limits: Mapping[str, float] | None

    @property
    def under_way(self) -> int:
        """Calls that have not come back."""
        return round(sum(amount for unit, amount in self.held.items() if unit.startswith("slots:")))

    def budgets(self) -> dict[str, dict[str, float | None]]:
        """Used, held and limit of each unit that was used or is limited."""
        limits = self.limits or {}
        return {
            unit: {"used": self.used.get(unit, 0), "held": self.held.get(unit, 0), "limit": limits.get(unit)}
            for unit in UNITS
            if unit in limits or self.used.get(unit) or self.held.get(unit)
        }


def keys(run: str, config: str) -> tuple[str, ...]:
    """What :func:`spending` reads. ``config`` is the digest of the configuration that the run's last call met."""
    return (run_key(run), state_key(run), limits_key(config), stated_key(run))


def spending(run: str, config: str, state: Snapshot, *, signed: bool, at: float) -> Spending:
    """How a run stands. What its token states stands over the configured limits, where a proxy has seen the token."""
    now = RunState.of(state.get(state_key(run)))
    account = standing(state.get(run_key(run)), at=at)
    limits = state.get(limits_key(config))
    if signed and limits is not None:
        stated = state.get(stated_key(run))
        limits = None if stated is None else {**limits, **stated}
    return Spending(now, account.used, account.held, None if limits is None else now.raised(limits))


def limits_key(config: str) -> str:
    return f"limits/{config}"


def stated_key(run: str) -> str:
    return f"stated/{run}"


def stated(run: str, limits: Stated | None, *, ttl_s: float) -> Put:
    """What a proxy leaves behind of a token when it first sees it, for the token itself is nobody's to keep."""
    return Put(stated_key(run), dict((limits or NOTHING_STATED).ceilings), ttl_s)


def told(config: str, ceilings: Mapping[str, float]) -> Sequence[Put]:
    """What a proxy leaves behind when it starts, so that those who look on need no configuration."""
    return (Put(limits_key(config), dict[str, Any](ceilings), _LIMITS_KEPT_S),)
