"""The test doubles keep their word: the raw client at the raw upstream, without a proxy between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from support import raw_answers as answers
from support.frame_log import FrameLog
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import HttpClient, http_sse, pipe, streamable
from support.servers import raw_command, raw_http

Connect: TypeAlias = Callable[[Path], AbstractAsyncContextManager[tuple[RawClient, FrameLog]]]


@asynccontextmanager
async def over_pipe(folder: Path, era: str) -> AsyncIterator[tuple[RawClient, FrameLog]]:
    log = FrameLog(folder / "frames.jsonl")
    async with pipe(raw_command(log), folder / "stderr", era=era, capabilities={"roots": {}}) as client:
        yield client, log


@asynccontextmanager
async def over_http(folder: Path, era: str, answer: str) -> AsyncIterator[tuple[RawClient, FrameLog]]:
    log = FrameLog(folder / "frames.jsonl")
    async with raw_http(log, "--answer", answer) as base, streamable(f"{base}/mcp", era=era) as client:
        yield client, log


@asynccontextmanager
async def over_sse(folder: Path) -> AsyncIterator[tuple[RawClient, FrameLog]]:
    log = FrameLog(folder / "frames.jsonl")
    async with raw_http(log) as base, http_sse(f"{base}/sse") as client:
        yield client, log


WAYS: dict[str, Connect] = {
    "stdio handshake": lambda folder: over_pipe(folder, HANDSHAKE),
    "stdio stateless": lambda folder: over_pipe(folder, MODERN),
    "http json handshake": lambda folder: over_http(folder, HANDSHAKE, "json"),
    "http json stateless": lambda folder: over_http(folder, MODERN, "json"),
    "http sse handshake": lambda folder: over_http(folder, HANDSHAKE, "sse"),
    "http sse stateless": lambda folder: over_http(folder, MODERN, "sse"),
    "http+sse": over_sse,
}
STREAMING = [way for way in WAYS if "json" not in way]


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def connect(request: pytest.FixtureRequest) -> Connect:
    way: Connect = request.param
    return way


async def test_results_and_errors_arrive_as_they_were_prepared(connect: Connect, tmp_path: Path) -> None:
    async with connect(tmp_path) as (client, _):
        assert answers.VENDOR_RESULT[1:] in await client.call("vendor")
        assert answers.VENDOR_ERROR in await client.call("fail")
        assert answers.TOOLS["strict"] in await client.ask("tools/list")


async def test_the_log_keeps_what_was_sent_byte_for_byte(connect: Connect, tmp_path: Path) -> None:
    params = rb'{"name":"echo", "arguments":{"text":"\u00e9", "n":1.10, "big":1180591620717411303424}}'
    async with connect(tmp_path) as (client, log):
        await client.ask("tools/call", params)
        (frame,) = log.frames("tools/call")
        assert params[1:] in frame


@pytest.mark.parametrize("way", STREAMING)
async def test_progress_comes_before_the_result(way: str, tmp_path: Path) -> None:
    async with WAYS[way](tmp_path) as (client, _):
        params = {"name": "progress", "arguments": {"times": 2}, "_meta": {"progressToken": "p1"}}
        await client.ask("tools/call", params)
        notes = [json.loads(await client.next("notifications/progress"))["params"] for _ in range(2)]
    assert [note["progressToken"] for note in notes] == ["p1", "p1"]


@pytest.mark.parametrize("way", [way for way in STREAMING if "stateless" not in way])
async def test_the_server_asks_the_client(way: str, tmp_path: Path) -> None:
    async with WAYS[way](tmp_path) as (client, _):
        ask = await client.begin("tools/call", {"name": "roots"})
        question = await client.next("roots/list")
        await client.reply(question, b'{"roots":[{"uri":"file:///a","x":1.10}]}')
        assert rb"\"x\":1.10" in await ask.response()


@pytest.mark.parametrize("way", [way for way in WAYS if "stateless" in way])
async def test_the_stateless_server_says_what_it_needs(way: str, tmp_path: Path) -> None:
    async with WAYS[way](tmp_path) as (client, _):
        need = json.loads(await client.call("elicit"))["result"]
        assert need["resultType"] == "input_required"
        again = {"name": "elicit", "inputResponses": {"q1": {"action": "accept"}}, "requestState": need["requestState"]}
        assert b"accept" in await client.ask("tools/call", again)


async def test_a_cancelled_request_reaches_the_upstream_as_cancelled(connect: Connect, tmp_path: Path) -> None:
    async with connect(tmp_path) as (client, log):
        ask = await client.begin("tools/call", {"name": "hang"})
        await log.wait_for(lambda received: received.method == "tools/call")
        await client.cancel(ask)
        if isinstance(client, HttpClient) and client.era == MODERN:
            await log.wait_for(lambda received: received.http.get("verb") == "HANGUP")
        else:
            await log.wait_for(lambda received: received.method == "notifications/cancelled")


async def test_a_tool_that_appears_is_announced_on_the_stream_of_the_session(tmp_path: Path) -> None:
    async with over_http(tmp_path, HANDSHAKE, "json") as (client, _):
        assert isinstance(client, HttpClient)
        await client.listen()
        await client.call("grow")
        await client.next("notifications/tools/list_changed")
        assert await client.end_session() == 200
