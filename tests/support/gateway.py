"""A gateway that is a script: what each method does is said by the test, and what reached it is written down."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio

from fuseboard.ports import Origin, Reply, Request, Result, Scope

Act: TypeAlias = Callable[[Request, Scope], Awaitable[Reply]]

INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}, "logging": {}},
    "serverInfo": {"name": "fake", "version": "1"},
}
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "fake", "version": "1"},
    "ttlMs": 0,
    "cacheScope": "private",
}
ECHO_TOOL = {"name": "echo", "description": "says it again", "inputSchema": {"type": "object"}}
LISTED = {"tools": [ECHO_TOOL]}
LISTED_MODERN = {**LISTED, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def result(value: Any) -> Result:
    return Result(json.dumps(value, separators=(",", ":")).encode())


def says(value: Any) -> Act:
    async def act(request: Request, scope: Scope) -> Reply:
        return result(value)

    return act


async def echo(request: Request, scope: Scope) -> Reply:
    arguments = (request.value or {}).get("arguments", {})
    content = [{"type": "text", "text": json.dumps(arguments)}]
    return result({"content": content, "resultType": "complete"})


class FakeSession:
    def __init__(self, gateway: FakeGateway, origin: Origin, back: Scope | None) -> None:
        self.gateway = gateway
        self.origin = origin
        self.back = back
        self.notified_of: list[tuple[str, bytes | None]] = []
        self.closed = anyio.Event()

    async def request(self, request: Request, scope: Scope) -> Reply:
        self.gateway.requests.append(request)
        return await self.gateway.acts[request.method](request, scope)

    def notified(self, method: str, params: bytes | None) -> None:
        self.notified_of.append((method, params))

    async def close(self) -> None:
        self.closed.set()


class FakeGateway:
    """``acts`` maps a method to what it does; change it at will."""

    def __init__(self) -> None:
        self.acts: dict[str, Act] = {
            "initialize": says(INITIALIZED),
            "server/discover": says(DISCOVERED),
            "tools/list": says(LISTED_MODERN),
            "tools/call": echo,
            "ping": says({}),
        }
        self.requests: list[Request] = []
        self.sessions: list[FakeSession] = []
        self.origins: list[Origin] = []

    def connect(self, origin: Origin, back: Scope) -> FakeSession:
        session = FakeSession(self, origin, back)
        self.sessions.append(session)
        return session

    def stateless(self, origin: Origin) -> FakeSession:
        self.origins.append(origin)
        return FakeSession(self, origin, None)
