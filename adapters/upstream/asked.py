"""What an upstream asks over Streamable HTTP: each question is answered in a task, the answer is a POST of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import anyio.abc
import msgspec

from fuseboard.errors import UpstreamFault
from fuseboard.ports import Handler, Link, Reply, Request, Scope
from fuseboard.wire import frames


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
        self, link: Link, inbound: Handler, tasks: anyio.abc.TaskGroup, send: Callable[[bytes], Awaitable[object]]
    ) -> None:
        self._link = link
        self._inbound = inbound
        self._tasks = tasks
        self._send = send
        self._open: dict[bytes, _Question] = {}

    def take(self, frame: Request, call: bytes | None, scope: Scope | None) -> None:
        if frame.id not in self._open:  # The same again is what a resumed stream repeats.
            question = self._open[frame.id] = _Question(call)
            self._tasks.start_soon(self._answer, frame, question, scope)

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
        for question in self._open.values():
            question.cancel.cancel()

    async def _answer(self, frame: Request, question: _Question, scope: Scope | None) -> None:
        reply: Reply | None = None
        try:
            with question.cancel:
                if scope is not None:
                    reply = await scope.request(frame.method, frame.params)
                else:
                    reply = await self._inbound.request(frame, _Back(self._link, self._tasks, frame.id))
        finally:
            del self._open[frame.id]
        # Outside the cancel scope: the answer on its way may be what ends the call that the question belongs to.
        if reply is not None:
            await self._send(frames.response(frame.id, reply))
