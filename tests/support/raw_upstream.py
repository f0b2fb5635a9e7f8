"""An MCP server without any library: it answers prepared bytes and writes down every frame that it gets.

    raw_upstream.py (--stdio | --port PORT) --log FILE [--eras handshake,stateless] [--page N] [--answer json|sse]
                    [--start-delay SECONDS] [--tools a,b]

``support.servers`` starts it; ``support.raw_answers`` holds its answers; ``support.frame_log`` reads the log.
Its tools do what their names say; ``slow`` takes ``{"seconds": n}``, ``progress`` and ``log`` take ``{"times": n}``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import raw_answers as answers
from raw_http import serve_http

META = "io.modelcontextprotocol/"
Send = Callable[[bytes], None]


class Log:
    """One JSON line for each frame: ``frame`` (surrogate-escaped text) and, over HTTP, ``http`` (verb and headers)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, frame: bytes, http: dict[str, str] | None = None) -> None:
        line = {"at": time.time(), "pid": os.getpid(), "frame": frame.decode("utf-8", "surrogateescape")}
        self._file.write(json.dumps({**line, "http": http} if http else line) + "\n")


class Fault(Exception):
    """A JSON-RPC error object, as bytes."""

    def __init__(self, error: bytes) -> None:
        super().__init__(error)
        self.error = error


def fault(code: int, message: str) -> Fault:
    return Fault(json.dumps({"code": code, "message": message}).encode())


class Exchange:
    """One request under way: its way back, and what it may ask meanwhile."""

    def __init__(self, server: Server, message: dict[str, Any], frame: bytes, send: Send) -> None:
        self.server, self.message, self.frame, self.send = server, message, frame, send
        self.params: dict[str, Any] = message.get("params") or {}
        self.meta: dict[str, Any] = self.params.get("_meta") or {}
        self.arguments: dict[str, Any] = self.params.get("arguments") or {}
        self.modern = META + "protocolVersion" in self.meta

    @property
    def id(self) -> bytes:
        return json.dumps(self.message["id"]).encode()

    def notify(self, method: str, params: bytes) -> None:
        self.send(b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params))

    async def ask(self, method: str, params: bytes) -> bytes:
        """Ask the client something and return the whole answering frame."""
        return await self.server.ask(self.send, method, params)


class Server:
    """The dispatch. One for the process: every session sees the same tools."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.log = Log(options.log)
        self.eras: set[str] = set(options.eras.split(","))
        self.page: int = options.page
        names = options.tools.split(",") if options.tools else list(answers.TOOLS)
        self.tools = [answers.TOOLS[name] for name in names]
        self.unsolicited: list[Send] = []
        """Ways to clients outside any request: the pipe, open GET streams."""
        self.listeners: dict[bytes, Send] = {}
        """Open ``subscriptions/listen`` streams by the raw id of their request."""
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._last_asked = 0
        self._running: dict[str, asyncio.Task[None]] = {}

    def receive(self, frame: bytes, send: Send, http: dict[str, str] | None = None) -> asyncio.Task[None] | None:
        """Take one frame. A request becomes a task that sends its answer; for anything else nothing is returned."""
        self.log.write(frame, http)
        message = json.loads(frame)
        if "method" not in message:
            waiter = self._asked.pop(message.get("id"), None)
            if waiter and not waiter.done():
                waiter.set_result(frame)
            return None
        if "id" not in message:
            if message["method"] == "notifications/cancelled":
                self._cancel(json.dumps(message["params"]["requestId"]))
            return None
        task = asyncio.ensure_future(self._answer(Exchange(self, message, frame, send)))
        key = json.dumps(message["id"])
        self._running[key] = task
        task.add_done_callback(lambda done: self._running.get(key) is done and self._running.pop(key))
        return task

    def _cancel(self, key: str) -> None:
        task = self._running.get(key)
        if task:
            task.cancel()

    async def ask(self, send: Send, method: str, params: bytes) -> bytes:
        self._last_asked += 1
        id = f"raw-{self._last_asked}"
        waiter = self._asked[id] = asyncio.get_running_loop().create_future()
        frame = b'{"jsonrpc":"2.0","id":"%b","method":"%b","params":%b}' % (id.encode(), method.encode(), params)
        send(frame)
        return await waiter

    async def _answer(self, exchange: Exchange) -> None:
        try:
            result = await self._result(exchange)
        except Fault as refusal:
            exchange.send(b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (exchange.id, refusal.error))
            return
        if exchange.modern and b'"resultType"' not in result[:40]:
            result = answers.complete(result)
        exchange.send(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (exchange.id, result))

    async def _result(self, exchange: Exchange) -> bytes:
        method = exchange.message["method"]
        era = "stateless" if exchange.modern or method == "server/discover" else "handshake"
        if era not in self.eras:
            raise fault(-32022 if method == "initialize" else -32601, f"not in this era: {method}")
        handler = METHODS.get(method)
        if handler is None:
            raise fault(-32601, f"Method not found: {method}")
        return await handler(self, exchange)

    async def initialize(self, exchange: Exchange) -> bytes:
        asked = exchange.params.get("protocolVersion")
        version = asked if asked in answers.HANDSHAKE else answers.HANDSHAKE[-1]
        return (b'{"protocolVersion":"%b","capabilities":%b,"serverInfo":%b,"instructions":%b,%b}') % (
            version.encode(),
            answers.CAPABILITIES,
            answers.SERVER_INFO,
            answers.INSTRUCTIONS,
            answers.ODD,
        )

    async def discover(self, exchange: Exchange) -> bytes:
        exchange.modern = True
        versions = [answers.MODERN, *(reversed(answers.HANDSHAKE) if "handshake" in self.eras else [])]
        return (
            b'{"supportedVersions":%b,"capabilities":%b,"instructions":%b,"ttlMs":0,"cacheScope":"private",'
            b'"_meta":{"io.modelcontextprotocol/serverInfo":%b},%b}'
        ) % (
            json.dumps(versions).encode(),
            answers.CAPABILITIES,
            answers.INSTRUCTIONS,
            answers.SERVER_INFO,
            answers.ODD,
        )

    async def listen(self, exchange: Exchange) -> bytes:
        if not exchange.modern:
            raise fault(-32601, "Method not found: subscriptions/listen")
        wanted = json.dumps(exchange.params.get("notifications", {})).encode()
        tag = b'"_meta":{"io.modelcontextprotocol/subscriptionId":%b}' % exchange.id
        exchange.notify("notifications/subscriptions/acknowledged", b'{%b,"notifications":%b}' % (tag, wanted))
        self.listeners[exchange.id] = exchange.send
        try:
            await asyncio.Event().wait()
        finally:
            self.listeners.pop(exchange.id, None)
        raise AssertionError("unreachable")

    async def list_tools(self, exchange: Exchange) -> bytes:
        return self._page(exchange, b"tools", self.tools)

    async def list_prompts(self, exchange: Exchange) -> bytes:
        return self._page(exchange, b"prompts", answers.PROMPTS)

    async def list_resources(self, exchange: Exchange) -> bytes:
        return self._page(exchange, b"resources", answers.RESOURCES)

    async def list_templates(self, exchange: Exchange) -> bytes:
        return self._page(exchange, b"resourceTemplates", answers.TEMPLATES)

    def _page(self, exchange: Exchange, key: bytes, items: list[bytes]) -> bytes:
        at = int(str(exchange.params.get("cursor", "at-0")).removeprefix("at-"))
        end = at + self.page if self.page else len(items)
        more = b',"nextCursor":"at-%d"' % end if end < len(items) else b""
        cache = b',"ttlMs":0,"cacheScope":"private"' if exchange.modern else b""
        return b'{"%b":[%b]%b%b,%b}' % (key, b",".join(items[at:end]), more, cache, answers.ODD)

    async def call_tool(self, exchange: Exchange) -> bytes:
        name = exchange.params.get("name")
        handler = TOOLS.get(str(name))
        if handler is None:
            raise fault(-32602, f"Unknown tool: {name}")
        return await handler(self, exchange)

    async def read_resource(self, exchange: Exchange) -> bytes:
        if not str(exchange.params.get("uri")).startswith("raw://"):
            raise fault(-32602 if exchange.modern else -32002, "Resource not found")
        return answers.READ_RESULT[:-1] + (b',"ttlMs":0,"cacheScope":"private"}' if exchange.modern else b"}")

    async def vendor_method(self, exchange: Exchange) -> bytes:
        return b'{"you_said":%b,%b}' % (json.dumps(exchange.params).encode(), answers.ODD)

    async def echo(self, exchange: Exchange) -> bytes:
        text = json.dumps(exchange.arguments.get("text", "")).encode()
        return answers.text_result(text[1:-1])

    async def fail(self, exchange: Exchange) -> bytes:
        raise Fault(answers.VENDOR_ERROR)

    async def slow(self, exchange: Exchange) -> bytes:
        await asyncio.sleep(exchange.arguments.get("seconds", 60))
        return answers.text_result(b"done")

    async def progress(self, exchange: Exchange) -> bytes:
        token = json.dumps(exchange.meta.get("progressToken")).encode()
        for step in range(exchange.arguments.get("times", 3)):
            params = b'{"progressToken":%b,"progress":%d.50,"total":3,"message":"step",%b}' % (token, step, answers.ODD)
            exchange.notify("notifications/progress", params)
        return answers.text_result(b"done")

    async def log_message(self, exchange: Exchange) -> bytes:
        for _ in range(exchange.arguments.get("times", 1)):
            exchange.notify("notifications/message", answers.LOG_PARAMS)
        return answers.text_result(b"done")

    async def shout(self, exchange: Exchange) -> bytes:
        exchange.notify("notifications/acme/shout", answers.SHOUT_PARAMS)
        return answers.text_result(b"done")

    async def ask_client(self, exchange: Exchange) -> bytes:
        """In the handshake era a request of its own; in the stateless one, the call is answered with what is needed."""
        name = exchange.params["name"]
        method, params = answers.SERVER_REQUESTS[name]
        if not exchange.modern:
            answer = await exchange.ask(method, params)
        elif "inputResponses" in exchange.params:
            answer = json.dumps(exchange.params["inputResponses"]).encode()
        else:
            request = b'{"method":"%b","params":%b}' % (method.encode(), params)
            return b'{"resultType":"input_required","inputRequests":{"q1":%b},"requestState":"s-1.10"}' % request
        text = json.dumps(answer.decode("utf-8", "surrogateescape")).encode()
        return answers.text_result(text[1:-1])

    async def grow(self, exchange: Exchange) -> bytes:
        """Add a tool and say so, on every way that there is."""
        name = b"grown_%d" % len(self.tools)
        self.tools.append(b'{"name":"%b","inputSchema":{"type":"object"}}' % name)
        for send in self.unsolicited:
            send(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
        for id, send in self.listeners.items():
            tag = b'{"_meta":{"io.modelcontextprotocol/subscriptionId":%b}}' % id
            send(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":%b}' % tag)
        return answers.text_result(name)

    async def hang(self, exchange: Exchange) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def die(self, exchange: Exchange) -> bytes:
        os._exit(3)

    async def junk(self, exchange: Exchange) -> bytes:
        """A line that is no JSON before the answer, as a stray print makes it."""
        exchange.send(b"Traceback (most recent call last): nothing of this is JSON")
        return answers.text_result(b"after the junk")

    async def big(self, exchange: Exchange) -> bytes:
        return answers.text_result(b"x" * exchange.arguments.get("bytes", 1_000_000))


def prepared(result: bytes) -> Callable[[Server, Exchange], Awaitable[bytes]]:
    async def answer(server: Server, exchange: Exchange) -> bytes:
        return result

    return answer


METHODS: dict[str, Callable[[Server, Exchange], Awaitable[bytes]]] = {
    "initialize": Server.initialize,
    "server/discover": Server.discover,
    "subscriptions/listen": Server.listen,
    "ping": prepared(b"{}"),
    "tools/list": Server.list_tools,
    "tools/call": Server.call_tool,
    "prompts/list": Server.list_prompts,
    "prompts/get": prepared(answers.PROMPT_RESULT),
    "resources/list": Server.list_resources,
    "resources/templates/list": Server.list_templates,
    "resources/read": Server.read_resource,
    "resources/subscribe": prepared(b"{}"),
    "resources/unsubscribe": prepared(b"{}"),
    "completion/complete": prepared(answers.COMPLETION),
    "logging/setLevel": prepared(b"{}"),
    "acme/teleport": Server.vendor_method,
}

TOOLS: dict[str, Callable[[Server, Exchange], Awaitable[bytes]]] = {
    "echo": Server.echo,
    "vendor": prepared(answers.VENDOR_RESULT),
    "fail": Server.fail,
    "business_error": prepared(answers.BUSINESS_ERROR),
    "strict": prepared(answers.text_result(b"fair weather")),
    "sum": prepared(b'{"content":[{"type":"text","text":"3"}],"structuredContent":{"sum":3}}'),
    "bad_sum": prepared(b'{"content":[{"type":"text","text":"3"}],"structuredContent":{"sum":"three"}}'),
    "slow": Server.slow,
    "progress": Server.progress,
    "log": Server.log_message,
    "shout": Server.shout,
    "sample": Server.ask_client,
    "elicit": Server.ask_client,
    "roots": Server.ask_client,
    "grow": Server.grow,
    "hang": Server.hang,
    "die": Server.die,
    "junk": Server.junk,
    "big": Server.big,
}


async def serve_stdio(server: Server) -> None:
    reader = asyncio.StreamReader(limit=1 << 27)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def send(frame: bytes) -> None:
        sys.stdout.buffer.write(frame + b"\n")
        sys.stdout.buffer.flush()

    server.unsolicited.append(send)
    tasks = set()
    while line := await reader.readline():
        task = server.receive(line.removesuffix(b"\n"), send)
        if task:
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--eras", default="handshake,stateless")
    parser.add_argument("--page", type=int, default=0, help="items on one page of a listing")
    parser.add_argument("--answer", choices=["json", "sse"], default="sse", help="how requests are answered over HTTP")
    parser.add_argument("--start-delay", type=float, default=0, help="seconds before anything is read")
    parser.add_argument("--tools", help="comma list, all of them without")
    options = parser.parse_args()
    time.sleep(options.start_delay)
    server = Server(options)
    asyncio.run(serve_stdio(server) if options.stdio else serve_http(server, options.port, options.answer))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
