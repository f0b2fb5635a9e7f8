"""The clients of the soak: each life is one visit of one client, and many go on side by side, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from tally import Tally
from world import World

from support.edge import HELLO, MODERN, Wire, frame, modern
from support.proxy import Proxy
from support.raw_transports import PipeClient

FLOOD_STEPS: Final = 60_000
"""Progress notices of one call that nobody reads: some 9 MB, more than the queue of one stream may hold."""

LIFE_LIMIT_S: Final = 60.0
_HANGUPS: Final = (OSError, EOFError, asyncio.IncompleteReadError)


class Load:
    """``rng`` decides what each client does; all of them write into one tally."""

    def __init__(self, world: World, tally: Tally, rng: random.Random) -> None:
        self.world = world
        self.tally = tally
        self.rng = rng
        self._numbers = itertools.count(1)

    async def handshake_visit(self) -> None:
        """Streamable HTTP with a session: some calls, then a goodbye, or none."""
        async with wire(self.world.wide) as one:
            session = await self._open(one, "http")
            for _ in range(self.rng.randint(1, 6)):
                await self._call(one, session, *self._work())
            if self.rng.random() < 0.5:
                await one.ask("DELETE", "/mcp", session)
            else:
                one.cut()

    async def stateless_visit(self) -> None:
        """The revision without sessions: some calls, and one that is given up."""
        async with wire(self.world.wide) as one:
            for _ in range(self.rng.randint(1, 6)):
                await self._call_stateless(one, *self._work())
        async with wire(self.world.wide) as other:
            headers, body = modern(
                1, "tools/call", {"name": f"{self._raw()}__hang", "arguments": {"for": self._number()}}
            )
            await other.send("POST", "/mcp", headers, body)
            await anyio.sleep(0.1)
            self.tally.abandoned += 1
            other.cut()

    async def sse_visit(self) -> None:
        """HTTP+SSE: connect, call, drop."""
        async with wire(self.world.wide) as stream, wire(self.world.wide) as posts:
            await stream.ask("GET", "/sse", {"Accept": "text/event-stream"})
            self.tally.sessions["sse"] += 1
            endpoint = await stream.event()
            assert endpoint is not None
            path = endpoint.data
            await posts.ask("POST", path, {}, frame("hello", "initialize", HELLO))
            await _answer(stream, "hello")
            await posts.ask("POST", path, {}, frame(None, "notifications/initialized"))
            for _ in range(self.rng.randint(0, 3)):
                name, arguments, wanted = self._work()
                await posts.ask("POST", path, {}, frame("call", "tools/call", {"name": name, "arguments": arguments}))
                self.tally.answer(await _answer(stream, "call"), wanted, at_s=anyio.current_time())
            stream.cut()

    async def listen_visit(self) -> None:
        """Subscribe, hear the acknowledgement, drop."""
        async with wire(self.world.narrow) as one:
            wanted = {"notifications": {"toolsListChanged": True}}
            headers, body = modern(self._number(), "subscriptions/listen", wanted)
            answer = await one.ask("POST", "/mcp", headers, body)
            self.tally.sessions["listen"] += 1
            first = await one.event() if answer.streams else None
            if first is None or first.json.get("method") != "notifications/subscriptions/acknowledged":
                said = answer.body or (first.data if first else "nothing")
                self.tally.odd(f"listen: {said!r:.120}", at_s=anyio.current_time())
            await anyio.sleep(0.2)
            one.cut()

    async def connect_visit(self) -> None:
        """Initialize, one call, and gone: what an abandoned session leaves behind shows after some thousands."""
        async with wire(self.world.narrow) as one:
            session = await self._open(one, "http")
            await self._call(one, session, "echo", {"text": "hi"}, "hi")
            one.cut()

    async def slow_visit(self) -> None:
        """A call that floods its stream, a standing stream, and a reader that reads neither."""
        async with wire(self.world.narrow) as calls, wire(self.world.narrow) as standing:
            session = await self._open(calls, "http")
            await standing.send("GET", "/mcp", {**session, "Accept": "text/event-stream"})
            params = {
                "name": "progress",
                "arguments": {"times": FLOOD_STEPS, "for": self._number()},
                "_meta": {"progressToken": 1},
            }
            self.tally.abandoned += 1
            await calls.send("POST", "/mcp", session, frame(1, "tools/call", params))
            await anyio.sleep(2)
            calls.cut()
            standing.cut()

    async def pipe_life(self, client: PipeClient) -> None:
        """One client over stdio, calling for as long as it is let."""
        while True:
            name, arguments, wanted = self.rng.choice(
                [("echo", {"text": "hi"}, "hi"), ("progress", {"times": 5}, "done"), ("log", {"times": 5}, "done")]
            )
            params = {"name": name, "arguments": arguments, "_meta": {"progressToken": "p"}}
            message = json.loads(await client.ask("tools/call", params))
            self.tally.answer(message, wanted, at_s=anyio.current_time())
            await anyio.sleep(0.02)

    async def kill_the_child(self) -> None:
        """The child of stdio dies in the middle of a call."""
        self.tally.disturbed(anyio.current_time())
        async with wire(self.world.wide) as one:
            headers, body = modern(1, "tools/call", {"name": "child__die", "arguments": {"for": self._number()}})
            answer = await one.ask("POST", "/mcp", headers, body)
            message = await _whole(one, answer)
            self.tally.answer(message, "", at_s=anyio.current_time())
        self.tally.disturbed(anyio.current_time())

    async def restart(self) -> None:
        """Both HTTP upstreams, one after the other."""
        for upstream in (self.world.sdk, self.world.modern):
            self.tally.disturbed(anyio.current_time())
            await upstream.restart()
            self.tally.disturbed(anyio.current_time())

    async def again(self, life: Callable[[], Awaitable[None]], pause_s: float) -> None:
        """One life after the other, for ever. What ends one early is counted by its kind."""
        while True:
            try:
                with anyio.fail_after(LIFE_LIMIT_S):
                    await life()
            except Refused as refused:
                self.tally.odd(str(refused), at_s=anyio.current_time())
            except (*_HANGUPS, TimeoutError) as fault:
                self.tally.odd(f"{life.__name__}: {type(fault).__name__}", at_s=anyio.current_time())
            await anyio.sleep(pause_s)

    def _number(self) -> int:
        return next(self._numbers)

    def _raw(self) -> str:
        return self.rng.choice(["child", "modern"])

    def _work(self) -> tuple[str, dict[str, Any], str]:
        """A call, and what its answer holds.

        No two are alike: where the server hangs up on one, nobody knows what it did, and its like would rightly be
        refused from then on.
        """
        text = f"n{self._number()}"
        return self.rng.choice(
            [
                (f"{self._raw()}__echo", {"text": text}, text),
                ("sdk__echo", {"text": text}, text),
                ("sdk__count", {"to": 5, "for": text}, "counted"),
                (f"{self._raw()}__progress", {"times": 5, "for": text}, "done"),
                (f"{self._raw()}__log", {"times": 5, "for": text}, "done"),
                (f"{self._raw()}__big", {"bytes": 100_000, "for": text}, "xxx"),
            ]
        )

    async def _open(self, one: Wire, kind: str) -> dict[str, str]:
        answer = await one.ask("POST", "/mcp", {}, frame(1, "initialize", HELLO))
        message = await _whole(one, answer)
        if answer.status != 200 or "result" not in message:
            raise Refused(f"initialize: HTTP {answer.status} {json.dumps(message)[:120]}")
        self.tally.sessions[kind] += 1
        session = {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        said = await one.ask("POST", "/mcp", session, frame(None, "notifications/initialized"))
        if said.status != 202:
            raise Refused(f"initialized: HTTP {said.status}")
        return session

    async def _call(self, one: Wire, session: dict[str, str], name: str, arguments: Any, wanted: str) -> None:
        params = {"name": name, "arguments": arguments, "_meta": {"progressToken": 1}}
        answer = await one.ask("POST", "/mcp", session, frame(self._number(), "tools/call", params))
        if answer.status != 200:
            raise Refused(f"call: HTTP {answer.status}")
        self.tally.answer(await _whole(one, answer), wanted, at_s=anyio.current_time())

    async def _call_stateless(self, one: Wire, name: str, arguments: Any, wanted: str) -> None:
        headers, body = modern(self._number(), "tools/call", {"name": name, "arguments": arguments})
        assert headers["MCP-Protocol-Version"] == MODERN
        answer = await one.ask("POST", "/mcp", headers, body)
        self.tally.answer(await _whole(one, answer), wanted, at_s=anyio.current_time())


class Refused(Exception):
    """The proxy said no to what it should have taken."""


@asynccontextmanager
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    assert proxy.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=1 << 26)
    try:
        yield Wire(proxy.port, reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _whole(one: Wire, answer: Any) -> dict[str, Any]:
    """The response, out of a JSON body or off a stream, which is read to its end."""
    if not answer.streams:
        message: dict[str, Any] = answer.json if answer.body else {}
        return message
    found: dict[str, Any] = {}
    for event in await one.events():
        if event.data and "method" not in (said := event.json):
            found = said
    return found


async def _answer(stream: Wire, id: str) -> dict[str, Any]:
    while (event := await stream.event()) is not None:
        message: dict[str, Any] = event.json
        if message.get("id") == id and "method" not in message:
            return message
    raise EOFError("the stream ended")
