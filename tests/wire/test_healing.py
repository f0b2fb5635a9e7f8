"""Real servers that are killed and started again under live sessions: the client sees one clear error at most.

What a server wrote down before it did anything shows that nothing ran twice.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp.client.client import Client
from mcp.types import TextContent

from support.mortal import mortal
from support.proxy import served
from support.raw_client import MODERN, RawClient
from support.raw_transports import streamable
from support.system import eventually

OVER_HTTP: list[Literal["http", "sse"]] = ["http", "sse"]


async def said(client: Client, tool: str, label: str) -> str:
    result = await client.call_tool(tool, {"label": label})
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert not result.is_error, block.text
    return block.text


async def outcome(client: RawClient, tool: str, label: str) -> Any:
    return json.loads(await client.call(tool, {"label": label}))


@pytest.mark.parametrize("back", OVER_HTTP)
async def test_a_server_that_was_started_anew_between_two_calls_is_not_noticed(
    back: Literal["http", "sse"], tmp_path: Path
) -> None:
    async with (
        mortal(back, tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        Client(proxy.url, mode="legacy") as client,
    ):
        first = await said(client, "work", "one")
        await server.restart()
        second = await said(client, "work", "two")
        assert first != second
        assert [what for what in server.events if what != "started"] == ["work one", "work two"]


@pytest.mark.parametrize("back", OVER_HTTP)
async def test_a_call_that_meets_a_server_on_its_way_up_waits_for_it(
    back: Literal["http", "sse"], tmp_path: Path
) -> None:
    async with (
        mortal(back, tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await outcome(client, "work", "one")
        await server.kill()
        ask = await client.begin("tools/call", {"name": "work", "arguments": {"label": "two"}})
        await anyio.sleep(0.3)
        await server.start()
        assert "result" in json.loads(await ask.response())
        assert server.events.count("work two") == 1


async def test_a_stateless_client_does_not_notice_either(tmp_path: Path) -> None:
    async with (
        mortal("http", tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url, era=MODERN) as client,
    ):
        await outcome(client, "work", "one")
        await server.kill()
        ask = await client.begin("tools/call", {"name": "work", "arguments": {"label": "two"}})
        await anyio.sleep(0.3)
        await server.start()
        assert "result" in json.loads(await ask.response())
        assert server.events.count("work two") == 1


@pytest.mark.parametrize("back", [*OVER_HTTP, "stdio"])
async def test_a_call_that_was_under_way_fails_once_and_is_not_run_again(
    back: Literal["http", "sse", "stdio"], tmp_path: Path
) -> None:
    async with (
        mortal(back, tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await proxy.knows_its_servers()
        ask = await client.begin("tools/call", {"name": "slow", "arguments": {"label": "one"}})
        await server.wrote("slow one")
        os.kill(server.pid, signal.SIGKILL)
        if back != "stdio":
            await server.restart()
        error = json.loads(await ask.response())["error"]
        assert error["code"] == 5020, error
        assert "result" in await outcome(client, "work", "two")
        assert server.events.count("slow one") == 1
        assert "slow one done" not in server.events


@pytest.mark.parametrize("idempotent", [True, False])
async def test_what_the_operator_calls_idempotent_is_run_again(idempotent: bool, tmp_path: Path) -> None:
    async with mortal("stdio", tmp_path) as server:
        section = {**server.section, "tools": {"dies": {"idempotent": idempotent}}}
        async with (
            served({"servers": {"m": section}}, tmp_path) as proxy,
            streamable(proxy.url) as client,
        ):
            answer = await outcome(client, "dies", "one")
            assert ("result" in answer) is idempotent
            assert server.events.count("dies one") == (2 if idempotent else 1)


@pytest.mark.parametrize("back", [*OVER_HTTP, "stdio"])
async def test_what_hung_on_the_session_hangs_on_the_next_without_a_call(
    back: Literal["http", "sse", "stdio"], tmp_path: Path
) -> None:
    async with (
        mortal(back, tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await client.result("logging/setLevel", {"level": "error"})
        await client.result("resources/subscribe", {"uri": "note://one"})
        dead = server.pid
        os.kill(dead, signal.SIGKILL)
        if back != "stdio":
            await server.restart()
        await server.wrote("subscribed note://one", times=2)
        assert server.pid != dead
        mine = [what for pid, what in server.lines if pid == server.pid]
        assert mine == ["started", "level error", "subscribed note://one"]


async def test_a_child_that_died_while_idle_is_started_when_it_is_needed(tmp_path: Path) -> None:
    async with (
        mortal("stdio", tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await outcome(client, "work", "one")
        dead = server.pid
        os.kill(dead, signal.SIGKILL)
        # Once it is reaped the proxy knows; a call that is written into the pipe before that is one clear error.
        await eventually(lambda: not os.path.exists(f"/proc/{dead}"))
        assert "result" in await outcome(client, "work", "two")
        assert server.events.count("work two") == 1
        assert server.pid != dead


async def test_other_tools_after_a_new_start_are_told(tmp_path: Path) -> None:
    async with (
        mortal("http", tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await outcome(client, "work", "one")
        server.offer_more()
        await server.restart()
        ask = await client.begin("tools/call", {"name": "slow", "arguments": {"label": "two"}})
        await client.next("notifications/tools/list_changed")
        assert "result" in json.loads(await ask.response())
        assert "extra_0" in {tool["name"] for tool in (await client.result("tools/list"))["tools"]}


async def test_a_server_that_stays_away_is_one_clear_error_and_then_back(tmp_path: Path) -> None:
    async with (
        mortal("http", tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await outcome(client, "work", "one")
        await server.kill()
        error = (await outcome(client, "work", "two"))["error"]
        assert error["code"] == 5030
        assert "the connection was refused" in error["message"]
        await server.start()
        assert "result" in await outcome(client, "work", "three")
        assert "work two" not in server.events


async def test_a_child_that_dies_at_once_each_time_is_not_started_for_every_call(tmp_path: Path) -> None:
    async with (
        mortal("stdio", tmp_path) as server,
        served({"servers": {"m": server.section}}, tmp_path) as proxy,
        streamable(proxy.url) as client,
    ):
        await proxy.knows_its_servers()
        await outcome(client, "work", "one")
        before = server.events.count("started")
        errors = [(await outcome(client, "dies", str(number)))["error"] for number in range(7)]
        assert [error["code"] for error in errors] == [5020] * 5 + [5030] * 2
        assert "5 times in a row" in errors[-1]["message"]
        assert server.events.count("started") == before + 4
