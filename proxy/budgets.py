"""What one run, principal or upstream may use: units, ceilings, and the keys of the accounts that count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from fuseboard.accounts import SLOTS, TIME

CALLS: Final = "calls"
OUTPUT: Final = "output_bytes"
TOKENS: Final = "tokens"
MONEY: Final = "money"

UNITS: Final = (CALLS, TIME, OUTPUT, TOKENS, MONEY)
WORDS: Final = {
    CALLS: "calls",
    TIME: "seconds of active time",
    OUTPUT: "bytes of results",
    TOKENS: "tokens (an estimate)",
    MONEY: "of money",
}
"""The units as a reader is told of them."""

TOKEN_BYTES: Final = 4
"""Bytes of a result that are taken for one token. An estimate, and labelled so wherever it is shown."""

IDLE_S: Final = 60.0
"""How much of a silence between two calls still counts as active time: the agent may be thinking."""

KEPT_S: Final = 14 * 86400.0
"""How long the state of a run that a person changed is kept, and the account of one that the operator signed."""

ENDED_S: Final = 60.0
"""How long the account of a run is still there to be looked at when its connection has ended."""

ALLOWANCE: Final = 5
"""All unsigned runs of a principal together may use this many times what one run may (facts, mechanisms 1.1)."""


class RateLike(Protocol):
    """A rate as the configuration states it."""

    @property
    def count(self) -> int: ...
    @property
    def per_s(self) -> float: ...
    @property
    def burst(self) -> int: ...


class LimitsLike(Protocol):
    """What any account may have a limit of; ``None`` is none."""

    @property
    def calls(self) -> int | None: ...
    @property
    def time_s(self) -> float | None: ...
    @property
    def output_bytes(self) -> int | None: ...
    @property
    def tokens(self) -> int | None: ...
    @property
    def money(self) -> float | None: ...
    @property
    def parallel(self) -> int | None: ...
    @property
    def rate(self) -> RateLike | None: ...


class RunLimitsLike(LimitsLike, Protocol):
    """``run:`` of the configuration."""

    @property
    def depth(self) -> int | None: ...
    @property
    def pause_at(self) -> float | None: ...


class SharedLimitsLike(LimitsLike, Protocol):
    """``principal:`` or a server's ``limits:`` of the configuration: many runs draw on one account."""

    @property
    def window_s(self) -> float: ...


class Limits(NamedTuple):
    """What one account allows. A unit without a ceiling is counted and not limited.

    ``pace`` is one call every so many seconds, of which so many may come at once, ``rate`` the same for a reader. With
    ``window_s`` what was used counts for that long.
    """

    ceilings: Mapping[str, float]
    parallel: int | None = None
    pace: tuple[float, int] | None = None
    rate: str = ""
    window_s: float | None = None

    @property
    def empty(self) -> bool:
        return not self.ceilings and self.parallel is None and self.pace is None


def ceilings(limits: LimitsLike) -> dict[str, float]:
    """The ceilings by unit."""
    stated = {
        CALLS: limits.calls,
        TIME: limits.time_s,
        OUTPUT: limits.output_bytes,
        TOKENS: limits.tokens,
        MONEY: limits.money,
    }
    return {unit: float(ceiling) for unit, ceiling in stated.items() if ceiling is not None}


def limits_of(stated: LimitsLike, *, window_s: float | None = None) -> Limits:
    rate = stated.rate
    pace = (rate.per_s / rate.count, rate.burst) if rate is not None else None
    return Limits(ceilings(stated), stated.parallel, pace, "" if rate is None else str(rate), window_s)


def allowance(run: RunLimitsLike, principal: SharedLimitsLike) -> Limits:
    """What all unsigned runs of one principal may use together.

    What is not stated for the principal is a multiple of what one run may use. Time runs for each run alone.
    """
    own = limits_of(principal, window_s=principal.window_s)
    many = {unit: ALLOWANCE * ceiling for unit, ceiling in ceilings(run).items() if unit not in (CALLS, TIME)}
    return own._replace(ceilings={**many, **own.ceilings})


# Formatting a number costs more than all else that is done with a slot.
_SLOTS: Final = tuple(f"{SLOTS}{depth}" for depth in range(16))


def slots(depth: int) -> str:
    """The unit of calls under way at one depth: were slots shared, callers could starve those whom they call."""
    return _SLOTS[depth] if depth < len(_SLOTS) else f"{SLOTS}{depth}"


def run_key(run: str) -> str:
    return f"run/{run}"


def principal_key(principal: str) -> str:
    return f"principal/{principal}"


def upstream_key(alias: str) -> str:
    return f"upstream/{alias}"


def milestones_key(run: str) -> str:
    return f"milestones/{run}"


def number(value: Any) -> str:
    """An amount for a reader: whole where it is."""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.2f}"
