"""The server around the edge: how it starts, and that it always ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.downstream.edge import HttpEdge
from fuseboard.adapters.downstream.http import serve_http
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Reply, Request, Scope
from support.edge import frame, modern, serving
from support.gateway import FakeGateway, result

SERVER = """
import sys
import anyio
from support.gateway import FakeGateway
from fuseboard.adapters.downstream.http import HttpEdge, serve_http
from fuseboard.adapters.downstream.limits import Limits

async def slow(request, scope):
    await anyio.sleep_forever()

async def main():
    gateway = FakeGateway()
    gateway.acts["slow"] = slow
    async with anyio.create_task_group() as tasks:
        edge = HttpEdge(gateway, auth=None, limits=Limits(grace_s=0.2), allowed_hosts=(),
                        status=lambda: {"ready": True}, tasks=tasks)
        await serve_http(edge, "127.0.0.1", 0, ready=lambda port: print(port, file=sys.stderr, flush=True))
        tasks.cancel_scope.cancel()
    print("closed", [session.closed.is_set() for session in gateway.sessions], file=sys.stderr)

anyio.run(main, backend_options={"use_uvloop": sys.argv[1] == "uvloop"})
"""
INITIALIZE = b"""{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"""


def post(port: int, body: bytes, *lines: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = ["POST /mcp HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    head += ["Accept: application/json, text/event-stream", f"Content-Length: {len(body)}", *lines, "", ""]
    connection.sendall("\r\n".join(head).encode() + body)
    return connection


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_streams_open_and_calls_under_way(number: signal.Signals, loop: str) -> None:
    tests = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, loop], cwd=tests, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        port = int(process.stderr.readline())
        with post(port, INITIALIZE) as opening:
            head = opening.recv(4096).decode()
        session = next(line for line in head.split("\r\n") if line.startswith("mcp-session-id"))
        with (
            post(port, b"", session, "X-Unused: 1") as broken,
            post(port, frame(2, "slow"), session) as call,
            socket.create_connection(("127.0.0.1", port)) as idle,
            socket.create_connection(("127.0.0.1", port)) as standing,
        ):
            lines = ["GET /mcp HTTP/1.1", f"Host: localhost:{port}", "Accept: text/event-stream", session]
            standing.sendall("\r\n".join([*lines, "", ""]).encode())
            assert b"200 OK" in standing.recv(4096)
            assert b"400" in broken.recv(4096)
            started = time.monotonic()
            process.send_signal(number)
            assert process.wait(10) == 0
            assert time.monotonic() - started < 5
            assert b"has ended" in call.recv(4096)
            assert idle.recv(10) == b""
        assert "closed [True]" in process.stderr.read()
        assert process.stdout is not None
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.communicate()


async def test_an_address_in_use_is_an_error_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with anyio.create_task_group() as tasks:
            edge = HttpEdge(FakeGateway(), auth=None, limits=Limits(), allowed_hosts=(), status=dict, tasks=tasks)
            with pytest.raises(OSError, match="in use"):
                await serve_http(edge, "127.0.0.1", taken.getsockname()[1], ready=lambda port: None, signals=False)
            tasks.cancel_scope.cancel()


async def test_what_is_being_answered_at_the_end_gets_its_grace() -> None:
    gateway = FakeGateway()
    started, go_on = anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        await go_on.wait()
        return result({"done": True})

    gateway.acts["tools/call"] = slow
    headers, body = modern(1, "tools/call", {"name": "echo"})
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(1, "tools/call", {"name": "echo"})) as wire, served.wire() as other:
            await started.wait()
            served.edge.quiet()
            refused = await other.ask("POST", "/mcp", headers, body)
            assert refused.status == 503
            go_on.set()
            assert (await wire.answer()).json["result"] == {"done": True}


async def test_the_end_of_grace_answers_what_is_still_open() -> None:
    gateway = FakeGateway()
    started = [anyio.Event(), anyio.Event()]

    async def slow(request: Request, scope: Scope) -> Reply:
        started[int(request.id)].set()
        await anyio.sleep_forever()
        raise AssertionError

    gateway.acts["tools/call"] = slow
    headers, body = modern(1, "tools/call", {"name": "echo"})
    async with serving(gateway) as served:
        client = await served.open()
        call = frame(0, "tools/call", {"name": "echo"})
        async with client.asking(call) as wire, served.wire() as stateless:
            await stateless.send("POST", "/mcp", headers, body)
            for event in started:
                await event.wait()
            served.edge.close()
            assert (await wire.answer()).json["error"]["code"] == -32603
            assert (await stateless.answer()).json["error"]["message"] == "the proxy is stopping"
        await gateway.sessions[0].closed.wait()


async def test_subscriptions_end_when_nothing_new_is_taken() -> None:
    gateway = FakeGateway()

    async def listen(request: Request, scope: Scope) -> Reply:
        scope.notify("notifications/subscriptions/acknowledged", None)
        await anyio.sleep_forever()
        raise AssertionError

    gateway.acts["subscriptions/listen"] = listen
    headers, body = modern(7, "subscriptions/listen", {"notifications": {}})
    async with serving(gateway) as served, served.wire() as wire, served.wire() as sse:
        assert (await wire.ask("POST", "/mcp", headers, body)).streams
        assert (await sse.ask("GET", "/sse", {})).streams
        served.edge.quiet()
        _, last = await wire.events()
        assert json.loads(last.data)["result"]["resultType"] == "complete"
        assert len(await sse.events()) == 1
