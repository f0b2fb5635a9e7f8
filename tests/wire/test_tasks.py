"""Tasks over real transports: the reference server's of 2025-11-25, and the extension of 2026-07-28."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import pytest

from support.http_upstream import http_upstream
from support.matrix import address, program
from support.proxy import Proxy, fuseboard, serve_command, served
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import pipe, streamable
from support.servers import everything_command, everything_http
from support.task_server import EXTENSION, TaskServer

Transport: TypeAlias = Literal["stdio", "http"]
CELLS = [("stdio", "stdio"), ("http", "http"), ("stdio", "http"), ("http", "stdio")]
CAPABILITIES = {"elicitation": {}, "tasks": {"list": {}, "cancel": {}}}
RELATED = "io.modelcontextprotocol/related-task"
RESEARCH = "simulate-research-query"


@asynccontextmanager
async def client_of(
    front: Transport, servers: dict[str, Any], folder: Path, era: str, capabilities: dict[str, Any]
) -> AsyncIterator[RawClient]:
    """A raw client at the proxy in front of the servers."""
    whole = {"servers": servers}
    if front == "stdio":
        command = serve_command(whole, folder)
        async with pipe(command, folder / "proxy.log", era=era, capabilities=capabilities, cwd=folder) as client:
            yield client
        return
    async with served(whole, folder) as proxy, streamable(proxy.url, era=era, capabilities=capabilities) as client:
        yield client


async def trace(folder: Path) -> list[dict[str, Any]]:
    done = await fuseboard("trace", "export", state=folder / "state")
    return [json.loads(line) for line in done.stdout.splitlines()]


# 2025-11-25.


@asynccontextmanager
async def everything(back: Transport, folder: Path) -> AsyncIterator[dict[str, Any]]:
    if back == "stdio":
        yield program(everything_command())
        return
    async with everything_http(folder) as base:
        yield address(back, base)


async def research(client: RawClient, tool: str = RESEARCH, *, ambiguous: bool = False) -> str:
    arguments = {"topic": "python", "ambiguous": ambiguous}
    params = {"name": tool, "arguments": arguments, "task": {"ttl": 60_000}}
    begun = await client.result("tools/call", params)
    assert begun["task"]["status"] == "working"
    id: str = begun["task"]["taskId"]
    return id


async def until(client: RawClient, id: str, status: str) -> None:
    with anyio.fail_after(20):
        while (await client.result("tasks/get", {"taskId": id}))["status"] != status:  # noqa: ASYNC110
            await anyio.sleep(0.2)  # as a client polls


@pytest.mark.node
@pytest.mark.parametrize(("front", "back"), CELLS)
async def test_a_task_of_the_reference_server(front: Transport, back: Transport, tmp_path: Path) -> None:
    async with (
        everything(back, tmp_path) as server,
        client_of(front, {"everything": server}, tmp_path, HANDSHAKE, CAPABILITIES) as client,
    ):
        id = await research(client)
        listed = await client.result("tasks/list")
        assert [task["taskId"] for task in listed["tasks"]] == [id]
        final = json.loads(await client.ask("tasks/result", {"taskId": id}, timeout_s=20))["result"]
        assert "Research Report" in final["content"][0]["text"]
        assert final["_meta"][RELATED] == {"taskId": id}
        unknown = json.loads(await client.ask("tasks/get", {"taskId": "nobody's"}))
        assert unknown["error"]["code"] == -32602
    (record,) = await trace(tmp_path)
    assert (record["tool"], record["truth"]) == (RESEARCH, "ok")
    assert record["duration_ms"] > 3000
    assert record["checks"][-1]["facts"] == {"id": id}


@pytest.mark.node
@pytest.mark.parametrize("front", ["stdio", "http"])
async def test_a_task_that_asks_its_client_something(front: Transport, tmp_path: Path) -> None:
    """Among several servers, so that the task goes by another name; the question comes while its result is awaited."""
    servers = {"one": program(everything_command()), "two": program(everything_command())}
    async with client_of(front, servers, tmp_path, HANDSHAKE, CAPABILITIES) as client:
        id = await research(client, f"two__{RESEARCH}", ambiguous=True)
        assert id.startswith("two__")
        await until(client, id, "input_required")
        final = await client.begin("tasks/result", {"taskId": id})
        question = await client.next("elicitation/create")
        asked = json.loads(question)["params"]
        assert asked["_meta"][RELATED] == {"taskId": id}
        meta = {RELATED: {"taskId": id}}
        await client.reply(question, {"action": "accept", "content": {"interpretation": "snake"}, "_meta": meta})
        result = json.loads(await final.response(20))["result"]
        assert "(snake)" in result["content"][0]["text"]
        assert result["_meta"][RELATED] == {"taskId": id}


@pytest.mark.node
async def test_a_task_of_the_reference_server_is_cancelled(tmp_path: Path) -> None:
    server = program(everything_command())
    async with client_of("stdio", {"everything": server}, tmp_path, HANDSHAKE, CAPABILITIES) as client:
        id = await research(client)
        assert (await client.result("tasks/cancel", {"taskId": id}))["status"] == "cancelled"
    (record,) = await trace(tmp_path)
    assert (record["truth"], record["error"]) == ("cancelled", "the task was cancelled")


# 2026-07-28.


@asynccontextmanager
async def tea(back: Transport) -> AsyncIterator[tuple[dict[str, Any], TaskServer]]:
    server = TaskServer()
    if back == "stdio":
        path = str(Path(__file__).parents[1])
        yield {"command": sys.executable, "args": ["-m", "support.task_server"], "env": {"PYTHONPATH": path}}, server
        return
    async with http_upstream(server.over_http) as upstream:
        yield {"url": upstream.url, "type": "http"}, server


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "of two"])
@pytest.mark.parametrize(("front", "back"), CELLS)
async def test_a_task_of_the_extension(front: Transport, back: Transport, alone: bool, tmp_path: Path) -> None:
    capabilities = {"extensions": {EXTENSION: {}}}
    async with tea(back) as (one, server), tea(back) as (other, _):
        servers = {"tea": one} if alone else {"tea": one, "mate": other}
        prefix = "" if alone else "tea__"
        async with client_of(front, servers, tmp_path, MODERN, capabilities) as client:
            begun = await client.result("tools/call", {"name": f"{prefix}brew", "arguments": {}})
            id = begun["taskId"]
            assert (begun["resultType"], id) == ("task", f"{prefix}t-1")
            waiting = await client.result("tasks/get", {"taskId": id})
            assert (waiting["status"], list(waiting["inputRequests"])) == ("input_required", ["name"])
            answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
            await client.result("tasks/update", {"taskId": id, "inputResponses": answers})
            done = await client.result("tasks/get", {"taskId": id})
            assert (done["taskId"], done["result"]["structuredContent"]) == (id, {"for": "Ada"})
            lost = json.loads(await client.ask("tasks/get", {"taskId": "nobody's"}))
            assert lost["error"]["code"] == -32602
            if back == "http":
                assert server.headers[:3] == ["t-1"] * 3
    (record,) = await trace(tmp_path)
    assert (record["tool"], record["truth"], record["checks"][-1]["facts"]) == ("brew", "ok", {"id": "t-1"})


async def test_tasks_of_two_principals_over_http(tmp_path: Path) -> None:
    config = {"auth": {"bearer": {"ada": {"token": "${env:ADA}"}, "bob": {"token": "${env:BOB}"}}}}
    env = {"ADA": "a" * 32, "BOB": "b" * 32}
    capabilities = {"extensions": {EXTENSION: {}}}
    async with (
        tea("http") as (section, server),
        served({"servers": {"tea": section}, **config}, tmp_path, env=env) as proxy,
        _of(proxy, "a", capabilities) as ada,
        _of(proxy, "b", capabilities) as bob,
    ):
        id = (await ada.result("tools/call", {"name": "brew", "arguments": {}}))["taskId"]
        for stranger in (id, "t-9"):
            refused = json.loads(await bob.ask("tasks/get", {"taskId": stranger}))["error"]
            assert (refused["code"], refused["message"]) == (-32602, f"tasks/get: unknown task {stranger}")
        assert server.headers == []
        assert (await ada.result("tasks/get", {"taskId": id}))["taskId"] == id


@asynccontextmanager
async def _of(proxy: Proxy, letter: str, capabilities: dict[str, Any]) -> AsyncIterator[RawClient]:
    headers = {"authorization": f"Bearer {letter * 32}"}
    async with streamable(proxy.url, era=MODERN, capabilities=capabilities, headers=headers) as client:
        yield client
