"""The one HTTP client of the process: one set of connections, one TLS context, made when the first link needs them.

A client made per link or per call loads the certificate bundle each time, which costs more than the whole call
(20 ms against 0.1 ms, and it is what makes other proxies slow). No cookie is kept, no proxy taken from the environment,
no redirect followed. There is no bound on the connections: every open stream holds one, so a bound would be a deadlock,
and the pipeline bounds the calls.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import aiohappyeyeballs
from yarl import URL

from fuseboard import __version__
from fuseboard.adapters.upstream.connection import Connection, Dropped, Response

_Address: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]

CONNECT_TIMEOUT_S: Final = 10.0
IDLE_S: Final = 15.0
"""How long a connection is kept without a request. Servers hang up on idle ones, and a POST that meets that is lost."""

_SECOND_ADDRESS_S: Final = 0.25  # RFC 8305, 5: after this long the next address of a name is tried as well
_COMMON: Final[Mapping[str, str]] = MappingProxyType(
    {"User-Agent": f"fuseboard/{__version__}", "Accept-Encoding": "identity"}
)
"""Compressed streams are held back by whoever compresses them, and may unfold without bound."""


class Unreachable(Exception):
    """No connection came about, so nothing was sent. ``refused`` is whether the port itself said no."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class Target:
    """Where requests for one URL go. ``headers`` are those that will go with all of them, in place of our own.

    ``place`` names the connections that they may share: to the same origin, on behalf of the same account there. Some
    servers and middlemen hold a connection for authenticated once a request on it was, or balance by connection.

    Raises:
        ValueError: it is no URL of HTTP.
    """

    __slots__ = ("_line", "host", "place", "port", "tls", "url")

    def __init__(self, url: URL, headers: Mapping[str, str]) -> None:
        host = url.raw_host
        if url.scheme not in ("http", "https") or not host or not url.port:
            raise ValueError("no URL of HTTP")
        self.url = url
        self.host = host
        self.port = url.port
        self.tls = url.scheme == "https"
        account = sorted((name.lower(), value) for name, value in headers.items())
        place = repr((self.tls, host, url.port, url.user, url.password, account))
        self.place = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
        ours = {"Host": url.host_port_subcomponent, **_COMMON}
        if url.user or url.password:
            own = f"{url.user or ''}:{url.password or ''}"
            ours["Authorization"] = f"Basic {base64.b64encode(own.encode()).decode()}"
        theirs = {name.lower() for name in headers}
        lines = [f"{name}: {value}\r\n" for name, value in ours.items() if name.lower() not in theirs]
        self._line = f" {url.raw_path_qs} HTTP/1.1\r\n{''.join(lines)}"

    def head(self, verb: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """The head of a request.

        Raises:
            ValueError: a header would end its line and start another.
        """
        lines = [f"{name}: {value}" for name, value in headers.items()]
        fields = "\r\n".join(lines)
        breaks = max(len(lines) - 1, 0)
        if fields.count("\n") != breaks or fields.count("\r") != breaks or "\0" in fields:
            raise ValueError("a header would break its line")
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        end = "\r\n\r\n" if lines else "\r\n"
        return f"{verb}{self._line}{length}{fields}{end}".encode("utf-8", "surrogateescape")


class HttpPool:
    """Connections to every HTTP upstream. Make one anywhere; use it and close it on one event loop."""

    def __init__(self, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._idle: dict[str, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def ask(self, target: Target, verb: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Send one request and wait for the head of its response.

        Raises:
            Unreachable: nothing was sent.
            Dropped: the connection went before the response began.
            ValueError: the headers cannot be sent.
        """
        head = target.head(verb, headers, body)
        connection = self._kept(target)
        if connection is not None:
            try:
                return await connection.ask(head, body or b"")
            except Dropped:
                if verb == "POST":  # it may have been read: sent twice, it may be done twice
                    raise
        connection = await self._connect(target)
        return await connection.ask(head, body or b"")

    async def close(self) -> None:
        """Close every connection. Idempotent; a later use opens the pool anew."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for connection in self._open:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the transports close in the next turn of the loop

    def _kept(self, target: Target) -> Connection | None:
        """The connection that was used last: the others may grow old."""
        kept = self._idle.get(target.place)
        while kept:
            connection = kept.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self, target: Target) -> Connection:
        def idle(connection: Connection) -> None:
            connection.idle_since_s = loop.time()
            self._idle.setdefault(place, []).append(connection)
            if self._sweeping is None:
                self._sweeping = loop.call_later(IDLE_S, self._sweep)

        loop = asyncio.get_running_loop()
        place = target.place  # a kept connection may outlive whoever opened it, and keeps nothing of his
        tls = self._context() if target.tls else None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                found = await _addresses(target)
                raw = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_SECOND_ADDRESS_S)
                try:
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    name = target.host.rstrip(".") if tls is not None else None
                    _, connection = await loop.create_connection(
                        lambda: Connection(idle, self._open.discard), sock=raw, ssl=tls, server_hostname=name
                    )
                except BaseException:
                    raw.close()
                    raise
        except (OSError, UnicodeError) as fault:
            refused = isinstance(fault, ConnectionRefusedError)
            raise Unreachable(_reason(fault, tls=target.tls), refused=refused) from fault
        self._open.add(connection)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _sweep(self) -> None:
        """Close what has been idle for too long."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        before_s = loop.time() - IDLE_S
        for place, kept in list(self._idle.items()):
            for connection in kept:
                if connection.idle_since_s <= before_s:
                    connection.abort()
            left = [connection for connection in kept if connection.usable and connection.idle_since_s > before_s]
            if left:
                self._idle[place] = left
            else:
                del self._idle[place]
        if self._idle:
            self._sweeping = loop.call_later(IDLE_S, self._sweep)


async def _addresses(target: Target) -> Sequence[_Address]:
    """What the host's name stands for. An address stands for itself, and needs no thread that looks it up."""
    try:
        version = ipaddress.ip_address(target.host).version
    except ValueError:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    if version == 4:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (target.host, target.port))]
    return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (target.host, target.port, 0, 0))]


def _reason(fault: Exception, *, tls: bool) -> str:
    match fault:
        case ssl.SSLCertVerificationError():
            return "its TLS certificate is not trusted"
        case ssl.SSLError():
            return "the TLS handshake failed"
        case socket.gaierror() | UnicodeError():
            return "its host name cannot be resolved"
        case ConnectionRefusedError():
            return "the connection was refused"
        case TimeoutError():
            return "no connection could be made in time"
        case ConnectionError() if tls:
            return "the TLS handshake failed"
        case _:
            return "no connection could be made"
