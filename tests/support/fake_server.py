"""An MCP server that is a script, behind links in memory: what each tool does is said by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import anyio

from fuseboard.config import StdioServer
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND, UNSUPPORTED_VERSION, Undelivered, UpstreamLost, UpstreamUnreachable
from fuseboard.late import listener as late_listener
from fuseboard.ports import Failure, Inbound, Reply, Request, Result, Scope
from fuseboard.wire import frames

BOTH: Final = frozenset(Era)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it reached the server."""

    era: Era
    method: str
    params: bytes | None
    scope: Scope
    headers: Mapping[str, str]
    id: int = 0
    """What the request goes by on its link."""

    @property
    def value(self) -> Any:
        return json.loads(self.params or b"{}")

    @property
    def arguments(self) -> Any:
        return self.value.get("arguments")


Act: TypeAlias = Callable[[Asked], Awaitable[Reply]]


def result(value: Any) -> Result:
    return Result(json.dumps(value).encode())


def text(words: str) -> Result:
    return result({"content": [{"type": "text", "text": words}]})


def answers(reply: Reply | dict[str, Any]) -> Act:
    """Always the same; the bytes of a ``Result`` or ``Failure`` as they are."""

    async def act(asked: Asked) -> Reply:
        return reply if isinstance(reply, Result | Failure) else result(reply)

    return act


def says(words: str) -> Act:
    return answers(text(words))


def fails(code: int, message: str) -> Act:
    return answers(frames.failure(code, message))


async def hangs(asked: Asked) -> Reply:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def echoes(asked: Asked) -> Reply:
    return text(json.dumps(asked.arguments))


class FakeTool:
    """A tool: its definition (camel case, as on the wire) and what it does."""

    def __init__(self, name: str, act: Act = echoes, **definition: Any) -> None:
        self.name = name
        self.act = act
        self.definition = {"name": name, "inputSchema": {"type": "object"}, **definition}


class FakeServer:
    """``facts`` is the server's section of a configuration; the rest is what it offers.

    Change ``tools``, ``prompts``, ``resources``, ``templates``, ``lists`` (raw pages by method), ``acts`` (by method)
    and ``gate`` at will. ``scoped``: notifications come on the stream of their request, as over Streamable HTTP.
    """

    def __init__(
        self, alias: str, *tools: FakeTool, eras: Collection[Era] = BOTH, scoped: bool = False, **facts: Any
    ) -> None:
        self.alias = alias
        self.eras = eras
        self.scoped = scoped
        self.facts = StdioServer.model_validate({"command": "fake", **facts})
        self.tools = {tool.name: tool for tool in tools}
        self.prompts: list[str] = []
        self.resources: list[str] = []
        self.templates: list[str] = []
        self.capabilities: dict[str, Any] = {"tools": {}}
        self.instructions: str | None = None
        self.acts: dict[str, Act] = {}
        self.page_size = 0
        self.down: str | None = None
        """Why it cannot be reached, while it cannot."""
        self.heedless = False
        """Whether it goes on with what the other side gave up, and answers."""
        self.gate: anyio.Event | None = None
        """Connecting waits for it: a server that is slow to start."""
        self.asked: list[Asked] = []
        self.notified: list[tuple[str, Any]] = []
        self.cancelled: list[str] = []
        """Methods of requests that were given up by the other side."""
        self.links: list[FakeLink] = []
        self._news = anyio.Event()

    @property
    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    @property
    def calls(self) -> list[Asked]:
        """The governed requests that reached it."""
        return [asked for asked in self.asked if asked.method in frames.GOVERNED]

    async def reached(self, method: str, times: int = 1) -> Asked:
        """Wait until that method has come so often; the last of them."""
        while self.methods.count(method) < times:
            self._news = anyio.Event()
            await self._news.wait()
        return [asked for asked in self.asked if asked.method == method][times - 1]

    async def connect(self, era: Era, inbound: Inbound) -> FakeLink:
        if self.gate is not None:
            await self.gate.wait()
        if self.down is not None:
            raise UpstreamUnreachable(self.alias, f"{self.alias} {self.down}")
        self.links.append(FakeLink(self, era, inbound))
        return self.links[-1]

    def crash(self) -> None:
        """Every open link dies, with what is under way on it."""
        for link in self.links:
            link.die()

    async def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        self._news.set()
        if (act := self.acts.get(asked.method)) is not None:
            return await act(asked)
        if asked.era not in self.eras:
            code = UNSUPPORTED_VERSION if asked.method == "initialize" else METHOD_NOT_FOUND
            return frames.failure(code, f"not in this era: {asked.method}")
        match asked.method:
            case "initialize" | "server/discover":
                return result(self._introduction(asked))
            case "tools/list":
                return self._page(asked, "tools", [tool.definition for tool in self.tools.values()])
            case "prompts/list":
                return self._page(asked, "prompts", [{"name": name} for name in self.prompts])
            case "resources/list":
                return self._page(asked, "resources", [{"uri": uri, "name": uri} for uri in self.resources])
            case "resources/templates/list":
                items = [{"uriTemplate": template, "name": template} for template in self.templates]
                return self._page(asked, "resourceTemplates", items)
            case "tools/call" if asked.value["name"] in self.tools:
                return await self.tools[asked.value["name"]].act(asked)
            case "tools/call":
                return frames.failure(-32602, f"Unknown tool: {asked.value['name']}")
            case "prompts/get":
                return result({"messages": [{"role": "user", "content": {"type": "text", "text": self.alias}}]})
            case "resources/read":
                return result({"contents": [{"uri": asked.value["uri"], "text": f"of {self.alias}"}]})
            case "completion/complete":
                return result({"completion": {"values": [self.alias]}})
            case "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe":
                return result({})
        return frames.failure(METHOD_NOT_FOUND, f"Method not found: {asked.method}")

    def _introduction(self, asked: Asked) -> dict[str, Any]:
        info = {"name": self.alias, "version": "1"}
        said: dict[str, Any] = {"capabilities": self.capabilities}
        if self.instructions is not None:
            said["instructions"] = self.instructions
        if asked.method == "initialize":
            return {"protocolVersion": asked.value["protocolVersion"], "serverInfo": info, **said}
        meta = {"io.modelcontextprotocol/serverInfo": info}
        return {"resultType": "complete", "supportedVersions": ["2026-07-28"], "_meta": meta, **said}

    def _page(self, asked: Asked, field: str, items: list[Any]) -> Result:
        at = int(asked.value.get("cursor", "0"))
        end = at + (self.page_size or len(items) or 1)
        page: dict[str, Any] = {field: items[at:end]}
        if end < len(items):
            page["nextCursor"] = str(end)
        if asked.era is Era.STATELESS:
            page |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
        return result(page)


class FakeLink:
    """One link to a fake server."""

    def __init__(self, server: FakeServer, era: Era, inbound: Inbound) -> None:
        self.era = era
        self.inbound = inbound
        self.open = True
        self.closed = False
        self._server = server
        self._under_way: set[anyio.CancelScope] = set()
        self._asked = 0

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        alias = self._server.alias
        if not self.open:
            raise Undelivered(alias, f"{alias} is gone")
        self._asked += 1
        if on_id is not None:
            on_id(b"%d" % self._asked)
        with anyio.CancelScope() as life:
            self._under_way.add(life)
            try:
                answer = self._server.answer(Asked(self.era, method, params, scope, headers or {}, self._asked))
                return await (self._heedless(answer) if self._server.heedless else answer)
            except anyio.get_cancelled_exc_class():
                if self.open:
                    self._server.cancelled.append(method)
                raise
            finally:
                self._under_way.discard(life)
        raise UpstreamLost(alias, f"{alias} ended with exit code 3")

    async def _heedless(self, answer: Coroutine[Any, Any, Reply]) -> Reply:
        """As at a real link: whoever listens hears the answer to what was given up."""
        task, listener = asyncio.ensure_future(answer), late_listener()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if listener is not None:
                task.add_done_callback(lambda done: None if done.cancelled() else listener.heard(done.result()))
            raise

    async def notify(self, method: str, params: bytes | None) -> None:
        self._server.notified.append((method, json.loads(params) if params else None))

    async def close(self) -> None:
        self.open, self.closed = False, True

    def die(self) -> None:
        if self.open:
            self.open = False
            for life in self._under_way:
                life.cancel()
            self.inbound.lost(f"{self._server.alias} ended with exit code 3")

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> Reply:
        """The server asks the client something, outside any call's own stream."""
        raw = json.dumps(params).encode() if params is not None else None
        request = frames.decode(frames.request(b'"q1"', method, raw))
        assert isinstance(request, Request)
        return await self.inbound.request(request, _Unheard())

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        """The server says something, outside any call's own stream."""
        self.inbound.notified(method, json.dumps(params).encode() if params is not None else None)


class _Unheard:
    request_id: bytes | None = b'"q1"'

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    def notify(self, method: str, params: bytes | None) -> None:
        raise AssertionError(f"nobody is told {method} here")

    async def request(self, method: str, params: bytes | None) -> Reply:
        raise AssertionError(f"nobody is asked {method} here")
