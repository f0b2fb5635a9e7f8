"""Bulkheads: how many calls may be under way at one upstream at once, and who waits for a place, in this process.

One slow upstream must not fill the proxy with calls that all wait for it. So each has places. Who finds none waits for
one, before anything is reserved for it, in a line of bounded length and for a bounded time.

**Who passes first.** A call that stands on others under way (an agent was called, and calls on) goes before those that
stand on nothing; among equals the first come. It never waits for a place that one of its own callers holds: callers of
one depth count apart from those below them, since a parent that waits for its child with the child's place in hand
would wait for ever (facts, mechanisms 1.5).

**Who is shed.** Where the line is full, the newest waiter of the run that has most waiting goes, be it the newcomer
itself; one that stands on others only where nobody else is left. A result is never shed, nor is what a person was
asked: they take no place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import anyio

from fuseboard.events import CallProposed
from fuseboard.verdicts import Deny

POLICY: Final = "bulkheads"
"""As what the ledger knows whoever refuses here."""

BUSY: Final = "upstream.busy"
_SOON_S: Final = 1.0


class ServerLike(Protocol):
    """An upstream, as the configuration has it."""

    @property
    def parallel(self) -> int | None: ...
    @property
    def queue(self) -> int: ...
    @property
    def queue_wait_s(self) -> float: ...


class Turned(NamedTuple):
    """Why a call got no place. ``shed``: it made way for others."""

    limit: int
    waiting: int
    waited_s: float
    shed: bool


class _Waiter(NamedTuple):
    """``ahead``: it stands on calls under way. ``turn`` says whether it has a place or was shed."""

    call: str
    run: str
    level: int
    ahead: bool
    turn: asyncio.Future[bool]


class Bulkhead:
    """The places at one upstream, ``limit`` of them at each level: so many of a call's own callers hold one here."""

    def __init__(self, limit: int, queue: int, wait_s: float) -> None:
        self._limit = limit
        self._queue = queue
        self._wait_s = wait_s
        self._inside: dict[str, int] = {}
        self._taken: dict[int, int] = {}
        self._line: list[_Waiter] = []

    @property
    def under_way(self) -> int:
        return len(self._inside)

    @property
    def waiting(self) -> int:
        return len(self._line)

    def enter(self, event: CallProposed) -> bool:
        """Take a place, where there is one. Who has one keeps it.

        Whoever leaves passes the place on himself, so that a free one is nobody's whom others wait for.
        """
        inside = self._inside
        if event.id in inside:
            return True
        level = self._level(event) if event.ancestors else 0
        if (taken := self._taken.get(level, 0)) >= self._limit:
            return False
        inside[event.id], self._taken[level] = level, taken + 1
        return True

    def come_back(self, event: CallProposed) -> None:
        """Take a place even where none is free: the call had one, and left it while it waited for another's answer."""
        if event.id not in self._inside:
            level = self._inside[event.id] = self._level(event)
            self._taken[level] = self._taken.get(level, 0) + 1

    def leave(self, call: str) -> None:
        """Give the place back, if the call has one: to the next in the line."""
        level = self._inside.pop(call, None)
        if level is not None:
            self._taken[level] -= 1
            if self._line:
                self._pass_on(level)

    async def turn(self, event: CallProposed, *, most_s: float, spent_s: float = 0.0) -> Turned | None:
        """Wait for a place, ``most_s`` at most with the ``spent_s`` that it has waited for one already.

        ``None``: the call has one, and has to leave it.
        """
        began_s = anyio.current_time() - spent_s
        one = _Waiter(
            event.id,
            event.run,
            self._level(event),
            bool(event.ancestors),
            asyncio.get_running_loop().create_future(),
        )
        self._line.append(one)
        if len(self._line) > self._queue:
            self._shed()
        try:
            with anyio.move_on_after(min(self._wait_s, most_s) - spent_s):
                await one.turn
        finally:
            if one in self._line:
                self._line.remove(one)
        ended = one.turn.done() and not one.turn.cancelled()
        if ended and one.turn.result():
            return None
        return Turned(self._limit, len(self._line), anyio.current_time() - began_s, shed=ended)

    def _level(self, event: CallProposed) -> int:
        return sum(one.decision in self._inside for one in event.ancestors)

    def _pass_on(self, level: int) -> None:
        mine = [one for one in self._line if one.level == level]
        for one in sorted(mine, key=lambda one: not one.ahead):
            if self._taken[level] >= self._limit:
                return
            self._line.remove(one)
            if not one.turn.done():
                self._inside[one.call] = level
                self._taken[level] += 1
                one.turn.set_result(True)

    def _shed(self) -> None:
        """Make room in the line."""
        each = [one for one in self._line if not one.ahead] or self._line
        waiting = Counter(one.run for one in each)
        most = max(waiting.values())
        newest = next(one for one in reversed(each) if waiting[one.run] == most)
        self._line.remove(newest)
        if not newest.turn.done():
            newest.turn.set_result(False)


class Bulkheads:
    """Those of all upstreams. What has no limit has none."""

    def __init__(self, servers: Mapping[str, ServerLike]) -> None:
        self._of = {
            alias: Bulkhead(server.parallel, server.queue, server.queue_wait_s)
            for alias, server in servers.items()
            if server.parallel is not None
        }

    def at(self, upstream: str) -> Bulkhead | None:
        return self._of.get(upstream)

    def busy(self) -> Mapping[str, dict[str, int]]:
        """Each upstream for which calls wait, with how many do and how many are under way; ready for JSON."""
        return {
            alias: {"under_way": one.under_way, "waiting": one.waiting}
            for alias, one in self._of.items()
            if one.waiting
        }


def refused(event: CallProposed, turned: Turned) -> Deny:
    why = "more calls wait for it than fit" if turned.shed else f"none of them ended within {turned.waited_s:.1f} s"
    retry_s = round(max(_SOON_S, turned.waited_s), 3)
    reason = (
        f"{event.tool.exposed} was not called: {event.tool.upstream} is busy with {turned.limit} calls, and {why}. "
        f"Call it again in {retry_s:g} s, and fewer tools at a time."
    )
    facts = {"limit": turned.limit, "waiting": turned.waiting, "waited_s": round(turned.waited_s, 3)}
    return Deny(BUSY, reason, {**facts, "shed": turned.shed}, retry_after_s=retry_s)
