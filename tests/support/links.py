"""What stands before a link in its tests: the scope of a call and the handler of what comes outside any."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio

from fuseboard.ports import Link, Reply, Request, Result, Scope
from fuseboard.wire import frames

ACCEPTED = Result(b'{"action":"accept","content":{"name":"Ada"}}')


def params(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def value(reply: Reply) -> Any:
    """The parsed result, or error object, of a reply."""
    return json.loads(reply.raw)


class Notices:
    """Notifications in the order of receipt."""

    def __init__(self) -> None:
        self.noticed: list[tuple[str, Any]] = []
        self._arrived = anyio.Event()

    def took(self, method: str, params: bytes | None) -> None:
        self.noticed.append((method, json.loads(params) if params else None))
        self._arrived.set()

    async def until(self, method: str) -> Any:
        """The params of the first notification of that method, waited for."""
        while True:
            for seen, params in self.noticed:
                if seen == method:
                    return params
            self._arrived = anyio.Event()
            await self._arrived.wait()


class CallScope(Notices):
    """The scope of one call. It answers each question with ``answer``, or never where that is ``None``."""

    request_id: bytes | None = b"7"

    def __init__(self, answer: Reply | None = ACCEPTED) -> None:
        super().__init__()
        self.asked: list[tuple[str, Any]] = []
        self.asks_begun = anyio.Event()
        self.asks_cancelled = 0
        self._answer = answer

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    def notify(self, method: str, params: bytes | None) -> None:
        self.took(method, params)

    async def request(self, method: str, params: bytes | None) -> Reply:
        self.asked.append((method, json.loads(params) if params else None))
        self.asks_begun.set()
        if self._answer is None:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                self.asks_cancelled += 1
                raise
        assert self._answer is not None
        return self._answer


class Inbound(Notices):
    """A handler. It answers each request with ``answer``."""

    def __init__(self, answer: Reply = ACCEPTED) -> None:
        super().__init__()
        self.asked: list[Request] = []
        self.losses: list[str] = []
        self._answer = answer

    async def request(self, request: Request, scope: Scope) -> Reply:
        self.asked.append(request)
        return self._answer

    def notified(self, method: str, params: bytes | None) -> None:
        self.took(method, params)

    def lost(self, reason: str) -> None:
        self.losses.append(reason)


async def handshake(link: Link, version: str = "2025-11-25", capabilities: Mapping[str, Any] | None = None) -> Any:
    """Open a session of the handshake revisions through ``link``; the parsed result of initialize."""
    hello = {
        "protocolVersion": version,
        "capabilities": capabilities or {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    reply = await link.request("initialize", params(hello), CallScope())
    await link.notify("notifications/initialized", None)
    return value(reply)


async def call_tool(link: Link, name: str, scope: CallScope | None = None, **arguments: Any) -> Any:
    """The text of the first content block. Asks for progress, with the token 1."""
    wanted = {"name": name, "arguments": arguments, "_meta": {"progressToken": 1}}
    reply = await link.request("tools/call", params(wanted), scope or CallScope())
    assert isinstance(reply, Result), frames.response(b"0", reply)
    return value(reply)["content"][0]["text"]
