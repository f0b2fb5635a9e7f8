"""The deadline of a call, as cheap as a timer: every call has one, and next to none is ever reached.

Some have a second one, for silence. Whatever the upstream says of the call puts that one off, and never the first (the
specification's own SHOULD: progress may reset a timeout, and a maximum holds all the same).

``asyncio.timeout`` costs twice as much and a cancel scope of anyio's five times, which is felt where each call pays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fuseboard.errors import UpstreamCutShort, UpstreamTimeout
from fuseboard.events import Tool
from fuseboard.ports import Reply, Scope
from fuseboard.upstreams.upstream import Upstream

DEFAULT_TIMEOUT_S: Final = 600.0
"""The deadline of a call that the configuration names none for: nothing waits for ever."""

ENOUGH: Final = 0.5
"""Of the time that a call may take by itself: whoever had that much and did not answer is slow, whosever time ran out.
A caller that has as long gives nine tenths of it, so without this a dead upstream of an agent's would never show."""


class Deadline:
    """Cancels the running task after ``timeout_s``, unless it is ``over`` before."""

    __slots__ = ("_cancelling", "_reached", "_task", "_timer")

    def __init__(self, timeout_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._reached = False
        self._timer = task.get_loop().call_later(timeout_s, self._expire)

    def was_it(self) -> bool:
        """Whether a cancellation that has come is this one's alone. If so, the task goes on as if there were none."""
        return self._reached and self._task.uncancel() <= self._cancelling

    def over(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self._reached = True
        self._task.cancel()


class Watched(Deadline):
    """Cancels the task after ``idle_s`` of silence as well. ``was_idle`` says which of the two it was."""

    __slots__ = ("_asked", "_heard_s", "_idle_s", "_loop", "_watch", "was_idle")

    def __init__(self, timeout_s: float, idle_s: float) -> None:
        super().__init__(timeout_s)
        self.was_idle = False
        self._idle_s = idle_s
        self._asked = 0
        self._loop = self._task.get_loop()
        self._heard_s = self._loop.time()
        self._watch = self._loop.call_later(idle_s, self._look)

    def heard(self) -> None:
        """The upstream said something of the call, or of what stands on it."""
        self._heard_s = self._loop.time()

    def asks(self) -> None:
        """It waits for an answer from the client's side: until it has it, its silence is not its own."""
        self._asked += 1

    def answered(self) -> None:
        self._asked -= 1
        self.heard()

    def over(self) -> None:
        super().over()
        self._watch.cancel()

    def _look(self) -> None:
        """One timer, set anew when it is over: to move it with each message would cost more than the message."""
        left_s = self._idle_s if self._asked else self._heard_s + self._idle_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
            return
        self.was_idle = True
        self._timer.cancel()
        self._expire()

    def _expire(self) -> None:
        self._watch.cancel()
        super()._expire()


def patience_s(upstream: Upstream, tool: Tool) -> tuple[float, float | None]:
    """How long a call may take by itself, and how long its server may be silent about it."""
    server = upstream.server
    facts = server.tools.get(tool.name)
    if facts is None:
        return server.timeout_s or DEFAULT_TIMEOUT_S, server.idle_timeout_s
    return facts.timeout_s or server.timeout_s or DEFAULT_TIMEOUT_S, facts.idle_timeout_s or server.idle_timeout_s


def ran_out(fault: UpstreamTimeout, upstream: Upstream, tool: Tool, *, had_s: float) -> UpstreamTimeout:
    """The fault of a call that was given up after ``had_s`` altogether."""
    return told(fault, had_s=had_s, own_s=patience_s(upstream, tool)[0])


def fell_silent(fault: UpstreamTimeout, upstream: Upstream, tool: Tool, *, had_s: float) -> UpstreamTimeout:
    """The fault of a call that was given up after ``had_s`` of silence."""
    timeout_s, idle_s = patience_s(upstream, tool)
    return told(fault, had_s=had_s, own_s=timeout_s if idle_s is None else idle_s)


def told(fault: UpstreamTimeout, *, had_s: float, own_s: float) -> UpstreamTimeout:
    """The fault of a call that was given up after ``had_s``, where by itself it may take ``own_s``."""
    if had_s >= ENOUGH * own_s:
        return fault
    return UpstreamCutShort(fault.upstream, f"{fault.message}; its caller had no more time left")


class Listening:
    """The way back of a call that is listened to."""

    __slots__ = ("_heard", "_scope", "_watched")

    def __init__(self, scope: Scope, watched: Watched, heard: Callable[[], None]) -> None:
        self._scope = scope
        self._watched = watched
        self._heard = heard

    @property
    def request_id(self) -> bytes | None:
        return self._scope.request_id

    @property
    def connection(self) -> object:
        """The pipe that the call came over, if that names its client."""
        return getattr(self._scope, "connection", self._scope)

    def notify(self, method: str, params: bytes | None) -> None:
        self._heard()
        self._scope.notify(method, params)

    def stream(self) -> None:
        self._heard()
        self._scope.stream()

    def release(self) -> None:
        self._heard()
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        self._heard()
        self._watched.asks()
        try:
            return await self._scope.request(method, params)
        finally:
            self._watched.answered()
