"""Children of the proxy: what they are given, how they end, and that none of them outlives it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.matrix import program
from support.proxy import Proxy, serve_command, served
from support.raw_client import RawClient
from support.raw_transports import pipe, streamable
from support.system import alive, eventually

ODD = str(Path(__file__).parents[1] / "support/odd_upstream.py")
ODD_SERVER = program([sys.executable, ODD])


async def text(client: RawClient, tool: str) -> str:
    message = json.loads(await client.call(tool))
    assert "result" in message, message
    return str(message["result"]["content"][0]["text"])


async def family(client: RawClient, alias: str = "") -> list[int]:
    """The child, and a child of its own that it started."""
    return [int(await text(client, f"{alias}{tool}")) for tool in ("pid", "spawn")]


async def test_a_child_gets_what_it_needs_and_nothing_of_ours(tmp_path: Path) -> None:
    config = {"servers": {"odd": {**ODD_SERVER, "env": {"TOKEN": "${env:OUR_TOKEN}", "PLAIN": "x"}}}}
    secrets = {"OUR_TOKEN": "s3cret-t0ken", "OUR_OTHER": "not for it", "PYTHONPATH": str(tmp_path)}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log", env=secrets) as client:
        given = json.loads(await text(client, "environment"))
    allowed = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "TOKEN", "PLAIN"}
    assert given["TOKEN"] == "s3cret-t0ken"
    assert given["PLAIN"] == "x"
    # LC_CTYPE is Python's own doing (PEP 538).
    assert set(given) - {"LC_CTYPE"} <= allowed
    assert given["PATH"] == os.environ["PATH"]


async def test_a_child_dies_with_the_client_and_takes_its_own_children_along(tmp_path: Path) -> None:
    async with pipe(serve_command({"servers": {"odd": ODD_SERVER}}, tmp_path), tmp_path / "proxy.log") as client:
        pids = await family(client)
        await client.close_stdin()
        with anyio.fail_after(10):
            assert await client.child.process.wait() == 0
    await eventually(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_to_the_proxy_on_stdio_leaves_no_orphan(number: signal.Signals, tmp_path: Path) -> None:
    config = {"servers": {"one": ODD_SERVER, "two": ODD_SERVER}}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log") as client:
        pids = await family(client, "one__") + await family(client, "two__")
        os.kill(client.child.pid, number)
        with anyio.fail_after(10):
            await client.child.process.wait()
    await eventually(lambda: not any(map(alive, pids)))
    assert "Traceback" not in (tmp_path / "proxy.log").read_text()


async def test_a_signal_to_the_proxy_over_http_leaves_no_orphan(tmp_path: Path) -> None:
    config = {"servers": {"one": ODD_SERVER, "two": ODD_SERVER}}
    async with served(config, tmp_path) as proxy:
        async with streamable(proxy.url) as client:
            pids = await family(client, "one__") + await family(client, "two__")
            ask = await client.begin("tools/call", {"name": "one__silent"})
            os.kill(proxy.child.pid, signal.SIGTERM)
            with anyio.fail_after(15):
                assert await proxy.child.process.wait() == 0
            del ask
        await eventually(lambda: not any(map(alive, pids)))
        assert "Traceback" not in proxy.stderr


async def test_a_child_that_ends_neither_with_its_stdin_nor_at_sigterm_is_killed(tmp_path: Path) -> None:
    config = {"servers": {"odd": program([sys.executable, ODD, "--stubborn"])}}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log") as client:
        pids = await family(client)
        await client.close_stdin()
        with anyio.fail_after(15):
            assert await client.child.process.wait() == 0
    await eventually(lambda: not any(map(alive, pids)))


async def test_a_session_over_http_has_children_of_its_own_which_end_with_it(tmp_path: Path) -> None:
    config = {"servers": {"odd": ODD_SERVER}}
    async with served(config, tmp_path) as proxy, streamable(proxy.url) as first, streamable(proxy.url) as second:
        mine, theirs = await family(first), await family(second)
        assert mine[0] != theirs[0]
        assert await first.end_session() == 200
        await eventually(lambda: not any(map(alive, mine)))
        assert await text(second, "good") == "good"


async def test_after_a_crash_another_child_serves_and_the_record_says_what_happened(tmp_path: Path) -> None:
    async with served({"servers": {"odd": ODD_SERVER}}, tmp_path) as proxy, streamable(proxy.url) as client:
        before = await text(client, "pid")
        error = json.loads(await client.call("gone"))["error"]
        assert error["code"] == 5020
        assert "exit code 3" in error["message"]
        assert await text(client, "pid") != before
        assert [record["truth"] for record in await truths(proxy, 3)] == ["ok", "lost", "ok"]


async def truths(proxy: Proxy, count: int) -> list[dict[str, Any]]:
    """The records, once so many of them are whole: the writer is a little behind."""
    with anyio.fail_after(10):
        while len(found := [record for record in await proxy.trace() if record["truth"]]) < count:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    return found
