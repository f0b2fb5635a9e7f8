"""Reads that are the same, asked for at the same time, become one call upstream.

The first leads and makes the call in its own task, so a call that nobody joins pays a dictionary entry. Those that come
while it is under way follow: each has its own record, its own deadline, and may give up on its own. Where the leader
gives up, or the time of whoever waits for it runs out, one of them takes over in the time that it has left. What came
of one round is shared by those who waited for it, an error too, and by nobody after them. Who wants progress follows
nobody: notices of progress belong to one request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import anyio

from fuseboard import truth
from fuseboard.bulkheads import Bulkheads
from fuseboard.deadline import Deadline, ran_out
from fuseboard.era import Era
from fuseboard.errors import UpstreamCutShort, UpstreamFault
from fuseboard.events import CallProposed
from fuseboard.lineage import Step
from fuseboard.ports import Failure, Reply, Request
from fuseboard.truth import Truth
from fuseboard.upstreams.seats import Seat

_T = TypeVar("_T")

_PERSONAL: Final = (Truth.TASK, Truth.INPUT_REQUIRED)
"""What only whoever asked can go on with."""

_TRACE: Final = ("traceparent", "tracestate", "baggage")
_PROGRESS: Final = "progressToken"
_JUDGED: Final = ("name", "arguments", "_meta")


class Asking(Protocol):
    """What is needed of a proposal."""

    @property
    def request(self) -> Request: ...
    @property
    def seat(self) -> Seat: ...
    @property
    def era(self) -> Era: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def step(self) -> Step | None: ...


class Came(NamedTuple):
    """What came back; ``shared`` is the decision of the call that was really made, where that is another."""

    reply: Reply | UpstreamFault
    shared: str = ""


class Coalescing:
    """The reads that are under way. Two are the same where nobody could tell them apart upstream.

    ``clock`` gives Unix seconds. Whoever follows needs none of the ``places`` at the upstream, and leaves its own to
    others. Where it has to make the call after all it goes at once: it was let in before, and mostly comes after a
    leader that has left.
    """

    def __init__(self, clock: Callable[[], float], places: Bulkheads | None = None) -> None:
        self._clock = clock
        self._places = places
        self._flights: dict[Hashable, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def made(self, judged: CallProposed, ask: Asking, call: Callable[[], Awaitable[Reply]]) -> Came:
        """
        Raises:
            UpstreamFault: the upstream did not answer the call that was made for this very one.
        """
        key = (judged.caller.principal, ask.seat, ask.era, judged.tool.qualified, judged.fingerprint)
        if key not in self._flights:
            return await self._led(key, judged, ask, call)
        return await in_time(self._followed(key, judged, ask, call), judged, ask, at=self._clock())

    async def _followed(
        self, key: Hashable, judged: CallProposed, ask: Asking, call: Callable[[], Awaitable[Reply]]
    ) -> Came:
        place = None if self._places is None else self._places.at(judged.tool.upstream)
        personal = False
        while not personal and (flight := self._flights.get(key)) is not None:
            if not flight.serves(judged, ask.request.value):
                personal = True
                continue
            if place is not None:
                place.leave(judged.id)
            came = await flight.end()
            if isinstance(came, UpstreamFault | Failure) or (came is not None and for_all(judged, came)):
                return Came(came, flight.id)
            personal = came is not None
        if place is not None:
            place.come_back(judged)
        return Came(await call()) if personal else await self._led(key, judged, ask, call)

    async def _led(
        self, key: Hashable, judged: CallProposed, ask: Asking, call: Callable[[], Awaitable[Reply]]
    ) -> Came:
        flight = self._flights[key] = _Flight(judged, ask.request.value)
        try:
            flight.came = reply = await call()
        except UpstreamCutShort:
            raise  # it ran out of time that was its own caller's: no answer to those who have more
        except UpstreamFault as fault:
            flight.came = fault
            raise
        finally:
            del self._flights[key]
            if flight.over is not None:
                flight.over.set()
        return Came(reply)


class _Flight:
    """One call under way. ``came`` stays ``None`` where its leader gave up, or had to."""

    __slots__ = ("_arguments", "_value", "came", "id", "over")

    def __init__(self, judged: CallProposed, value: Mapping[str, Any] | None) -> None:
        self.id = judged.id
        self.came: Reply | UpstreamFault | None = None
        self.over: anyio.Event | None = None
        self._arguments = judged.arguments
        self._value = value or {}

    def serves(self, judged: CallProposed, value: Mapping[str, Any] | None) -> bool:
        """Whether that call would be sent in the same words, but for its place in a trace."""
        meta = (value or {}).get("_meta") or {}
        if _PROGRESS in meta or judged.arguments != self._arguments:
            return False
        return _beside(value or {}) == _beside(self._value)

    async def end(self) -> Reply | UpstreamFault | None:
        if self.over is None:
            self.over = anyio.Event()
        await self.over.wait()
        return self.came


async def in_time(waiting: Awaitable[_T], judged: CallProposed, ask: Asking, *, at: float) -> _T:
    """Wait for another's call, and for one's own after it, no longer than one's own may take.

    Raises:
        UpstreamTimeout: that is over.
    """
    timeout_s = ask.timeout_s if ask.step is None else ask.step.within(ask.timeout_s, at=at)
    deadline = Deadline(timeout_s)
    try:
        return await waiting
    except asyncio.CancelledError:
        if not deadline.was_it():
            raise
    finally:
        deadline.over()
    upstream = ask.seat.upstream
    raise ran_out(upstream.timed_out(ask.request.method, timeout_s), upstream, judged.tool, had_s=timeout_s)


def for_all(judged: CallProposed, reply: Reply) -> bool:
    """Whether the reply can be given to whoever asked the same; a question or a task is one client's alone."""
    return truth.of_reply(judged.method, reply) not in _PERSONAL


def _beside(value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is sent beside name and arguments: other fields, and what of ``_meta`` is not of one request alone."""
    meta = value.get("_meta")
    fields = {key: field for key, field in value.items() if key not in _JUDGED}
    kept = {key: field for key, field in meta.items() if key not in _TRACE and key != _PROGRESS} if meta else {}
    return fields, kept
