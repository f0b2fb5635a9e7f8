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


class RunLimitsLike(Protocol):
    """``run:`` of the configuration."""

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
    def depth(self) -> int | None: ...
    @property
    def parallel(self) -> int | None: ...
    @property
    def rate(self) -> RateLike | None: ...
    @property
    def pause_at(self) -> float | None: ...


class PrincipalLimitsLike(Protocol):
    """``principal:`` of the configuration."""

    @property
    def calls(self) -> int | None: ...
    @property
    def window_s(self) -> float: ...


class Allowance(NamedTuple):
    """What all unsigned runs of one principal may use together within ``window_s``."""

    ceilings: Mapping[str, float]
    window_s: float


def ceilings(run: RunLimitsLike) -> dict[str, float]:
    """The ceilings of one run, by unit; a unit without one is counted and not limited."""
    stated = {
        CALLS: run.calls,
        TIME: run.time_s,
        OUTPUT: run.output_bytes,
        TOKENS: run.tokens,
        MONEY: run.money,
    }
    return {unit: float(ceiling) for unit, ceiling in stated.items() if ceiling is not None}


def allowance(run: RunLimitsLike, principal: PrincipalLimitsLike) -> Allowance:
    """What is not stated for the principal is a multiple of what one run may use. Time runs for each run alone."""
    together = {unit: ALLOWANCE * ceiling for unit, ceiling in ceilings(run).items() if unit not in (CALLS, TIME)}
    if principal.calls is not None:
        together[CALLS] = float(principal.calls)
    return Allowance(together, principal.window_s)


def slots(depth: int) -> str:
    """The unit of calls under way at one depth: were slots shared, callers could starve those whom they call."""
    return f"{SLOTS}{depth}"


def run_key(run: str) -> str:
    return f"run/{run}"


def principal_key(principal: str) -> str:
    return f"principal/{principal}"


def milestones_key(run: str) -> str:
    return f"milestones/{run}"


def number(value: Any) -> str:
    """An amount for a reader: whole where it is."""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.2f}"
