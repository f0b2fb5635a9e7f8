"""Locks, circles and deadlines over real processes: proxies on one state folder, agents, and upstreams that hang."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client.client import Client

from support.frame_log import FrameLog
from support.matrix import SDK_SERVER, program
from support.mortal import mortal
from support.processes import child, free_port
from support.proxy import PROGRAM, UNLIMITED, Proxy, fuseboard, served
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import streamable
from support.raw_ways import meeting, raw_upstream

LIMIT_S = 60.0
FILE = "file:{args.path}"
AGENT_SERVER = Path(__file__).parent.parent / "support" / "agent_server.py"


def config(section: dict[str, Any], **slow: Any) -> dict[str, Any]:
    facts = {"effect": "read", **slow}
    return {**UNLIMITED, "servers": {"raw": {**section, "tools": {"slow": facts}}}, "loops": {"then": "nudge"}}


@asynccontextmanager
async def proxies(settings: dict[str, Any], folder: Path, count: int) -> AsyncIterator[list[Proxy]]:
    """Several on one state folder."""
    path = folder / "config.json"
    path.write_text(json.dumps(settings))
    async with AsyncExitStack() as stack:
        found = []
        for n in range(count):
            port, state = free_port(), folder / "state"
            command = [PROGRAM, "serve", "--config", str(path), "--state", str(state), "--http", f"127.0.0.1:{port}"]
            started = await stack.enter_async_context(child(command, folder / f"proxy{n}.log", port=port, cwd=folder))
            found.append(Proxy(started, state, port))
        yield found


async def asked(client: RawClient, path: str, *, run: str, seconds: float = 0.0) -> tuple[dict[str, Any], float]:
    """What a call of ``slow`` came to, and after how long."""
    params = {"name": "slow", "arguments": {"path": path, "seconds": seconds}, "_meta": {"fuseboard/run": run}}
    began_s = time.monotonic()
    said = json.loads(await client.ask("tools/call", params, timeout_s=LIMIT_S))["result"]
    return said.get("_meta", {}).get("fuseboard/decision") or {}, time.monotonic() - began_s


async def test_two_processes_take_turns_at_one_thing(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "log")
    async with raw_upstream("stdio", log) as section:
        settings = config(section, lock=[{"name": FILE, "wait": "10s"}])
        async with proxies(settings, tmp_path, 2) as both, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(streamable(one.url)) for one in both]
            times: list[float] = []

            async def turn(n: int) -> None:
                said, took_s = await asked(clients[n % 2], f"/a/{n}/../../x", run=f"r{n}", seconds=0.4)
                assert said == {}
                times.append(took_s)

            async with anyio.create_task_group() as tasks:
                for n in range(4):
                    tasks.start_soon(turn, n)
            assert max(times) >= 4 * 0.4
            records = await both[0].trace()
    assert [record["verdict"] for record in records] == ["allow"] * 4
    fences = [
        lock["fence"] for record in records for check in record["checks"] for lock in check["facts"].get("locks", ())
    ]
    assert len(set(fences)) == 4


async def test_the_locks_of_a_proxy_that_was_killed_are_free_after_their_time(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "log")
    async with raw_upstream("stdio", log) as section:
        settings = config(section, lock=[{"name": FILE, "wait": "500ms", "ttl": "3s"}])
        async with proxies(settings, tmp_path, 2) as (doomed, other), streamable(other.url) as client:
            with pytest.raises(BaseExceptionGroup):  # noqa: PT012  its connection is cut
                async with streamable(doomed.url) as victim, anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda: asked(victim, "/x", run="r1", seconds=60))
                    await anyio.sleep(4.0)  # longer than the lease: it is renewed
                    said, took_s = await asked(client, "/x", run="r2")
                    assert said["rule"] == "locks.held"
                    assert 0.4 < took_s < 2.0
                    status = json.loads((await fuseboard("status", "--json", state=other.state, ok=False)).stdout)
                    assert [one["lock"] for one in status["locks"]] == ["file:/x"]
                    os.kill(doomed.child.pid, signal.SIGKILL)
                    await doomed.child.process.wait()
            killed_s = time.monotonic()
            while (await asked(client, "/x", run="r2"))[0]:
                assert time.monotonic() - killed_s < 10.0
            assert time.monotonic() - killed_s < 4.5


@pytest.mark.parametrize("agents", [2, 3, 5])
async def test_a_circle_over_locks_is_refused_in_milliseconds(agents: int, tmp_path: Path) -> None:
    """Over two processes: each run keeps one thing and wants its neighbour's."""
    log = FrameLog(tmp_path / "log")
    async with raw_upstream("stdio", log) as section:
        settings = config(section, lock=[{"name": FILE, "hold": "run", "wait": "4s"}])
        async with proxies(settings, tmp_path, 2) as both, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(streamable(both[n % 2].url)) for n in range(agents)]
            for n, client in enumerate(clients):
                assert (await asked(client, f"/{n}", run=f"r{n}"))[0] == {}
            ends: dict[int, tuple[dict[str, Any], float]] = {}

            async def wants(n: int) -> None:
                ends[n] = await asked(clients[n], f"/{(n + 1) % agents}", run=f"r{n}")

            async with anyio.create_task_group() as tasks:
                for n in range(agents):
                    tasks.start_soon(wants, n)
                    await anyio.sleep(0.2)
                await anyio.sleep(0.3)
                assert [*ends] == [agents - 1]
                status = json.loads((await fuseboard("status", "--json", state=both[0].state, ok=False)).stdout)
                assert len(status["waits"]) == agents - 1
            refused, took_s = ends.pop(agents - 1)
            assert refused["rule"] == "locks.cycle"
            assert all(f"file:/{n}" in refused["reason"] for n in range(agents))
            assert took_s < 0.25, f"refused after {took_s * 1000:.0f} ms"
            assert {said["rule"] for said, _ in ends.values()} == {"locks.held"}


@pytest.mark.parametrize(("names", "mode"), [("aa", "auto"), ("aba", "legacy"), ("abca", "auto")])
async def test_a_circle_of_agents_is_refused_and_named(names: str, mode: str, tmp_path: Path) -> None:
    """Agents of the official SDK as it is, each of which calls the next through the proxy."""
    agent = {**program([sys.executable, str(AGENT_SERVER)]), "agent": True}
    servers = dict.fromkeys("abc", agent) | {"one": program([sys.executable, str(SDK_SERVER), "stdio"])}
    with anyio.fail_after(LIMIT_S):
        async with served({**UNLIMITED, "servers": servers}, tmp_path) as proxy, Client(proxy.url, mode=mode) as client:
            plan = {"board": proxy.url, "mode": mode, "tool": "one__echo", "arguments": {"text": "hi"}}
            for name in reversed(names[1:]):
                plan = {"board": proxy.url, "mode": mode, "tool": f"{name}__ask", "arguments": plan}
            answer = await client.call_tool(f"{names[0]}__ask", plan)
            records = await proxy.trace()
    ring = " -> ".join(f"{name}__ask" for name in names)
    assert ring in str(answer.content)
    (refused,) = [record for record in records if record["verdict"] == "deny"]
    assert refused["rule"] == "locks.call_cycle"
    assert refused["depth"] == len(names) - 1
    assert [record["truth"] for record in records if record is not refused] == ["ok"] * (len(names) - 1)


@pytest.mark.parametrize("reason", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("era", [HANDSHAKE, MODERN])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_call_that_is_given_up_is_cancelled_upstream(
    transport: Any, era: str, reason: str, tmp_path: Path
) -> None:
    """Over pipes by a notification, over HTTP in the handshake era too, and else by the closed stream."""
    async with mortal(transport, tmp_path) as server:
        if transport != "stdio":
            await server.start()
        settings = {"servers": {"m": {**server.section, reason: "1s"}}}
        async with served(settings, tmp_path) as proxy, meeting(proxy, "http", era=era) as client:
            began_s = time.monotonic()
            answer = json.loads(await client.ask("tools/call", {"name": "long", "arguments": {"label": "one"}}))
            assert time.monotonic() - began_s < 4.0
            assert "whether it took effect is unknown" in answer["error"]["message"]
            await server.wrote("long one cancelled")
            (record,) = await proxy.trace()
            assert record["truth"] == "timeout"
