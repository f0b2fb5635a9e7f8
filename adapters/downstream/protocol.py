"""HTTP/1.1 as the edge serves it: httptools reads the framing, and what has not fully arrived is bounded here.

A lean protocol in the place of uvicorn's, whose server runs it: half the cost of a call over HTTP was in there, and it
waits for ever, for any amount.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from fuseboard.adapters.downstream.asgi import ABORT, MEASURED
from fuseboard.adapters.downstream.cycle import Cycle
from fuseboard.adapters.downstream.limits import Limits

_DISCARD_BYTES: Final = 8 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that its sender gets to see the refusal."""

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""What says where a request ends and whether another may follow."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}

_log = logging.getLogger("fuseboard.downstream")


class _TooMuch(Exception):
    """Ends the parse of what has been read."""


class _Flow(FlowControl):
    """Reads on only once nothing holds it back any more; ``release`` is to be called when that may have changed."""

    def __init__(self, transport: asyncio.Transport, held: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._held = held
        self._due = False

    def resume_reading(self) -> None:
        if self.read_paused:
            self._due = self._held()
            if not self._due:
                super().resume_reading()

    def release(self) -> None:
        if self._due:
            self.resume_reading()

    def over(self) -> None:
        """The connection is lost. Whom to ask is forgotten, or the two would keep each other alive."""
        self._held = lambda: False


class BoundedProtocol(asyncio.Protocol):
    """Gives a request ``read_s`` from its first byte to its last, a new connection as long for the first byte, and a
    head ``head_bytes`` and ``headers``, whether or not it ends. While a whole request waits for those before it, or the
    client does not read its answers, nothing more is read; of what came in one piece, ``pipelined`` requests are kept
    and answered, and then the connection ends. It also lends the application a way to cut the connection.

    uvicorn's server makes it; at the end it calls ``shutdown`` and waits until ``server_state`` has neither
    ``connections`` nor ``tasks``.
    """

    transport: asyncio.Transport
    flow: _Flow

    def __init__(
        self,
        limits: Limits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.pipeline: deque[Cycle] = deque()
        self._limits = limits
        self._app = config.loaded_app
        self._keep_alive_s = config.timeout_keep_alive
        self._state = server_state
        self._loop = _loop or asyncio.get_event_loop()
        self._parser = self._new_parser()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._incomplete = False
        self._message_bytes = 0
        self._piece_bytes = 0
        self._head_at_most_bytes = 0
        self._deaf = False
        self._waits = False
        self._headed = False
        """Whether the parser reads a head that we wrote: what it says of that is no news."""
        self._upgrades = False
        self._coming: Cycle | None = None
        """The request that is being read, or was read last, until it is answered."""
        self._served: Cycle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle_since_s = 0.0
        self._hang_up: asyncio.TimerHandle | None = None

    @property
    def default_headers(self) -> Iterable[tuple[bytes, bytes]]:
        return self._state.default_headers

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._state.connections.add(self)  # type: ignore[arg-type]
        self.transport = cast(asyncio.Transport, transport)
        self.flow = _Flow(self.transport, self._held)
        self._scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "https" if is_ssl(self.transport) else "http",
            "root_path": "",
            "extensions": {ABORT: self.transport.abort, MEASURED: True},
        }
        self._arm()
        self._hang_up = self._loop.call_later(self._keep_alive_s, self._look_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._disarm()
        if self._hang_up is not None:
            self._hang_up.cancel()
        self.pipeline.clear()
        for cycle in (self._served, self._coming):
            if cycle is not None:
                cycle.lost()
        self.flow.resume_writing()
        # No cycle is left behind: what the garbage collector has to find stays for thousands of visits.
        self.flow.over()
        self._parser = self._scope = self._served = self._coming = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._piece_bytes = len(data)
        if self._incomplete:
            self._message_bytes += len(data)
            if self._in_head:
                self._head_at_most_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as fault:
            if not self._deaf:
                _log.info("what came was no HTTP: %s", fault)
                self._hear_no_more()
                self._refuse(b"400 Bad Request")
            return
        if not self._incomplete:
            self._disarm()
        elif self._in_head and self._message_bytes > self._limits.head_bytes:
            self._give_up(b"431 Request Header Fields Too Large")
        elif self._message_bytes > self._limits.head_bytes + self._limits.body_bytes + _DISCARD_BYTES:
            self._give_up(b"413 Content Too Large")
        elif self._deadline is None:
            self._arm()

    def eof_received(self) -> None:
        """Half a goodbye is a whole one: the transport closes."""

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        self.flow.release()

    # httptools' side

    def on_message_begin(self) -> None:
        if self._headed:
            return
        self._url = b""
        self._headers = []
        self._in_head = self._incomplete = True
        self._message_bytes = 0
        self._head_at_most_bytes = self._piece_bytes
        self._waits = False

    def on_url(self, url: bytes) -> None:
        if not self._headed:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer is no header, and nobody here wants one
            name = name.lower()
            if name == b"expect":
                self._waits = value.lower() == b"100-continue"
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._headed:
            return
        if self._head_too_large():
            self._hear_no_more()
            self._give_up(b"431 Request Header Fields Too Large")
            raise _TooMuch
        if len(self.pipeline) >= self._limits.pipelined:
            self._hear_no_more()
            if self._coming is not None:
                self._coming.keep_alive = False
            raise _TooMuch
        self._in_head = False
        parser = self._parser
        self._upgrades = parser.should_upgrade()
        version = parser.get_http_version()
        path, raw_path, query = _parts(self._url)
        scope = {
            **self._scope,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }
        if version != "1.1":
            scope["http_version"] = version
        keep_alive = version != "1.0" and parser.should_keep_alive()
        cycle = self._coming = Cycle(self, scope, keep_alive=keep_alive, waits=self._waits)
        if self._served is None:
            self._serve(cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.append(cycle)

    def on_body(self, body: bytes) -> None:
        if self._coming is not None:
            self._coming.feed(body)

    def on_message_complete(self) -> None:
        if self._upgrades:  # the head alone is: llhttp leaves all the rest to another protocol
            return
        self._in_head = self._incomplete = False
        if self._coming is not None:
            self._coming.fed()

    # The cycle's side

    def answered(self, cycle: Cycle) -> None:
        self._state.total_requests += 1
        self._served = None
        if self._coming is cycle:
            self._coming = None
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._serve(self.pipeline.popleft())
        else:
            self._idle_since_s = self._loop.time()
        self.flow.resume_reading()

    # The server's side

    def shutdown(self) -> None:
        """Hang up, once what is being answered has been."""
        last = self.pipeline[-1] if self.pipeline else self._served
        if last is None:
            self.transport.close()
        else:
            last.keep_alive = False

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._upgrades = False
                if self._coming is not None and self._coming.scope["method"] == "CONNECT":  # that has no body
                    self._coming.keep_alive = False
                    self.on_message_complete()
                    self._hear_no_more()
                    return
                self._ignore_upgrade()

    def _ignore_upgrade(self) -> None:
        """What follows is the request's body, and then other requests (RFC 9110, 7.8: no upgrade has to be made).

        Java's own client asks for h2c with its first POST. llhttp cannot be told to go on, so another one is given
        the part of the head that says how long the body is.
        """
        _log.debug("an upgrade was asked for and not made")
        lines = [b"%b: %b\r\n" % field for field in self._headers if field[0] in _FRAMING]
        self._parser = self._new_parser()
        self._headed = True
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(lines))
        finally:
            self._headed = False

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # What follows a `Connection: close` in one piece must not cost the answer to what came before it.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _serve(self, cycle: Cycle) -> None:
        self._served = cycle
        task = self._loop.create_task(cycle.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _held(self) -> bool:
        """Whether to read nothing now. What has begun to arrive is read to its end, or it would be found late."""
        waiting = bool(self.pipeline) and not self._incomplete
        return self._deaf or waiting or self.flow.write_paused

    def _head_too_large(self) -> bool:
        if len(self._headers) > self._limits.headers:
            return True
        if self._head_at_most_bytes <= self._limits.head_bytes:
            return False
        return len(self._url) + sum([len(name) + len(value) for name, value in self._headers]) > self._limits.head_bytes

    def _hear_no_more(self) -> None:
        self._deaf = True
        self.flow.pause_reading()

    def _arm(self) -> None:
        self._deadline = self._loop.call_later(self._limits.read_s, self._give_up, b"408 Request Timeout")

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _look_if_idle(self) -> None:
        """One timer for the life of the connection, rather than one for each of its pauses."""
        left_s = float(self._keep_alive_s)
        if self._served is None and not self._incomplete:
            left_s -= self._loop.time() - self._idle_since_s
            if left_s <= 0:
                self.transport.close()
                return
        self._hang_up = self._loop.call_later(left_s, self._look_if_idle)

    def _give_up(self, status: bytes) -> None:
        """Answer what will not become a request, unless something is being answered already, and hang up."""
        self._disarm()
        if self._unanswered():
            self._refuse(status)
        else:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

    def _unanswered(self) -> bool:
        if self.pipeline:
            return False
        if self._coming is None:
            return self._in_head and self._served is None
        return not self._in_head and not self._coming.started


@functools.lru_cache(maxsize=64)  # clients ask for the same few things over and over
def _parts(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query."""
    parsed = httptools.parse_url(url)
    raw_path = parsed.path or b"/"
    path = raw_path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, raw_path, parsed.query or b""
