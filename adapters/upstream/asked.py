"""What an upstream asks over Streamable HTTP: each question is answered in a task, the answer is a POST of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.abc
import msgspec

from fuseboard.errors import UpstreamFault, UpstreamLost
from fuseboard.ports import Handler, Link, Reply, Request, Scope
from fuseboard.wire import frames

QUESTIONS: Final = 256
"""How many questions of one link may be open at once, those included whose answers are on their way."""

ANSWERS: Final = 8
"""How many answers may be on their way at once: each has a connection of its own, and the upstream may not take it."""


class _Cancelled(msgspec.Struct):
    requestId: msgspec.Raw


@dataclass(slots=True)
class _Question:
    """``call`` is the id of our request on whose stream it came, ``None`` outside any."""

    call: bytes | None
    cancel: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@dataclass(frozen=True, slots=True)
class _Back:
    """The way back to the upstream for whoever answers what it asked outside any call."""

    link: Link
    tasks: anyio.abc.TaskGroup
    request_id: bytes | None

    def notify(self, method: str, params: bytes | None) -> None:
        self.tasks.start_soon(self.link.notify, method, params)

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    async def request(self, method: str, params: bytes | None) -> Reply:
        try:
            return await self.link.request(method, params, self)
        except UpstreamFault as fault:
            return frames.failure(fault.code, fault.message)


class Asked:
    """The questions of one upstream that are being answered.

    A question that came on the stream of a call goes to the scope of that call, any other to ``inbound``. ``send``
    takes the frame of an answer.
    """

    def __init__(
        self,
        link: Link,
        inbound: Handler,
        tasks: anyio.abc.TaskGroup,
        send: Callable[[bytes], Awaitable[object]],
        *,
        name: str = "the upstream",
    ) -> None:
        self._name = name
        self._way_back: tuple[Link, Callable[[bytes], Awaitable[object]]] | None = (link, send)
        self._inbound = inbound
        self._tasks = tasks
        self._open: dict[bytes, _Question] = {}
        self._taken = 0
        self._sending = anyio.Semaphore(ANSWERS, fast_acquire=True)

    def take(self, frame: Request, call: bytes | None, scope: Scope | None) -> None:
        """Have a question answered.

        Raises:
            UpstreamLost: it is one too many; whose stream it came on is not read any further.
        """
        if frame.id in self._open or self._way_back is None:  # The same again is what a resumed stream repeats.
            return
        if self._taken >= QUESTIONS:
            raise UpstreamLost(self._name, f"{self._name} asked more than {QUESTIONS} things at once")
        self._taken += 1
        question = self._open[frame.id] = _Question(call)
        self._tasks.start_soon(self._answer, frame, question, scope, *self._way_back)

    def taken_back(self, params: bytes | None) -> None:
        """The upstream cancels one of its questions."""
        try:
            id = bytes(msgspec.json.decode(params or b"{}", type=_Cancelled).requestId)
        except msgspec.MsgspecError:
            return
        if (question := self._open.get(id)) is not None:
            question.cancel.cancel()

    def over(self, call: bytes) -> None:
        """A call has ended: nobody waits any more for what was asked on its behalf."""
        for question in self._open.values():
            if question.call == call:
                question.cancel.cancel()

    def close(self) -> None:
        """The link has closed. It is let go of, or the two would keep each other alive."""
        self._way_back = None
        for question in self._open.values():
            question.cancel.cancel()

    async def _answer(
        self,
        frame: Request,
        question: _Question,
        scope: Scope | None,
        link: Link,
        send: Callable[[bytes], Awaitable[object]],
    ) -> None:
        reply: Reply | None = None
        try:
            try:
                with question.cancel:
                    if scope is not None:
                        reply = await scope.request(frame.method, frame.params)
                    else:
                        reply = await self._inbound.request(frame, _Back(link, self._tasks, frame.id))
            finally:
                del self._open[frame.id]
            # Outside the cancel scope: the answer on its way may be what ends the call that the question belongs to.
            if reply is not None:
                async with self._sending:
                    await send(frames.response(frame.id, reply))
        finally:
            self._taken -= 1
