"""A JSON-RPC peer: it matches answers to questions, in both directions, over any pipe that carries frames in order.

The same class sits at both sides of the proxy. It is not aware of MCP but for cancellation, which is a matter of ids.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.abc
import msgspec

from fuseboard import frames
from fuseboard.errors import INVALID_REQUEST, ProtocolFault, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Handler, Notification, Reply, Request, Response

CANCELLED = "notifications/cancelled"


class _Cancelled(msgspec.Struct):
    requestId: msgspec.Raw


class _Waiter:
    """One question under way. Cheaper than a stream, and safe against an answer after the asker has gone."""

    __slots__ = ("event", "reply")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.reply: Reply | None = None


class _InFlight:
    """The scope of one request that the other side sent."""

    __slots__ = ("_peer", "cancel", "request_id")

    def __init__(self, peer: Peer, id: bytes) -> None:
        self._peer = peer
        self.request_id: bytes | None = id
        self.cancel = anyio.CancelScope()

    def notify(self, method: str, params: bytes | None) -> None:
        self._peer.notify(method, params)

    async def request(self, method: str, params: bytes | None) -> Reply:
        try:
            return await self._peer.request(method, params)
        except UpstreamFault as fault:
            return frames.failure(fault.code, fault.message)


class Peer:
    """One end of a connection.

    ``send`` takes a whole frame without its line end and never waits. ``name`` stands in error texts. Giving up on a
    question tells the other side so (``notifications/cancelled``).
    """

    request_id: bytes | None = None

    def __init__(
        self,
        send: Callable[[bytes], None],
        handler: Handler,
        tasks: anyio.abc.TaskGroup,
        *,
        name: str,
        depth: int = frames.DEPTH,
    ) -> None:
        self._send = send
        self._handler = handler
        self._tasks = tasks
        self._name = name
        self._depth = depth
        self._asked: dict[bytes, _Waiter] = {}
        self._serving: dict[bytes, _InFlight] = {}
        self._next_id = 0
        self._lost: str | None = None
        self._idle: anyio.Event | None = None

    @property
    def open(self) -> bool:
        return self._lost is None

    def receive(self, data: bytes | bytearray) -> None:
        """Take one frame. Never raises: a bad frame is answered where an answer is due, else dropped."""
        try:
            frame = frames.decode(data, depth=self._depth)
        except ProtocolFault as fault:
            self._send(frames.response(fault.id, frames.failure(fault.code, fault.message)))
            return
        match frame:
            case Request():
                self._serve(frame)
            case Response(id=id, reply=reply):
                self._answered(id, reply)
            case Notification(method=method, params=params) if method == CANCELLED:
                self._cancelled(params)
            case Notification(method=method, params=params):
                self._handler.notified(method, params)

    async def request(self, method: str, params: bytes | None) -> Reply:
        """Ask the other side.

        Raises:
            UpstreamUnreachable: the connection was gone before anything was sent.
            UpstreamLost: it went while the answer was awaited.
        """
        if self._lost is not None:
            raise UpstreamUnreachable(self._name, self._lost)
        self._next_id += 1
        id = b"%d" % self._next_id
        waiter = self._asked[id] = _Waiter()
        self._send(frames.request(id, method, params))
        try:
            await waiter.event.wait()
        except anyio.get_cancelled_exc_class():
            if (
                id in self._asked and method != "initialize"
            ):  # 2025-11-25, cancellation: initialize must not be cancelled
                self.notify(CANCELLED, b'{"requestId":%b}' % id)
            raise
        finally:
            self._asked.pop(id, None)
        if waiter.reply is None:
            raise UpstreamLost(self._name, self._lost or "the connection was lost")
        return waiter.reply

    def notify(self, method: str, params: bytes | None) -> None:
        if self._lost is None:
            self._send(frames.notification(method, params))

    def lost(self, reason: str) -> None:
        """The connection is gone: what was asked fails, what was being served is cancelled. Idempotent."""
        if self._lost is not None:
            return
        self._lost = reason
        for waiter in self._asked.values():
            waiter.event.set()
        for serving in self._serving.values():
            serving.cancel.cancel()

    async def drained(self) -> None:
        """Wait until every request that came in has been answered."""
        while self._serving and self._lost is None:
            self._idle = anyio.Event()
            await self._idle.wait()

    def _serve(self, frame: Request) -> None:
        if frame.id in self._serving:
            self._send(
                frames.response(
                    frame.id, frames.failure(INVALID_REQUEST, "a request with this id is still being answered")
                )
            )
            return
        scope = self._serving[frame.id] = _InFlight(self, frame.id)
        self._tasks.start_soon(self._answer, frame, scope)

    async def _answer(self, frame: Request, scope: _InFlight) -> None:
        reply: Reply | None = None
        try:
            with scope.cancel:
                reply = await self._handler.request(frame, scope)
        finally:
            self._serving.pop(frame.id, None)
            if self._idle is not None and not self._serving:
                self._idle.set()
        # A cancelled request gets no answer (2025-11-25 and 2026-07-28, "Cancellation").
        if reply is not None and self._lost is None:
            self._send(frames.response(frame.id, reply))

    def _answered(self, id: bytes | None, reply: Reply) -> None:
        waiter = self._asked.pop(id, None) if id is not None else None
        if waiter is not None:
            waiter.reply = reply
            waiter.event.set()

    def _cancelled(self, params: bytes | None) -> None:
        try:
            id = bytes(msgspec.json.decode(params or b"{}", type=_Cancelled).requestId)
        except msgspec.MsgspecError:
            return
        if (serving := self._serving.get(id)) is not None:
            serving.cancel.cancel()
