"""Readers that do not read, and servers that do not stop talking: each hurts itself alone, and costs bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.pipes import UNSENT_LIMIT_BYTES
from fuseboard.adapters.upstream.stdio import StdioLink
from fuseboard.errors import UpstreamLost
from fuseboard.ports import Reply
from support.edge import BOTH, Client, Served, Wire, frame, modern, serving
from support.fake_server import Asked, FakeServer, FakeTool, says, text
from support.frame_log import FrameLog
from support.links import CallScope, Inbound
from support.matrix import program
from support.playbook import playing
from support.processes import child
from support.proxy import serve_command
from support.raw_client import HANDSHAKE
from support.raw_transports import PipeClient
from support.servers import raw_command
from support.system import eventually

KIB = 1024
QUEUE_BYTES = 512 * KIB
REPLAY_BYTES = 256 * KIB
NOTICE_BYTES = 4 * KIB
PROMPT_S = 0.5
"""What a call of somebody else may take while one client is flooded: some dozen times what it takes in peace."""

OURS = Limits(linger_s=0.01, queue_bytes=QUEUE_BYTES, replay_bytes=REPLAY_BYTES)


class Flood:
    """A tool that reports progress for ever, or as long as it is let; and a server that talks outside any call."""

    def __init__(self, *, scoped: bool = True) -> None:
        self.server = FakeServer("u", FakeTool("flood", self._act), FakeTool("echo", says("hi")), scoped=scoped)
        self.sent_bytes = 0
        self.ended = anyio.Event()
        """The call has been given up."""
        self.enough = anyio.Event()

    async def _act(self, asked: Asked) -> Reply:
        params = json.dumps({"progressToken": 1, "progress": 1, "message": "x" * NOTICE_BYTES}).encode()
        try:
            while not self.enough.is_set():
                asked.scope.notify("notifications/progress", params)
                self.sent_bytes += len(params)
                await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            self.ended.set()
            raise
        return text("done")

    async def sent(self, bytes_: int) -> None:
        """Wait until so much has been said, from now on."""
        goal = self.sent_bytes + bytes_
        while self.sent_bytes < goal:  # noqa: ASYNC110
            await anyio.sleep(0.01)


@pytest.fixture
def peak() -> Iterator[tracemalloc.Snapshot]:
    """The memory that Python objects take, from here on."""
    tracemalloc.start()
    yield tracemalloc.take_snapshot()
    tracemalloc.stop()


def held_bytes() -> int:
    return tracemalloc.get_traced_memory()[0]


@asynccontextmanager
async def flooded(flood: Flood) -> AsyncIterator[Served]:
    async with playing(flood.server) as play, serving(play.board, limits=OURS) as served:
        yield served


async def calls_promptly(client: Client) -> None:
    """Others are served as if nothing were the matter."""
    for number in range(20):
        with anyio.fail_after(PROMPT_S):
            answer = await client.ask(frame(number, "tools/call", {"name": "echo", "arguments": {}}))
        assert answer.json["result"]["content"][0]["text"] == "hi"


FLOODING = {"name": "flood", "arguments": {}, "_meta": {"progressToken": 1}}


class Deaf:
    """A connection that is not read. No stream around the socket: that would read ahead."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self.port = port

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        fixed = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body)), "Accept": BOTH}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**fixed, **headers}.items())
        head = f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\n{lines}\r\n"
        self._socket.sendall(head.encode() + body)

    async def hears(self) -> bytes:
        """What comes first, which is the least that one has to know."""
        return await asyncio.get_running_loop().sock_recv(self._socket, 4 * KIB)

    async def is_cut(self) -> None:
        """What was sent before is still in the pipes. After it comes the end, hard, and not the end of the answer."""
        loop, tail = asyncio.get_running_loop(), b""
        with anyio.fail_after(10), contextlib.suppress(ConnectionResetError):
            while data := await loop.sock_recv(self._socket, 1 << 20):
                tail = (tail + data)[-8:]
        assert not tail.endswith(b"0\r\n\r\n")


@contextlib.contextmanager
def deaf(served: Served) -> Iterator[Deaf]:
    one = Deaf(served.port)
    try:
        yield one
    finally:
        one._socket.close()


async def test_a_session_that_does_not_read_its_call_is_cut_and_nobody_waits_for_it(peak: object) -> None:
    flood = Flood()
    async with flooded(flood) as served:
        slow, other = await served.open(), await served.open()
        with deaf(served) as wire:
            before = held_bytes()
            wire.ask("POST", "/mcp", slow.headers, frame(1, "tools/call", FLOODING))
            await flood.sent(16 * QUEUE_BYTES)  # the kernel's buffers take some megabytes
            await calls_promptly(other)
            await flood.sent(8 * QUEUE_BYTES)
            assert held_bytes() - before < 3 * (QUEUE_BYTES + REPLAY_BYTES)
            await wire.is_cut()
        assert not flood.ended.is_set()  # the client may come back for the rest: cut is not cancelled
        flood.enough.set()
        async with slow.listening("1-1") as (answer, wire):
            assert answer.status == 200
            last = [event.json async for event in _events(wire)][-1]
        assert (last["id"], last["result"]["content"][0]["text"]) == (1, "done")


async def test_a_stateless_client_that_does_not_read_is_cut_and_its_call_given_up(peak: object) -> None:
    flood = Flood()
    async with flooded(flood) as served:
        other = await served.open()
        with deaf(served) as wire:
            before = held_bytes()
            wire.ask("POST", "/mcp", *modern(1, "tools/call", FLOODING))
            with anyio.fail_after(20):
                await flood.ended.wait()
            await calls_promptly(other)
            assert held_bytes() - before < 3 * QUEUE_BYTES
            await wire.is_cut()


async def test_a_standing_stream_that_is_not_read_holds_nobody_up(peak: object) -> None:
    flood = Flood(scoped=False)
    async with flooded(flood) as served:
        slow, other = await served.open(), await served.open()
        with deaf(served) as wire:
            wire.ask("GET", "/mcp", {**slow.headers, "Accept": "text/event-stream"})
            assert b"200 OK" in await wire.hears()
            before = held_bytes()
            params = {"level": "info", "data": "x" * NOTICE_BYTES}
            for number in range(64 * QUEUE_BYTES // NOTICE_BYTES):
                flood.server.links[0].tell("notifications/message", params)
                if number % 16 == 0:
                    await anyio.lowlevel.checkpoint()
            await calls_promptly(other)
            assert held_bytes() - before < 3 * (QUEUE_BYTES + REPLAY_BYTES)
            await wire.is_cut()
        await calls_promptly(slow)


async def test_a_server_that_talks_to_a_session_without_a_stream_fills_no_memory(peak: object) -> None:
    flood = Flood(scoped=False)
    async with flooded(flood) as served:
        client = await served.open()
        before = held_bytes()
        for number in range(64 * QUEUE_BYTES // NOTICE_BYTES):
            flood.server.links[0].tell("notifications/message", {"level": "info", "data": "x" * NOTICE_BYTES})
            if number % 16 == 0:
                await anyio.lowlevel.checkpoint()
        assert held_bytes() - before < 2 * REPLAY_BYTES
        await calls_promptly(client)


async def test_an_sse_client_that_does_not_read_is_cut(peak: object) -> None:
    flood = Flood()
    async with flooded(flood) as served:
        await _floods_sse(flood, served)


async def _floods_sse(flood: Flood, served: Served) -> None:
    other = await served.open()
    with deaf(served) as wire:
        wire.ask("GET", "/sse", {"Accept": "text/event-stream"})
        said = b""
        while (found := re.search(rb"data: (\S+)\n", said)) is None:
            said += await wire.hears()
        endpoint = found[1].decode()
        hello = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "slow", "version": "1"}}
        await served.ask("POST", endpoint, {}, frame(1, "initialize", hello))
        before = held_bytes()
        await served.ask("POST", endpoint, {}, frame(2, "tools/call", FLOODING))
        with anyio.fail_after(20):
            await flood.ended.wait()
        await calls_promptly(other)
        assert held_bytes() - before < 3 * QUEUE_BYTES
        assert (await served.ask("POST", endpoint, {}, frame(3, "ping"))).status == 404


async def test_a_child_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.stdio.UNSENT_LIMIT_BYTES", 1024 * KIB)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    link = await StdioLink.start("deaf", sleeper, env={}, cwd=None, inbound=Inbound(), limit_bytes=KIB)
    params = json.dumps({"text": "x" * 512 * KIB}).encode()
    lost = 0

    async def asks() -> None:
        nonlocal lost
        with pytest.raises(UpstreamLost):
            await link.request("tools/call", params, CallScope())
        lost += 1

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(asks)
    assert lost == 4
    await link.close()


async def test_a_child_that_reads_late_gets_the_largest_frame_and_one_that_reads_nothing_costs_no_more() -> None:
    """At the real size, over a real pipe."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    link = await StdioLink.start("deaf", sleeper, env={}, cwd=None, inbound=Inbound(), limit_bytes=KIB)
    await link.notify("n", b'"%b"' % (b"x" * 64_000_000))
    part = b'"%b"' % (b"x" * (KIB * KIB - 100))
    for _ in range(UNSENT_LIMIT_BYTES // (KIB * KIB)):
        assert link.open
        await link.notify("n", part)
    await anyio.sleep(0.2)  # as long as its end would take to be noticed
    assert link.open
    await link.notify("n", part)
    await eventually(lambda: not link.open)
    await link.close()


async def test_a_client_on_stdio_that_does_not_read_ends_its_proxy_and_no_more(tmp_path: Path) -> None:
    """Its proxy serves nobody else: it gives up on it, ends its child, and goes."""
    log = FrameLog(tmp_path / "frames.jsonl")
    _, *arguments = serve_command({"servers": {"raw": program(raw_command(log))}}, tmp_path)
    patched = (
        "import sys, fuseboard.adapters.downstream.stdio as stdio, fuseboard.cli; "
        "stdio.UNSENT_LIMIT_BYTES = 1 << 20; sys.exit(fuseboard.cli.main())"
    )
    async with child([sys.executable, "-c", patched, *arguments], tmp_path / "proxy.log", piped=True) as started:
        client = PipeClient(started, HANDSHAKE, None)
        await client.send(client.frame("initialize", client.opening(), id=1))
        await client.notify("notifications/initialized")
        call = {"name": "progress", "arguments": {"times": 40_000}, "_meta": {"progressToken": 1}}
        await client.send(client.frame("tools/call", call, id=2))
        with anyio.fail_after(20):
            await started.process.wait()
        client.close()
    assert "does not read" in started.stderr


async def _events(wire: Wire) -> AsyncIterator[object]:
    while (event := await wire.event()) is not None:
        if event.data:
            yield event
