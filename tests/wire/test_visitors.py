"""A thousand clients that come and go, with or without a goodbye: the proxy is left as they found it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from fuseboard import app
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.config import load
from support.census import census
from support.edge import HELLO, Client, Served, Wire, frame, modern, serving
from support.frame_log import FrameLog
from support.matrix import address
from support.proxy import Proxy, served
from support.servers import raw_http
from support.system import descriptors, eventually, rss_kb

WARM = 300
VISITORS = 500
AT_ONCE = 8
AT_REST = 40
"""Descriptors of a proxy without clients: some twenty of its own, and the pooled connections to its upstream."""
GROWTH_KB = 2_600
"""Over all visitors after the warm ones: 5 KB each. Of these 4 are what is known of a run for a minute after its end,
and go then. Objects of ours are counted one by one; this is for all else."""

OPEN_SESSIONS = 200
SESSION_KB = 50
"""The bar for one open and idle session."""

IDLE_S = 0.2
LIMITS = {"session_idle": "200ms", "sessions": 60}
"""So few that abandoned sessions which are not freed would keep all later clients out."""


@asynccontextmanager
async def proxied(folder: Path, *, era: str, limits: dict[str, Any], **server: Any) -> AsyncIterator[Proxy]:
    log = FrameLog(folder / "frames.jsonl")
    async with raw_http(log, "--eras", era) as base:
        servers = {"raw": {**address("http", base), **server}}
        async with served({"servers": servers, "limits": limits}, folder) as proxy:
            yield proxy


def door(proxy: Proxy) -> Served:
    assert proxy.port is not None
    return Served(None, proxy.port)  # type: ignore[arg-type]  # the edge is in another process


async def calls(wire: Wire, headers: dict[str, str]) -> None:
    call = {"name": "echo", "arguments": {"text": "hi"}}
    answer = await wire.ask("POST", "/mcp", headers, frame(2, "tools/call", call))
    assert answer.status == 200, answer
    if answer.streams:
        await wire.events()


async def opens(wire: Wire) -> dict[str, str]:
    while (answer := await wire.ask("POST", "/mcp", {}, frame(1, "initialize", HELLO))).status == 503:  # noqa: ASYNC110
        await anyio.sleep(0.05)  # until those who have vanished have been idle for too long
    assert answer.status == 200, answer
    headers = {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    if answer.streams:
        await wire.events()
    await wire.ask("POST", "/mcp", headers, frame(None, "notifications/initialized"))
    return headers


async def vanishes(wire: Wire) -> None:
    """A session without a goodbye, which ends when it has been idle for too long."""
    await calls(wire, await opens(wire))
    wire.cut()


async def says_goodbye(wire: Wire) -> None:
    headers = await opens(wire)
    await calls(wire, headers)
    assert (await wire.ask("DELETE", "/mcp", headers)).status == 200


async def drops_sse(wire: Wire) -> None:
    await wire.ask("GET", "/sse", {"Accept": "text/event-stream"})
    assert await wire.event() is not None
    wire.cut()


async def drops_a_subscription(wire: Wire) -> None:
    headers, body = modern("l", "subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    assert (await wire.ask("POST", "/mcp", headers, body)).streams
    event = await wire.event()
    assert event is not None
    assert event.json["method"] == "notifications/subscriptions/acknowledged"
    wire.cut()


Visit = Callable[[Wire], Awaitable[None]]


async def come_and_go(proxy: Proxy, visit: Visit, count: int) -> None:
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for _ in numbers:
            async with door(proxy).wire() as wire:
                await visit(wire)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(one_after_the_other)


VISITS = [
    pytest.param(vanishes, "stateless", id="session, no goodbye"),
    pytest.param(says_goodbye, "handshake", id="session, goodbye"),
    pytest.param(drops_sse, "stateless", id="HTTP+SSE"),
    pytest.param(drops_a_subscription, "stateless", id="subscription"),
]


@asynccontextmanager
async def within(folder: Path, *, era: str) -> AsyncIterator[Served]:
    """A whole proxy in this very process, where its objects can be counted."""
    log = FrameLog(folder / "frames.jsonl")
    async with raw_http(log, "--eras", era) as base:
        path = folder / "fuseboard.yaml"
        path.write_text(json.dumps({"servers": {"raw": address("http", base)}}))
        async with app.board(load(path), folder) as core, serving(core, limits=Limits(session_idle_s=IDLE_S)) as served:
            yield served


async def stays_stateless(wire: Wire) -> None:
    """A call without a session."""
    headers, body = modern(1, "tools/call", {"name": "echo", "arguments": {"text": "hi"}})
    answer = await wire.ask("POST", "/mcp", headers, body)
    assert answer.status == 200, answer
    if answer.streams:
        await wire.events()


async def waits_long(wire: Wire) -> None:
    """A session with a call that lasts, and is watched for its client going away."""
    headers = await opens(wire)
    call = {"name": "slow", "arguments": {"seconds": 3 * Limits().linger_s}}
    answer = await wire.ask("POST", "/mcp", headers, frame(2, "tools/call", call))
    assert answer.status == 200, answer
    if answer.streams:
        await wire.events()
    wire.cut()


@pytest.mark.parametrize(
    "visit", [vanishes, says_goodbye, waits_long, drops_sse, drops_a_subscription, stays_stateless]
)
@pytest.mark.parametrize("era", ["stateless", "handshake"])
async def test_a_visitor_leaves_no_object_behind(
    visit: Visit, era: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a cycle of them: the collector comes to the oldest objects once in thousands of sessions."""
    monkeypatch.setattr("fuseboard.adapters.upstream.pool.IDLE_S", IDLE_S)
    # Without a session all are one run, whose newest results are kept: as many as it had before the count began.
    monkeypatch.setattr("fuseboard.provenance.MOST_RESULTS", 2)

    async def visits(count: int) -> None:
        for _ in range(count):
            async with served.wire() as wire:
                await visit(wire)

    async with within(tmp_path, era=era) as served:
        await visits(2)
        await anyio.sleep(3 * IDLE_S)
        with census() as left:
            await visits(3)
            with suppress(TimeoutError):
                await eventually(lambda: not left(), timeout_s=5)
            assert not left()


@pytest.mark.parametrize(("visit", "era"), VISITS)
async def test_visitors_leave_nothing_behind(visit: Visit, era: str, tmp_path: Path) -> None:
    async with proxied(tmp_path, era=era, limits=LIMITS) as proxy:
        pid = proxy.child.pid
        await come_and_go(proxy, visit, WARM)
        await eventually(lambda: descriptors(pid) < AT_REST)
        files, before_kb = descriptors(pid), rss_kb(pid)
        await come_and_go(proxy, visit, VISITORS)
        # The connections to the upstream stay open for a while: as many as there were clients at once.
        await eventually(lambda: descriptors(pid) <= files + AT_ONCE)
        grown_kb = rss_kb(pid) - before_kb
        print(f"{grown_kb} KB after {VISITORS} visitors")  # noqa: T201
        assert grown_kb < GROWTH_KB


@pytest.mark.parametrize(
    ("era", "facts"),
    [("stateless", {}), ("handshake", {"share": "all"}), ("handshake", {})],
    ids=["stateless", "shared", "one upstream session each"],
)
async def test_an_idle_session_is_small(era: str, facts: dict[str, Any], tmp_path: Path) -> None:
    async with proxied(tmp_path, era=era, limits={}, **facts) as proxy:
        await come_and_go(proxy, says_goodbye, WARM)
        before_kb = rss_kb(proxy.child.pid)
        sessions: list[Client] = []

        async def stays(wire: Wire) -> None:
            headers = await opens(wire)
            await calls(wire, headers)
            sessions.append(Client(door(proxy), headers["Mcp-Session-Id"], {}))

        await come_and_go(proxy, stays, OPEN_SESSIONS)
        each_kb = (rss_kb(proxy.child.pid) - before_kb) / OPEN_SESSIONS
        answer = await sessions[0].ask(frame(9, "ping"))
        assert answer.status == 200
        assert each_kb < SESSION_KB
        print(f"{each_kb:.1f} KB for each session")  # noqa: T201
