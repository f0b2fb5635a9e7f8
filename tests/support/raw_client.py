"""A client without any library: it sends the bytes that it is given and keeps the frames that come back.

``ask`` returns the raw response frame. Whatever else comes (notifications, requests of the server, junk) waits in
order behind ``next()``. ``support.raw_transports`` makes clients.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import anyio

HANDSHAKE: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
LIMIT_S: Final = 10
CLIENT: Final = {"name": "raw-client", "version": "1.10"}

Params: TypeAlias = Mapping[str, Any] | bytes | None
"""``bytes`` are a JSON object that goes out as it is."""


def stateless_meta(capabilities: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The ``_meta`` that every request of the stateless revision carries."""
    prefix = "io.modelcontextprotocol/"
    values = {"protocolVersion": MODERN, "clientInfo": CLIENT, "clientCapabilities": dict(capabilities or {})}
    return {prefix + key: value for key, value in values.items()}


class Ask:
    """A request under way."""

    def __init__(self, id: int | str) -> None:
        self.id = id
        self.scope = anyio.CancelScope()
        self._done = anyio.Event()
        self._frame: bytes | None = None

    def settle(self, frame: bytes | None) -> None:
        self._frame = self._frame or frame
        self._done.set()

    async def response(self, timeout_s: float = LIMIT_S) -> bytes:
        """The raw response frame.

        Raises:
            TimeoutError: none came in time.
            EOFError: the connection, or the response stream, ended without one.
        """
        with anyio.fail_after(timeout_s):
            await self._done.wait()
        if self._frame is None:
            raise EOFError(f"no response to {self.id!r}")
        return self._frame


class RawClient:
    """What the three transports share: matching answers to requests, and keeping the rest."""

    def __init__(self, era: str, capabilities: Mapping[str, Any] | None) -> None:
        self.era = era
        self.capabilities = dict(capabilities or {})
        self.frames: list[bytes] = []
        """Every frame that came, in order."""
        self._asks: dict[str, Ask] = {}
        self._last_id = 0
        self._rest, self._inbox = anyio.create_memory_object_stream[bytes](float("inf"))

    async def send(self, frame: bytes) -> None:
        """Send these very bytes as one frame."""
        raise NotImplementedError

    async def send_request(self, ask: Ask, frame: bytes, headers: Mapping[str, str]) -> None:
        await self.send(frame)

    async def begin(self, method: str, params: Params = None, *, id: int | str | None = None) -> Ask:
        """Send a request and do not wait for its answer."""
        if id is None:
            self._last_id += 1
            id = self._last_id
        return await self.begin_frame(id, self.frame(method, params, id=id), _routing_headers(method, params))

    async def begin_frame(self, id: int | str, frame: bytes, headers: Mapping[str, str] | None = None) -> Ask:
        """Send these very bytes, and expect a response with ``id``. ``headers`` go along over HTTP."""
        ask = self._asks[json.dumps(id)] = Ask(id)
        await self.send_request(ask, frame, headers or {})
        return ask

    async def ask(self, method: str, params: Params = None, *, timeout_s: float = LIMIT_S) -> bytes:
        """Send a request and return the raw response frame. Raises as :meth:`Ask.response`."""
        return await (await self.begin(method, params)).response(timeout_s)

    async def result(self, method: str, params: Params = None) -> Any:
        """The parsed ``result`` of a request; an error fails the test."""
        message = json.loads(await self.ask(method, params))
        assert "result" in message, message
        return message["result"]

    async def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> bytes:
        return await self.ask("tools/call", {"name": name, "arguments": dict(arguments or {})})

    async def notify(self, method: str, params: Params = None) -> None:
        await self.send(self.frame(method, params))

    async def cancel(self, ask: Ask) -> None:
        """Give up on a request, in the way of the transport and the era."""
        await self.notify("notifications/cancelled", {"requestId": ask.id, "reason": "changed my mind"})

    async def reply(self, request: bytes, result: bytes | Mapping[str, Any]) -> None:
        """Answer a request that the server sent."""
        raw = result if isinstance(result, bytes) else json.dumps(result).encode()
        id = json.dumps(json.loads(request)["id"]).encode()
        await self.send(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, raw))

    async def next(self, method: str | None = None, *, timeout_s: float = LIMIT_S) -> bytes:
        """The next frame that answers no request; with ``method``, the next of that method (others are dropped)."""
        with anyio.fail_after(timeout_s):
            while True:
                frame = await self._inbox.receive()
                if method is None or json.loads(frame).get("method") == method:
                    return frame

    def frame(self, method: str, params: Params = None, *, id: int | str | None = None) -> bytes:
        """The frame that :meth:`begin` would send."""
        head = b'{"jsonrpc":"2.0",' + (b"" if id is None else b'"id":%b,' % json.dumps(id).encode())
        raw = params if isinstance(params, bytes) else None if params is None else json.dumps(params).encode()
        if self.era == MODERN and id is not None:
            raw = _with_meta(raw or b"{}", stateless_meta(self.capabilities))
        tail = b"" if raw is None else b',"params":' + raw
        return head + b'"method":%b%b}' % (json.dumps(method).encode(), tail)

    def opening(self) -> dict[str, Any]:
        return {"protocolVersion": self.era, "capabilities": self.capabilities, "clientInfo": CLIENT}

    async def open_session(self) -> dict[str, Any]:
        """Shake hands; in the stateless era, discover. Returns the parsed result."""
        if self.era == MODERN:
            return dict(await self.result("server/discover"))
        result = await self.result("initialize", self.opening())
        await self.notify("notifications/initialized")
        return dict(result)

    def take(self, frame: bytes) -> None:
        self.frames.append(frame)
        try:
            message = json.loads(frame)
        except ValueError:
            message = None
        if isinstance(message, dict) and "method" not in message:
            ask = self._asks.pop(json.dumps(message.get("id")), None)
            if ask:
                return ask.settle(frame)
        return self._rest.send_nowait(frame)

    def lost(self) -> None:
        """Nothing will come any more."""
        asks, self._asks = self._asks, {}
        for ask in asks.values():
            ask.settle(None)
        self._rest.close()

    def close(self) -> None:
        self.lost()
        self._inbox.close()


def _routing_headers(method: str, params: Params) -> dict[str, str]:
    headers = {"mcp-method": method}
    named = json.loads(params) if isinstance(params, bytes) else params or {}
    name = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}.get(method)
    if name and isinstance(named.get(name), str):
        headers["mcp-name"] = named[name]
    return headers


def _with_meta(params: bytes, meta: Mapping[str, Any]) -> bytes:
    """The stateless ``_meta`` put into an object, other bytes untouched; keys that are there already win."""
    given = json.loads(params).get("_meta")
    if given is None:
        rest = params.lstrip()[1:]
        comma = b"" if rest.lstrip().startswith(b"}") else b","
        return b'{"_meta":%b%b%b' % (json.dumps(meta).encode(), comma, rest)
    at = params.index(b"{", params.index(b'"_meta"')) + 1
    missing = json.dumps({key: value for key, value in meta.items() if key not in given}).encode()[1:-1]
    comma = b"," if given and missing else b""
    return params[:at] + missing + comma + params[at:]
