"""A JSON-RPC peer: it matches answers to questions, in both directions, over any pipe that carries frames in order.

The same class sits at both sides of the proxy. It is not aware of MCP but for cancellation, which is a matter of ids.

This room speaks asyncio where the others speak anyio: it starts a task and waits for an answer once per message, and a
task of anyio's costs five times one of asyncio's (14 and 2.6 us), an event three times a future. uvicorn and aiohttp
bind the process to asyncio anyway; whoever is called from here may use anyio as everywhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import anyio
import msgspec

from fuseboard import late
from fuseboard.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    UPSTREAM_JUNK,
    UPSTREAM_OVERSIZE,
    ProtocolFault,
    Undelivered,
    UpstreamFault,
    UpstreamLost,
)
from fuseboard.late import MOST, Listener
from fuseboard.ports import Handler, Notification, Reply, Request, Response
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.peer")

CANCELLED = "notifications/cancelled"

_STREAM = "subscriptions/listen"
"""The one request that the side which answers it may cancel (2026-07-28, CancelledNotification)."""


class _Cancelled(msgspec.Struct):
    requestId: msgspec.Raw


class _InFlight:
    """The scope of one request that the other side sent."""

    __slots__ = ("_peer", "begun", "cancelled", "request_id", "task")

    def __init__(self, peer: Peer, id: bytes) -> None:
        self._peer = peer
        self.request_id: bytes | None = id
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.cancelled = False

    @property
    def connection(self) -> object:
        """What all requests of one client on one pipe have in common."""
        return self._peer

    def cancel(self) -> None:
        self.cancelled = True
        if self.begun and self.task is not None:  # a task that is cancelled before it begins never cleans up
            self.task.cancel()

    def notify(self, method: str, params: bytes | None) -> None:
        self._peer.notify(method, params)

    def stream(self) -> None:
        """A pipe has no streams of its own."""

    def release(self) -> None:
        """Nor can it break one off."""

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
        *,
        name: str,
        depth: int = frames.DEPTH,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self._send = send
        self._handler = handler
        self._name = name
        self._depth = depth
        self._on_lost = on_lost
        self._asked: dict[bytes, asyncio.Future[Reply]] = {}
        self._listened_for: dict[bytes, Listener] = {}
        self._streams: set[bytes] = set()
        self._serving: dict[bytes, _InFlight] = {}
        self._next_id = 0
        self._lost: str | None = None
        self._idle: anyio.Event | None = None
        self._babbles = False

    @property
    def open(self) -> bool:
        return self._lost is None

    @property
    def alone(self) -> bool:
        """Whether at most one request is under way, either way."""
        return len(self._asked) + len(self._serving) <= 1

    def receive(self, data: bytes | bytearray) -> None:
        """Take one frame. Never raises: a bad one is told to its sender, or to the asker whose answer it should be."""
        try:
            self._take(data)
        except Exception:  # the root of all that comes in: one frame must not end the link, nor leave an asker waiting
            _log.exception("a frame from %s could not be taken", self._name)
            self._excuse(data)

    def _take(self, data: bytes | bytearray) -> None:
        try:
            frame = frames.decode(data, depth=self._depth)
        except ProtocolFault as fault:
            self._unreadable(data, fault)
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

    async def request(self, method: str, params: bytes | None, on_id: Callable[[bytes], None] | None = None) -> Reply:
        """Ask the other side. ``on_id`` is told the id that the question goes by before it is sent.

        Raises:
            Undelivered: the connection was gone before anything was sent.
            UpstreamLost: it went while the answer was awaited.
            UpstreamFault: whatever else :meth:`failed` was told.
        """
        if self._lost is not None:
            raise Undelivered(self._name, self._lost)
        self._next_id += 1
        id = b"%d" % self._next_id
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[id] = answer
        if method == _STREAM:
            self._streams.add(id)
        if on_id is not None:
            on_id(id)
        try:
            self._send(frames.request(id, method, params))
            return await answer
        except asyncio.CancelledError:
            # 2025-11-25, cancellation: initialize must not be cancelled.
            if id in self._asked and method != "initialize":
                self.notify(CANCELLED, b'{"requestId":%b}' % id)
                self._listen_for(id, method)
            raise
        finally:
            self._asked.pop(id, None)
            self._streams.discard(id)

    def _listen_for(self, id: bytes, method: str) -> None:
        """Whoever made this call may want its answer, though it does not wait for it any more."""
        listener = late.listener()
        if listener is not None and method == "tools/call" and len(self._listened_for) < MOST:
            self._listened_for[id] = listener
            asyncio.get_running_loop().call_later(listener.for_s, self._listened_for.pop, id, None)

    def notify(self, method: str, params: bytes | None) -> None:
        if self._lost is None:
            self._send(frames.notification(method, params))

    def stream(self) -> None:
        """A pipe has no streams of its own."""

    def release(self) -> None:
        """Nor can it break one off."""

    def lost(self, reason: str) -> None:
        """The connection is gone: what was asked fails, what was being served is cancelled. Idempotent."""
        if self._lost is not None:
            return
        self._lost = reason
        self._send = _unsent  # what sent is what we are a part of: the two would keep each other alive
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(UpstreamLost(self._name, reason))
        for serving in list(self._serving.values()):
            serving.cancel()
        if self._on_lost is not None:
            self._on_lost(reason)

    def give_up(self, reply: Reply) -> None:
        """Answer what is still being served with ``reply``, and serve it no longer: an end of ours is no silence."""
        for id, serving in list(self._serving.items()):
            if not serving.cancelled:
                self._send(frames.response(id, reply))
                serving.cancel()

    def undelivered(self, id: bytes, reason: str) -> None:
        """A question that provably never left, or that the other side refused unread."""
        self.failed(id, Undelivered(self._name, reason))

    def failed(self, id: bytes, fault: UpstreamFault) -> None:
        """A question that will have no answer, though the connection goes on."""
        answer = self._asked.get(id)
        if answer is not None and not answer.done():
            answer.set_exception(fault)

    async def drained(self) -> None:
        """Wait until every request that came in has been answered."""
        while self._serving and self._lost is None:
            if self._idle is None or self._idle.is_set():
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
        scope.task = asyncio.get_running_loop().create_task(self._answer(frame, scope))

    async def _answer(self, frame: Request, scope: _InFlight) -> None:
        scope.begun = True
        try:
            if scope.cancelled:
                return
            reply = await self._handler.request(frame, scope)
            # A cancelled request gets no answer (2025-11-25 and 2026-07-28, "Cancellation").
            if self._lost is None and not scope.cancelled:
                self._send(frames.response(frame.id, reply))
        except asyncio.CancelledError:
            if not scope.cancelled:
                raise
        except Exception:
            _log.exception("%s failed", frame.method)
            if self._lost is None and not scope.cancelled:
                failed = frames.failure(INTERNAL_ERROR, "Fuseboard failed to handle this request; its log says more")
                self._send(frames.response(frame.id, failed))
        finally:
            self._serving.pop(frame.id, None)
            if self._idle is not None and not self._serving:
                self._idle.set()

    def dropped(self, head: bytes, reason: str) -> None:
        """A frame was too large to be taken; ``head`` is how it began. Whoever waits for it is told."""
        self._unreadable(head, ProtocolFault(INVALID_REQUEST, reason), as_answer=UPSTREAM_OVERSIZE)

    def _unreadable(self, data: bytes | bytearray, fault: ProtocolFault, *, as_answer: int = UPSTREAM_JUNK) -> None:
        """A request gets the code of the specification; to an answer, that code would blame whoever asked."""
        id = frames.answered_id(data) if self._asked else None
        if id in self._asked:
            message = f"{self._name} gave an answer that cannot be read: {fault.message}"
            self._answered(id, frames.failure(as_answer, message))
        else:
            if not self._babbles:  # once: a server that prints where it should speak may do so all day
                self._babbles = True
                told = "%s sent a line that is no MCP message (%s); it was dropped, and so will be others like it"
                _log.warning(told, self._name, fault.message)
            self._send(frames.response(fault.id, frames.failure(fault.code, fault.message)))

    def _excuse(self, data: bytes | bytearray) -> None:
        """Tell whoever waits on a frame that we failed over it."""
        failed = frames.failure(INTERNAL_ERROR, "Fuseboard failed to handle this message; its log says more")
        try:
            if (answered := frames.answered_id(data)) in self._asked:
                self._answered(answered, failed)
            elif (asked := frames.asked_id(data)) is not None:
                self._send(frames.response(asked, failed))
        except Exception:
            _log.exception("nor could its sender be told")

    def _answered(self, id: bytes | None, reply: Reply) -> None:
        answer = self._asked.pop(id, None) if id is not None else None
        if answer is not None and not answer.done():
            answer.set_result(reply)
        elif id is not None and (listener := self._listened_for.pop(id, None)) is not None:
            listener.heard(reply)

    def _cancelled(self, params: bytes | None) -> None:
        try:
            id = bytes(msgspec.json.decode(params or b"{}", type=_Cancelled).requestId)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if (serving := self._serving.get(id)) is not None:
            serving.cancel()
        elif id in self._streams and (answer := self._asked.get(id)) is not None and not answer.done():
            answer.set_exception(UpstreamLost(self._name, f"{self._name} ended the subscription"))


def _unsent(frame: bytes) -> None:
    """Where what is said after the end goes."""
