"""One session of the handshake revisions over Streamable HTTP: its calls, its streams, its questions to the client."""

from __future__ import annotations

import asyncio
import itertools

import msgspec

from fuseboard.adapters.downstream.asgi import Caller, Headers, Incoming
from fuseboard.adapters.downstream.call import Call
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.streams import EventStream, Journal, Outlet
from fuseboard.era import HANDSHAKE_VERSIONS
from fuseboard.errors import INTERNAL_ERROR, INVALID_REQUEST
from fuseboard.peer import CANCELLED
from fuseboard.ports import Failure, Gateway, Notification, Origin, Reply, Response, Result
from fuseboard.wire import frames

PRIMING_SINCE = "2025-11-25"
REQUEST_CANCELLED = -32800
_STANDING = 0


class _Initialized(msgspec.Struct):
    protocolVersion: str


class _Cancelled(msgspec.Struct):
    requestId: msgspec.Raw


class HttpSession:
    """``touched_s`` is when a request last began or ended, on the clock of the event loop."""

    def __init__(self, id: str, caller: Caller, gateway: Gateway, limits: Limits, *, now_s: float) -> None:
        self.id = id
        self.caller = caller
        self.touched_s = now_s
        self.calls: dict[bytes, SessionCall] = {}
        self._limits = limits
        self._revision = HANDSHAKE_VERSIONS[0]
        self._journal = Journal(limits.replay_bytes)
        self._stream_ids = itertools.count(_STANDING + 1)
        self._question_ids = itertools.count(1)
        self._asked: dict[bytes, asyncio.Future[Reply]] = {}
        self._closed = False
        self.standing = EventStream(_STANDING, self._journal, retry_ms=None)
        """The stream for what belongs to no request. It exists whether or not the client has it open."""
        self._streams = {_STANDING: self.standing}
        origin = Origin(caller.principal, "http", caller.roles, session=id)
        self.handler = gateway.connect(origin, _Back(self))

    @property
    def idle(self) -> bool:
        return not self.calls and not any(stream.attached for stream in self._streams.values())

    def negotiated(self, result: Result) -> None:
        """Take note of the revision from the answer to ``initialize``."""
        try:
            self._revision = msgspec.json.decode(result.raw, type=_Initialized).protocolVersion
        except msgspec.MsgspecError:
            return
        self.standing.retry_ms = self._retry_ms

    def open_stream(self) -> tuple[int, EventStream]:
        id = next(self._stream_ids)
        stream = self._streams[id] = EventStream(id, self._journal, retry_ms=self._retry_ms)
        return id, stream

    def end_stream(self, id: int, frame: bytes | None) -> None:
        """End the stream. Its events stay in the journal for a client that missed the last ones."""
        self._streams.pop(id).end(frame)

    def resume(self, last_event_id: str, outlet: Outlet) -> bool:
        """Let ``outlet`` carry on the stream of that event from there; ``False`` where nothing is known of it."""
        stream_id, _, number = last_event_id.partition("-")
        if not (stream_id.isdecimal() and number.isdecimal() and len(last_event_id) < 40):
            return False
        id = int(stream_id)
        stream = self._streams.get(id)
        if stream is None:
            if not self._journal.knows(id):
                return False
            stream = EventStream(id, self._journal, retry_ms=None)
            stream.ended = True
        stream.attach(outlet, after=int(number))
        return True

    async def ask(self, stream: EventStream, method: str, params: bytes | None) -> Reply:
        """Send a request on ``stream`` and wait for its answer, which comes in a POST of its own."""
        if self._closed:
            return _gone()
        id = b"%d" % next(self._question_ids)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[id] = answer
        stream.push(frames.request(id, method, params))
        try:
            return await answer
        except asyncio.CancelledError:
            stream.push(frames.notification(CANCELLED, b'{"requestId":%b}' % id))
            raise
        finally:
            self._asked.pop(id, None)

    def take(self, message: Notification | Response) -> None:
        """Take what needs no answer."""
        if isinstance(message, Response):
            answer = self._asked.pop(message.id, None) if message.id is not None else None
            if answer is not None and not answer.done():
                answer.set_result(message.reply)
        elif message.method == CANCELLED:
            self._cancel(message.params)
        else:
            self.handler.notified(message.method, message.params)

    def shut(self) -> None:
        """End all that is open here. The handler's own end is the caller's to await."""
        self._closed = True
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(_gone())
        for call in list(self.calls.values()):
            call.stop(_gone())
        self.standing.end()
        for stream in self._streams.values():
            if stream is not self.standing and not stream.attached:
                stream.end()

    @property
    def _retry_ms(self) -> int | None:
        known = self._revision in HANDSHAKE_VERSIONS
        return self._limits.retry_ms if known and self._revision >= PRIMING_SINCE else None

    def _cancel(self, params: bytes | None) -> None:
        try:
            id = bytes(msgspec.json.decode(params or b"{}", type=_Cancelled).requestId)
        except msgspec.MsgspecError:
            return
        if (call := self.calls.get(id)) is not None:
            call.stop()


class SessionCall(Call):
    """A call in a session. Its client may go away and come back; only ``notifications/cancelled`` cancels it."""

    def __init__(
        self, http: Incoming, id: bytes, limits: Limits, session: HttpSession, *, headers: Headers = ()
    ) -> None:
        super().__init__(http, id, limits, headers)
        self._session = session
        self._stream: EventStream | None = None
        self._stream_id = 0
        self._polling: asyncio.TimerHandle | None = None

    def prefer_streams(self) -> None:
        """Answer as the client likes best: by a stream, and one that it polls where that lasts (2025-11-25, SEP-1699).

        What the upstream's transport says of a stream's form is passed on; a pipe says nothing, and then this decides.
        """
        self.stream()
        self._polling = asyncio.get_running_loop().call_later(self._limits.poll_s, self._let_poll)

    async def request(self, method: str, params: bytes | None) -> Reply:
        if self._task is None:
            return frames.failure(INVALID_REQUEST, "the request that this belonged to has been answered")
        return await self._session.ask(self._committed(), method, params)

    def release(self) -> None:
        """Close the connection but not the stream: the client shall poll for the rest (2025-11-25, "Sending", 6).

        For an upstream that did so to us. A client of an older revision would take the end for the end.
        """
        if self._task is not None and (stream := self._committed()).resumable:
            self._over()
            stream.detach()

    def _opened(self, outlet: Outlet) -> None:
        self._stream_id, self._stream = self._session.open_stream()
        self._stream.attach(outlet)

    def _committed(self) -> EventStream:
        self.commit()
        assert self._stream is not None
        return self._stream

    def _emit(self, frame: bytes) -> None:
        self._committed().push(frame)

    def _let_poll(self) -> None:
        """Once: a client that has come back by now waits for the rest, and is not sent away again."""
        if self._outlet is None or self._outlet.open:
            self.release()

    def _over(self) -> None:
        if self._polling is not None:
            self._polling.cancel()

    def _end(self, frame: bytes | None) -> None:
        assert self._stream is not None
        if frame is None and self._stream.resumable:
            # No answer is due, but a client that resumes by the ids that it has would never stop asking for the end.
            error = frames.failure(REQUEST_CANCELLED, "the request was cancelled")
            frame = frames.response(self._id, error)
        self._session.end_stream(self._stream_id, frame)

    def _left(self) -> None:
        if self._stream is not None and self._outlet is not None:
            self._outlet.close()


class _Back:
    """The way to the client outside any request: the standing stream."""

    request_id: bytes | None = None

    def __init__(self, session: HttpSession) -> None:
        self._session = session

    def notify(self, method: str, params: bytes | None) -> None:
        self._session.standing.push(frames.notification(method, params))

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    async def request(self, method: str, params: bytes | None) -> Reply:
        return await self._session.ask(self._session.standing, method, params)


def _gone() -> Failure:
    return frames.failure(INTERNAL_ERROR, "the session has ended")
