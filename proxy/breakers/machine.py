"""Breakers: when something is taken off the board, for how long, and what brings it back. The state machine. Pure.

There are three kinds, all of them this one machine: of a tool for one run (it protects the run), of a tool and of an
upstream for everybody (they protect all runs, and the upstream). What counts as a strike stands in
:mod:`fuseboard.breakers.strikes`.

Whatever changes begins a new generation. A generation has one leased probe at most, and what comes back to another
one than it was sent in is dropped: a late result neither closes nor opens anything (facts, mechanisms 1.2).

The lease stands in the breaker itself and is taken by a ``Put``, so that it and what it rests on change together, and
of all the processes that share a store one gets it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from fuseboard.breakers.strikes import EVIDENCE, Strike
from fuseboard.breakers.tails import KEPT_S
from fuseboard.ids import first_at
from fuseboard.state import Put

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"

UPSTREAM: Final = ""
"""Under what name the breaker of an upstream itself stands among those of its tools."""

MOST: Final = 256
"""Breakers in one cell. Tools are named by agents, and a cell is read with every call."""

_GRACE_S: Final = 5.0
"""How long after its deadline a probe's end is still waited for."""

_LONGEST_WAIT_S: Final = 3600.0
"""An upstream that asks for more than that in ``Retry-After`` gets no more: then one call asks it again, not all."""


class Pace(NamedTuple):
    """How long it opens: ``open_s``, twice that at each opening in a row, never above ``longest_s``, ± ``jitter``.

    ``good`` results in a row close it.
    """

    open_s: float
    longest_s: float
    jitter: float = 0.0
    good: int = 1


class Breaker(msgspec.Struct, frozen=True, omit_defaults=True):
    """One breaker. That of which nothing is written is closed.

    ``until``: how long it is open or, where it is closed ``by`` an operator, held closed. ``times`` is how often it
    opened since it was closed last. ``first``: calls of smaller ids belong to older generations.
    """

    state: str = CLOSED
    generation: int = 0
    times: int = 0
    since: float = 0.0
    until: float = 0.0
    first: str = ""
    good: int = 0
    lease: tuple[str, float] | None = None
    """The one call that may be under way, and how long its end is waited for."""
    rule: str = ""
    """What opened it."""
    strikes: tuple[Strike, ...] = ()
    by: str = ""
    why: str = ""

    def phase(self, at: float) -> str:
        """An operator's word ends by itself; what we opened is half open when its time is over."""
        if self.state == OPEN and at >= self.until:
            return CLOSED if self.by else HALF_OPEN
        return self.state

    def held_closed(self, at: float) -> bool:
        """Whether an operator said that it shall not open yet."""
        return self.state == CLOSED and bool(self.by) and at < self.until

    def taken(self, at: float) -> bool:
        """Whether the one call that it lets through is under way."""
        return self.lease is not None and at < self.lease[1]

    def leased_to(self, call: str) -> bool:
        return self.lease is not None and self.lease[0] == call


CLOSED_EVER: Final = Breaker()


def run_key(run: str) -> str:
    """The cell of a run's own breakers, by tool."""
    return f"breakers/run/{run}"


def shared_key(upstream: str) -> str:
    """The cell of the breakers that all runs share at an upstream: of its tools by name, and its own."""
    return f"breakers/upstream/{upstream}"


def read(cell: Mapping[str, Any] | None, name: str) -> Breaker:
    """One breaker out of its cell."""
    kept = None if cell is None else cell.get(name)
    return CLOSED_EVER if kept is None else msgspec.convert(kept, Breaker)


def written(key: str, cell: Mapping[str, Any] | None, changes: Mapping[str, Breaker], *, ttl_s: float = KEPT_S) -> Put:
    """The cell with what changed. Of too many the oldest that are closed are forgotten first."""
    after = {**(cell or {}), **{name: msgspec.to_builtins(one) for name, one in changes.items()}}
    if len(after) > MOST:
        oldest = sorted(after, key=lambda name: (after[name].get("state", CLOSED) != CLOSED, after[name]["since"]))
        for name in oldest[: len(after) - MOST]:
            del after[name]
    return Put(key, after, ttl_s)


def opened(
    now: Breaker,
    name: str,
    pace: Pace,
    *,
    at: float,
    rule: str,
    strikes: tuple[Strike, ...],
    retry_at: float = 0.0,
    why: str = "",
) -> Breaker:
    """Off the board: for the first time, or once more because the probe failed. Never back before ``retry_at``."""
    generation = now.generation + 1
    span_s = min(pace.open_s * 2.0 ** min(now.times, 32), pace.longest_s) * _spread(name, generation, pace.jitter)
    until = max(at + span_s, min(retry_at, at + _LONGEST_WAIT_S))
    times, kept = now.times + 1, strikes[-EVIDENCE:]
    return Breaker(OPEN, generation, times, at, until, first=now.first, rule=rule, strikes=kept, why=why)


def leased(now: Breaker, call: str, *, at: float, timeout_s: float) -> Breaker:
    """One call may go, and no other until it is back. A lease that nobody gave back is over with its generation."""
    over = now.lease is not None
    state = HALF_OPEN if now.phase(at) == HALF_OPEN else CLOSED
    generation = now.generation + (over or state != now.state)
    since = at if generation != now.generation else now.since
    return replace(now, state=state, generation=generation, since=since, lease=(call, at + timeout_s + _GRACE_S))


def released(now: Breaker, *, at: float) -> Breaker:
    """The one call came back and showed nothing either way: the next one may go."""
    return replace(now, generation=now.generation + 1, since=at, lease=None)


def recovered(now: Breaker, pace: Pace, call: str, *, at: float) -> Breaker:
    """The probe was good: closed, or one step nearer to it."""
    if now.good + 1 < pace.good:
        return replace(released(now, at=at), good=now.good + 1)
    return Breaker(CLOSED, now.generation + 1, since=at, first=call)


def forced_open(now: Breaker, *, by: str, why: str, at: float, for_s: float) -> Breaker:
    """An operator takes it off the board. Afterwards it is closed, and what was under way meanwhile counts nothing."""
    until = at + for_s
    return Breaker(
        OPEN, now.generation + 1, since=at, until=until, first=first_at(until), rule="operator", by=by, why=why
    )


def reset(now: Breaker, *, by: str, why: str, at: float, for_s: float = 0.0) -> Breaker:
    """An operator closes it: what was, counts no more. ``for_s``: and keeps it closed for so long."""
    return Breaker(
        CLOSED, now.generation + 1, since=at, until=at + for_s, first=first_at(at), rule="operator", by=by, why=why
    )


def _spread(name: str, generation: int, jitter: float) -> float:
    """Between 1 - jitter and 1 + jitter, the same for everybody who asks: there is no chance in a judgement."""
    if not jitter:
        return 1.0
    digest = hashlib.blake2b(f"{name}\0{generation}".encode(), digest_size=4).digest()
    return 1.0 + jitter * (2.0 * int.from_bytes(digest, "big") / 0xFFFFFFFF - 1.0)
