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
from support.edge import Served, answer_to, frame, modern, serving
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


async def stops(served: Served, ended: anyio.Event) -> None:
    """Ask the server to end, and wait until it takes nothing new."""
    ended.set()
    while (await served.ask("GET", "/healthz")).status == 200:
        pass


async def asks(request: Request, scope: Scope) -> Reply:
    return await scope.request("elicitation/create", None)


async def test_the_answer_to_a_question_in_an_open_call_is_taken_at_the_end_on_a_connection_of_its_own() -> None:
    gateway, ended = FakeGateway(), anyio.Event()
    gateway.acts["tools/call"] = asks
    async with serving(gateway, ended=ended) as served:
        client = await served.open()
        async with client.asking(frame(2, "tools/call", {"name": "echo"})) as wire:
            assert (await wire.answer()).streams
            _, asked = await wire.event(), await wire.event()
            assert asked is not None
            await stops(served, ended)
            refused = await client.ask(frame(3, "tools/call", {"name": "echo"}))
            assert (refused.status, refused.json["id"]) == (503, 3)
            assert (await served.ask("POST", "/mcp", {}, INITIALIZE)).status == 503
            assert (await client.ask(frame(None, "notifications/progress"))).status == 202
            assert (await client.ask(answer_to(asked.json["id"], {"yes": 1}))).status == 202
            last = await wire.event()
            assert last is not None
            assert last.json["result"] == {"yes": 1}
    assert [method for method, _ in gateway.sessions[0].notified_of] == ["notifications/progress"]


async def test_at_the_end_a_call_may_still_be_cancelled_and_the_stream_of_another_resumed() -> None:
    gateway, ended, stopped = FakeGateway(), anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        scope.notify("n", None)
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        raise AssertionError

    gateway.acts["tools/call"] = slow
    async with serving(gateway, ended=ended) as served:
        client = await served.open()
        async with client.asking(frame(2, "tools/call", {"name": "echo"})) as wire:
            assert (await wire.answer()).streams
            first = await wire.event()
            assert first is not None
            assert first.id is not None
            await stops(served, ended)
            async with client.listening() as (refused, _):
                assert refused.status == 503
            async with client.listening(first.id) as (resumed, rest):
                assert resumed.streams
                missed = await rest.event()
                assert missed is not None
                assert missed.json["method"] == "n"
                assert not stopped.is_set()
                await client.ask(frame(None, "notifications/cancelled", {"requestId": 2}))
                await stopped.wait()
                assert len(await rest.events()) == 1


async def test_the_answer_to_a_question_is_taken_at_the_end_over_sse_too() -> None:
    gateway, ended = FakeGateway(), anyio.Event()
    gateway.acts["tools/call"] = asks
    async with serving(gateway, ended=ended) as served, served.wire() as wire:
        await wire.ask("GET", "/sse", {"Accept": "text/event-stream"})
        endpoint = await wire.event()
        assert endpoint is not None
        await served.ask("POST", endpoint.data, {}, frame(2, "tools/call", {"name": "echo"}))
        asked = await wire.event()
        assert asked is not None
        await stops(served, ended)
        assert (await served.ask("GET", "/sse")).status == 503
        await served.ask("POST", endpoint.data, {}, frame(3, "tools/call", {"name": "echo"}))
        await served.ask("POST", endpoint.data, {}, answer_to(asked.json["id"], {"yes": 1}))
        refused, last = await wire.events()
        assert (refused.json["id"], refused.json["error"]["message"]) == (3, "the proxy is stopping")
        assert (last.json["id"], last.json["result"]) == (2, {"yes": 1})


async def test_once_nothing_is_being_answered_no_connection_is_accepted() -> None:
    ended = anyio.Event()
    async with serving(FakeGateway(), ended=ended) as served:
        await served.open()
        ended.set()
        with anyio.fail_after(5), pytest.raises(OSError, match="attempts failed"):
            await connects_for_ever(served.port)


async def connects_for_ever(port: int) -> None:
    while True:
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
        await anyio.sleep(0.02)
