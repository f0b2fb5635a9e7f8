"""What trips a closed breaker, by what came back lately. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from fuseboard.breakers import machine, strikes
from fuseboard.breakers.machine import CLOSED, UPSTREAM, Breaker
from fuseboard.breakers.strikes import Hit, Strike


class HealthLike(Protocol):
    """The section ``breaker.health`` of the configuration."""

    @property
    def row(self) -> int | None: ...
    @property
    def runs(self) -> int: ...
    @property
    def share(self) -> float | None: ...
    @property
    def least(self) -> int: ...
    @property
    def within_s(self) -> float: ...
    @property
    def tools(self) -> float | None: ...
    @property
    def active_s(self) -> float: ...
    @property
    def open_s(self) -> float: ...
    @property
    def longest_s(self) -> float: ...
    @property
    def jitter(self) -> float: ...
    @property
    def good(self) -> int: ...


class Trip(NamedTuple):
    """Why it opens, and since when. ``retry_at``: not back before, the upstream said."""

    rule: str
    strikes: tuple[Strike, ...]
    at: float
    retry_at: float = 0.0
    why: str = ""


def of_run(struck: tuple[Strike, ...], limit: float) -> Trip | None:
    """``struck``: the strikes of a tool in a run since its last good result."""
    return Trip("strikes", struck, struck[-1].at) if strikes.weight(struck) >= limit else None


def of_tool(tail: Sequence[Any], health: HealthLike, first: str = "") -> Trip | None:
    """``tail``: what came of the tool's calls, of whatever run, the newest last."""
    if health.row is not None and (found := strikes.row(strikes.of_tool(tail, first), health.row, health.runs)):
        return _trip("row", found)
    if health.share is not None:
        hits = strikes.of_tool(tail, first)
        if found := strikes.share(hits, health.share, health.least, health.within_s):
            return _trip("share", found)
    return None


def of_upstream(signs: Sequence[Any], health: HealthLike, first: str = "") -> Trip | None:
    """``signs``: the tail of the upstream, the newest last."""
    if health.row is not None and (found := strikes.row(strikes.of_upstream(signs, first), health.row, health.runs)):
        return _trip("row", found)
    return None


def of_its_tools(
    cell: Mapping[str, Breaker], active: set[str], health: HealthLike, *, at: float, since: float
) -> Trip | None:
    """``cell``: the breakers of an upstream's tools. Those that opened before ``since`` were counted already."""
    if health.tools is None:
        return None
    off = [tool for tool, one in cell.items() if tool != UPSTREAM and _is_off(one, at) and one.since >= since]
    known = len(active.union(off))
    if len(off) < 2 or len(off) < health.tools * known:
        return None
    struck = sorted((one for tool in off for one in cell[tool].strikes[-3:]), key=lambda strike: strike.at)
    return Trip("tools", tuple(struck), at, why=f"{len(off)} of its {known} active tools are cut off")


def _is_off(one: Breaker, at: float) -> bool:
    """By what came back, that is: an operator's word on one tool says nothing of the others."""
    return not one.by and one.phase(at) != CLOSED


def _trip(rule: str, found: tuple[Hit, ...]) -> Trip:
    struck = tuple(hit.strike for hit in found if hit.strike is not None)
    return Trip(rule, struck, found[-1].at, max(hit.retry_at for hit in found))


def opened(now: Breaker, name: str, pace: machine.Pace, trip: Trip) -> Breaker:
    return machine.opened(
        now,
        name,
        pace,
        at=trip.at,
        rule=trip.rule,
        strikes=trip.strikes,
        retry_at=trip.retry_at,
        why=trip.why,
    )
