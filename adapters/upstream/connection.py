"""One HTTP/1.1 connection to an upstream, lean: one request at a time, its response whole or in pieces as they come.

A general client costs three times as much (aiohttp 100 us a call, this 30), for what no link here needs: cookies,
forms, proxies, redirects, trace hooks. httptools reads the framing; what it leaves unbounded is bounded here.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final, cast

import httptools

READ_AHEAD_BYTES: Final = 256 * 1024
"""How much of a body waits for whoever reads it piece by piece, before the upstream is let wait."""

_HEAD_BYTES: Final = 64 * 1024
_AT_ONCE_BYTES: Final = 64 * 1024
_INFLATED_BYTES: Final = 1024 * 1024
_ANY_FORMAT: Final = 47  # zlib's wbits: gzip or zlib, whichever the head says
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_BODILESS: Final = frozenset({204, 304})


class Dropped(Exception):
    """The connection went, or stopped making sense, before the response was complete."""


class Headers:
    """The fields of a response. Of a repeated one the first counts; names are asked for in any letter case."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._fields.get(name.lower(), default)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._fields


class Response:
    """A response whose head is here. Read it to its end or close it: until then its connection is not used again."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_fault",
        "_inflate",
        "_late",
        "_size",
        "_waiter",
        "_whole",
        "complete",
        "headers",
        "status",
    )

    def __init__(self, connection: Connection, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self.complete = False
        """Whether all of it has arrived, read or not."""
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._whole = False
        self._waiter: asyncio.Future[None] | None = None
        self._fault: Exception | None = None
        self._late: asyncio.TimerHandle | None = None
        coding = (headers.get("content-encoding") or "").strip().lower()
        self._inflate = zlib.decompressobj(_ANY_FORMAT) if coding in _CODINGS else None

    @property
    def content_length(self) -> int | None:
        length = self.headers.get("content-length")
        return int(length) if length is not None and length.isdecimal() else None

    @property
    def encoded(self) -> bool:
        return "content-encoding" in self.headers

    async def read(self) -> bytes:
        """The whole body as it was sent, in one wait however many pieces it comes in.

        Raises:
            Dropped: it broke off.
        """
        self._whole = True
        self._connection.resume()
        while not self.complete:
            await self._more()
        return self._taken()

    async def readany(self) -> bytes:
        """What is here of the body, or what comes next; ``b""`` at its end.

        Raises:
            Dropped: it broke off, or is not encoded as it says.
        """
        while True:
            while not self._chunks and not self.complete:
                await self._more()
            piece = self._taken()
            self._connection.resume()
            if not piece or self._inflate is None:
                return piece
            if inflated := self._inflated(piece):
                return inflated

    def close(self) -> None:
        """Let go of it. What has not arrived is not waited for: the upstream sees its stream closed."""
        if not self.complete:
            self._connection.abort()
            self.fail(Dropped("closed"))

    def let_go(self, linger_s: float) -> None:
        """Throw away what still comes, for so long; then close."""
        self._whole = True
        self._chunks.clear()
        self._connection.resume()
        if not self.complete:
            self._late = asyncio.get_running_loop().call_later(linger_s, self.close)

    # The connection's side

    def feed(self, data: bytes) -> None:
        if self._late is not None:
            return
        self._chunks.append(data)
        self._size += len(data)
        if not self._whole:
            if self._size > READ_AHEAD_BYTES:
                self._connection.pause()
            self._wake()

    def finish(self) -> None:
        self.complete = True
        if self._late is not None:
            self._late.cancel()
        self._wake()

    def fail(self, fault: Exception) -> None:
        if not self.complete and self._fault is None:
            self._fault = fault
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _taken(self) -> bytes:
        taken = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return taken

    def _inflated(self, piece: bytes) -> bytes:
        """A server that compresses unasked is understood, a bounded piece at a time: a little may unfold to a lot."""
        assert self._inflate is not None
        try:
            inflated = self._inflate.decompress(piece, _INFLATED_BYTES)
        except zlib.error as fault:
            self.close()
            raise Dropped(f"not encoded as it says: {fault}") from None
        if self._inflate.unused_data:  # zlib keeps all of it, for as long as it comes
            self.close()
            raise Dropped("it goes on after the end of what it encodes")
        if self._inflate.unconsumed_tail:
            self._chunks.insert(0, self._inflate.unconsumed_tail)
        return inflated


class Connection(asyncio.Protocol):
    """``on_idle`` is told when a response has ended and another request can be sent, ``on_gone`` when none ever can."""

    def __init__(self, on_idle: Callable[[Connection], None], on_gone: Callable[[Connection], None]) -> None:
        self.idle_since_s = 0.0
        self._on_idle = on_idle
        self._on_gone = on_gone
        self._parser = httptools.HttpResponseParser(self)
        self._fields: dict[str, str] = {}
        self._interim = False
        self._silent_bytes = 0
        self._paused = False
        self._lost = False
        self._head: asyncio.Future[Response] | None = None
        self._response: Response | None = None

    @property
    def usable(self) -> bool:
        return not self._lost and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes) -> Response:
        """Send a request and wait for the head of its response.

        Raises:
            Dropped: the connection went first.
        """
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._head = answer
        if len(body) <= _AT_ONCE_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        try:
            return await answer
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        if not self._lost:
            self._transport.abort()

    def pause(self) -> None:
        if not self._paused and self.usable:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self.usable:
                self._transport.resume_reading()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self._head is None and self._response is None:
            self.abort()  # nobody asked
            return
        self._silent_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as fault:
            self._fail(f"no HTTP: {fault}")
            return
        if self._silent_bytes > _HEAD_BYTES and not self._settled:
            self._fail("its head or its trailers have no end")

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._parser = None  # type: ignore[assignment]  # it holds us: one would have to be found by the collector
        self._on_gone(self)
        response = self._response
        if response is not None and exc is None and self._ends_with_connection(response):
            self._response = None
            response.finish()
        else:
            self._tell(Dropped(str(exc or "closed by the other side")))

    # httptools' side

    def on_message_begin(self) -> None:
        self._fields = {}
        if self._head is None:  # nobody asked, and the next who asks must not take it for his answer
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is None:  # a trailer is no header
            text = value.strip(b" \t").decode("utf-8", "surrogateescape")
            self._fields.setdefault(name.decode("latin-1").lower(), text)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        head = self._head
        if self._interim or head is None:
            return
        self._head = None
        self._response = Response(self, status, Headers(self._fields))
        if not head.done():
            head.set_result(self._response)

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        if self._response is not None:
            self._response.feed(body)

    def on_message_complete(self) -> None:
        if self._interim:
            return
        response, self._response = self._response, None
        self._silent_bytes = 0
        if response is None:
            return
        response.finish()
        if not self._parser.should_keep_alive() or not self.usable:
            self._transport.close()
        elif self._transport.get_write_buffer_size():
            self.abort()  # answered before the question was all sent: nobody wants the rest
        else:
            self.resume()
            self._on_idle(self)

    @property
    def _settled(self) -> bool:
        return self._head is None and self._response is None

    def _ends_with_connection(self, response: Response) -> bool:
        """A body of no announced length ends where the connection does (RFC 9112, 6.3)."""
        announced = "content-length" in response.headers or "transfer-encoding" in response.headers
        return not announced and response.status not in _BODILESS

    def _fail(self, reason: str) -> None:
        self.abort()
        self._tell(Dropped(reason))

    def _tell(self, fault: Dropped) -> None:
        if self._head is not None and not self._head.done():
            self._head.set_exception(fault)
        if self._response is not None:
            self._response.fail(fault)
        self._head = self._response = None
