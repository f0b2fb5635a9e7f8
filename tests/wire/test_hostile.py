"""Hostile and broken peers on both sides: a clear error or a closed connection, never a hang, a crash or a leak."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from support.frame_log import FrameLog
from support.matrix import program
from support.proxy import serve_command, served
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import pipe, streamable
from support.raw_ways import RawWay, meeting, raw_pair
from support.servers import raw_command
from support.system import alive, children, eventually, open_files

ODD = Path(__file__).parents[1] / "support/odd_upstream.py"
DEEP = b"[" * 10_000 + b"]" * 10_000


def odd(*options: str, **facts: Any) -> dict[str, Any]:
    """The configuration of a server that misbehaves when told."""
    return {"servers": {"odd": {**program([sys.executable, str(ODD), *options]), **facts}}}


def call(arguments: bytes, *, head: bytes = b'"id":7') -> bytes:
    return b'{"jsonrpc":"2.0",%b,"method":"tools/call","params":{"name":"echo","arguments":%b}}' % (head, arguments)


BAD_FRAMES = {
    "no json": b"hello",
    "cut off": b'{"jsonrpc":"2.0","id":7,"method":"tools/call"',
    "two roots": b'{"jsonrpc":"2.0","id":7,"method":"ping"} {}',
    "a batch": b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]',
    "a number": b"7",
    "no version": b'{"id":7,"method":"ping"}',
    "another version": b'{"jsonrpc":"1.0","id":7,"method":"ping"}',
    "no method": b'{"jsonrpc":"2.0","id":7}',
    "method in capitals": b'{"jsonrpc":"2.0","id":7,"Method":"tools/call","params":{"name":"echo"}}',
    "method is a number": b'{"jsonrpc":"2.0","id":7,"method":7}',
    "id 1.0": call(b"{}", head=b'"id":1.0'),
    "id 1e0": call(b"{}", head=b'"id":1e0'),
    "id null": call(b"{}", head=b'"id":null'),
    "id true": call(b"{}", head=b'"id":true'),
    "id an object": call(b"{}", head=b'"id":{}'),
    "id twice": call(b"{}", head=b'"id":7,"id":8'),
    "params an array": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[]}',
    "params twice": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"},"params":{"name":"die"}}',
    "name twice": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","name":"die"}}',
    "NAME": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","NAME":"die"}}',
    "Arguments": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","Arguments":{}}}',
    "argumentſ": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","argument\xc5\xbf":{}}}',
    "key twice in arguments": call(b'{"a":{"text":1,"text":2}}'),
    "NaN": call(b'{"text":NaN}'),
    "Infinity": call(b'{"text":-Infinity}'),
    "1e400": call(b'{"text":1e400}'),
    "lone surrogate": call(rb'{"text":"\ud800"}'),
    "lone surrogate in a key": call(rb'{"\udfff":1}'),
    "not UTF-8": call(b'{"text":"\xff\xfe"}'),
    "a control character": call(b'{"text":"a\x01b"}'),
    "depth 10,000": call(b'{"text":%b}' % DEEP),
    "depth 10,000 elsewhere": b'{"jsonrpc":"2.0","id":7,"method":"acme/x","params":{"a":%b}}' % DEEP,
    "an integer of 5,000 digits": call(b'{"text":%b}' % (b"9" * 5000)),
}


OUR_OWN = ("initialize", "notifications/initialized", "server/discover", "tools/list")
"""What the proxy itself asks of an upstream, to know whether it is up."""


@pytest.mark.parametrize("front", ["stdio", "http", "sse"])
async def test_every_bad_frame_gets_a_clear_error_and_nothing_of_it_goes_upstream(front: Any, tmp_path: Path) -> None:
    async with raw_pair(RawWay(front, "stdio", HANDSHAKE), tmp_path) as (client, log):
        await client.call("echo", {"text": "warm"})
        before = len(log.all())
        for name, frame in BAD_FRAMES.items():
            seen = len(client.frames)
            await client.send(frame)
            await eventually(lambda seen=seen: len(client.frames) > seen)  # type: ignore[misc]
            answer = json.loads(client.frames[-1])
            assert set(answer) == {"jsonrpc", "id", "error"}, (name, answer)
            assert answer["error"]["message"], name
            assert answer["error"]["code"] in (-32700, -32600, -32602), (name, answer)
            assert await client.result("ping") == {}, name
        assert [line for line in log.all()[before:] if line.method not in OUR_OWN] == []
        assert b'"text":"still here"' in await client.call("echo", {"text": "still here"})


@pytest.mark.parametrize("name", ["name twice", "NAME", "NaN", "lone surrogate", "depth 10,000", "id 1.0"])
async def test_the_stateless_era_is_as_strict(name: str, tmp_path: Path) -> None:
    async with raw_pair(RawWay("http", "stdio", MODERN), tmp_path) as (client, log):
        before = len(log.all())
        whole = BAD_FRAMES[name]
        meta = client.frame("x", id=0).partition(b'"params":{')[2].removesuffix(b"}}") + b","
        frame = whole.replace(b'"params":{', b'"params":{' + meta, 1)
        headers = {"mcp-method": "tools/call", "mcp-name": "echo"}
        ask = await client.begin_frame(7, frame, headers)
        answer = json.loads(await _whatever(client, ask))
        assert "error" in answer
        assert [line for line in log.all()[before:] if line.method not in OUR_OWN] == []
        await client.call("echo", {"text": "still here"})


async def _whatever(client: RawClient, ask: Any) -> bytes:
    """The answer, whether or not it names the request."""
    try:
        return bytes(await ask.response(5))
    except EOFError:
        return client.frames[-1]


# Size.


async def test_a_frame_over_the_limit_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    config = {"limits": {"frame": "1MB"}}
    async with raw_pair(RawWay("stdio", "stdio", HANDSHAKE), tmp_path, config=config) as (client, log):
        await client.send(call(b'{"text":"%b"}' % (b"x" * 50_000_000)))
        answer = json.loads(await client.next())
        assert answer["error"]["code"] == -32600
        assert "1000000 bytes" in answer["error"]["message"]
        assert await client.result("ping") == {}
        assert log.frames("tools/call") == []


async def test_a_frame_of_50_mb_within_the_limit_goes_through(tmp_path: Path) -> None:
    async with raw_pair(RawWay("stdio", "stdio", HANDSHAKE), tmp_path) as (client, _):
        ask = await client.begin("tools/call", {"name": "echo", "arguments": {"text": "x" * 50_000_000}})
        assert len(await ask.response(30)) > 50_000_000


async def test_a_body_of_50_mb_is_refused_over_http(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "frames.jsonl")
    async with served({"servers": {"raw": program(raw_command(log))}}, tmp_path) as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port or 0) as stream:
            head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n" % (proxy.port or 0)
            head += b"Accept: application/json, text/event-stream\r\nContent-Length: 50000000\r\n\r\n"
            await stream.send(head)
            answer = await stream.receive()
            assert answer.startswith(b"HTTP/1.1 413")
        async with streamable(proxy.url) as client:
            await client.call("echo", {"text": "still here"})


# Half a frame, then silence.


async def test_half_a_frame_and_then_the_end_ends_the_proxy_and_its_child(tmp_path: Path) -> None:
    async with pipe(serve_command(odd(), tmp_path), tmp_path / "proxy.log") as client:
        pid = int(_text(await client.call("pid")))
        await client.send_bytes(call(b'{"text":"never fini'))
        assert client.child.process.returncode is None
        await client.close_stdin()
        with anyio.fail_after(10):
            assert await client.child.process.wait() == 0
        await eventually(lambda: not alive(pid))


async def test_half_a_body_and_then_silence_holds_up_nobody_else(tmp_path: Path) -> None:
    async with served(odd(), tmp_path) as proxy:
        port = proxy.port or 0
        async with await anyio.connect_tcp("127.0.0.1", port) as slow:
            head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n" % port
            await slow.send(head + b"Accept: application/json, text/event-stream\r\nContent-Length: 100\r\n\r\n{")
            async with streamable(proxy.url) as client:
                assert _text(await client.call("good")) == "good"


# Broken upstreams.


@pytest.mark.parametrize("name", ["nan", "surrogate", "latin", "deep", "no_version", "neither", "batch", "no_json"])
async def test_an_answer_that_is_none_fails_its_call_at_once(name: str, tmp_path: Path) -> None:
    async with pipe(serve_command(odd(), tmp_path), tmp_path / "proxy.log") as client:
        answer = json.loads(await client.call(name))
        assert "odd gave an answer that cannot be read" in answer["error"]["message"]
        assert _text(await client.call("good")) == "good"


async def test_an_answer_over_the_limit_fails_its_call(tmp_path: Path) -> None:
    config = {**odd(), "limits": {"frame": "1MB"}}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log") as client:
        ask = await client.begin("tools/call", {"name": "huge", "arguments": {"bytes": 5_000_000}})
        answer = json.loads(await ask.response(5))
        assert "error" in answer
        assert _text(await client.call("good")) == "good"


@pytest.mark.parametrize("name", ["other_id", "twice", "asks_nonsense"])
async def test_nonsense_beside_the_answer_harms_no_call(name: str, tmp_path: Path) -> None:
    async with pipe(serve_command(odd(), tmp_path), tmp_path / "proxy.log") as client:
        assert "result" in json.loads(await client.call(name))
        assert _text(await client.call("good")) == "good"


@pytest.mark.parametrize("name", ["half", "silent"])
async def test_silence_ends_at_the_deadline(name: str, tmp_path: Path) -> None:
    async with pipe(serve_command(odd(timeout="500ms"), tmp_path), tmp_path / "proxy.log") as client:
        answer = json.loads(await client.call(name))
        assert answer["error"]["code"] == 5040
        assert "did not answer tools/call within 0.5 s" in answer["error"]["message"]
        assert await client.result("ping") == {}


async def test_a_crash_fails_the_open_calls_clearly_and_the_next_call_works(tmp_path: Path) -> None:
    async with pipe(serve_command(odd(), tmp_path), tmp_path / "proxy.log") as client:
        silent = await client.begin("tools/call", {"name": "silent"})
        crash = await client.begin("tools/call", {"name": "gone"})
        for ask in (silent, crash):
            error = json.loads(await ask.response())["error"]
            assert error["code"] == 5020
            assert "exit code 3" in error["message"]
            assert "Segmentation fault" not in error["message"]  # what a child writes may hold its secrets
        assert _text(await client.call("good")) == "good"


async def test_a_server_that_never_answers_initialize_can_be_left(tmp_path: Path) -> None:
    command = serve_command(odd("--deaf"), tmp_path)
    async with pipe(command, tmp_path / "proxy.log", open_session=False) as client:
        await client.begin("initialize", client.opening())
        assert await client.result("ping") == {}
        await eventually(lambda: children(client.child.pid))
        (child,) = children(client.child.pid)
        await client.close_stdin()
        with anyio.fail_after(15):
            await client.child.process.wait()
        await eventually(lambda: not alive(child))


async def test_a_server_that_is_no_program_is_a_clear_error(tmp_path: Path) -> None:
    config = {"servers": {"ghost": {"command": "no-such-program-anywhere"}}}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log", open_session=False) as client:
        error = json.loads(await client.ask("initialize", client.opening()))["error"]
        assert error["code"] == 5030
        assert "ghost could not be started" in error["message"]
        assert await client.result("ping") == {}


# Nothing is left behind.


async def test_clients_that_come_and_go_leave_neither_files_nor_children_behind(tmp_path: Path) -> None:
    async with served(odd(), tmp_path) as proxy:
        pid = proxy.child.pid
        async with streamable(proxy.url) as first:
            await first.call("good")
            await first.end_session()
        await eventually(lambda: not children(pid))
        async with aiohttp.ClientSession() as http, http.get(f"{proxy.base}/healthz") as response:
            assert response.status == 200
        before = open_files(pid)
        for front in ("http", "sse") * 4:
            async with meeting(proxy, front) as client:
                await client.send(BAD_FRAMES["depth 10,000"])
                await client.begin("tools/call", {"name": "silent"})
                await client.call("gone")
                await client.call("good")
                if front == "http":
                    await client.end_session()  # type: ignore[attr-defined]
        await eventually(lambda: not children(pid))
        await eventually(lambda: open_files(pid) <= before)


def _text(frame: bytes) -> str:
    message = json.loads(frame)
    assert "result" in message, message
    return str(message["result"]["content"][0]["text"])
