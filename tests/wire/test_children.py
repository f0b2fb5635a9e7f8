"""Children of the proxy: what they are given, how they end, and that none of them outlives it."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from fuseboard.adapters.signals import ONE_EVENT_S
from support.matrix import program
from support.proxy import Proxy, serve_command, served
from support.raw_client import RawClient
from support.raw_transports import pipe, streamable
from support.system import alive, eventually

ODD = str(Path(__file__).parents[1] / "support/odd_upstream.py")
ODD_SERVER = program([sys.executable, ODD])
STUBBORN = {alias: program([sys.executable, ODD, "--stubborn"]) for alias in ("one", "two", "three")}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXITS = {signal.SIGTERM: 0, signal.SIGINT: 130, signal.SIGHUP: 0}
"""What is told to stop and does has not failed; what a person interrupts says so, as the README has it."""


async def text(client: RawClient, tool: str) -> str:
    message = json.loads(await client.call(tool))
    assert "result" in message, message
    return str(message["result"]["content"][0]["text"])


async def family(client: RawClient, alias: str = "") -> list[int]:
    """The child, and a child of its own that it started."""
    return [int(await text(client, f"{alias}{tool}")) for tool in ("pid", "spawn", "spawn_detached")]


async def test_a_child_gets_what_it_needs_and_nothing_of_ours(tmp_path: Path) -> None:
    config = {"servers": {"odd": {**ODD_SERVER, "env": {"TOKEN": "${env:OUR_TOKEN}", "PLAIN": "x"}}}}
    secrets = {"OUR_TOKEN": "s3cret-t0ken", "OUR_OTHER": "not for it", "PYTHONPATH": str(tmp_path)}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log", env=secrets) as client:
        given = json.loads(await text(client, "environment"))
    allowed = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "TOKEN", "PLAIN"}
    assert given["TOKEN"] == "«secret»"  # the child has it, and gives it away in vain
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


@pytest.mark.parametrize("number", SIGNALS, ids=[number.name for number in SIGNALS])
async def test_a_signal_to_the_proxy_on_stdio_leaves_no_orphan(number: signal.Signals, tmp_path: Path) -> None:
    config = {"servers": {"one": ODD_SERVER, "two": ODD_SERVER}}
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log") as client:
        pids = await family(client, "one__") + await family(client, "two__")
        os.kill(client.child.pid, number)
        with anyio.fail_after(10):
            assert await client.child.process.wait() == EXITS[number]
    await eventually(lambda: not any(map(alive, pids)))
    assert "Traceback" not in (tmp_path / "proxy.log").read_text()


@pytest.mark.parametrize("number", SIGNALS, ids=[number.name for number in SIGNALS])
async def test_a_signal_to_the_proxy_over_http_leaves_no_orphan(number: signal.Signals, tmp_path: Path) -> None:
    config = {"servers": {"one": ODD_SERVER, "two": ODD_SERVER}}
    async with served(config, tmp_path) as proxy:
        async with streamable(proxy.url) as client:
            pids = await family(client, "one__") + await family(client, "two__")
            ask = await client.begin("tools/call", {"name": "one__silent"})
            os.kill(proxy.child.pid, number)
            with anyio.fail_after(15):
                assert await proxy.child.process.wait() == EXITS[number]
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


async def stubborn(client: RawClient) -> list[int]:
    return [pid for alias in STUBBORN for pid in await family(client, f"{alias}__")]


async def test_kill_9_of_the_proxy_leaves_no_child_however_stubborn(tmp_path: Path) -> None:
    command = serve_command({"servers": STUBBORN}, tmp_path)
    async with pipe(command, tmp_path / "proxy.log") as client:
        pids = await stubborn(client)
        os.kill(client.child.pid, signal.SIGKILL)
        with anyio.fail_after(10):
            await client.child.process.wait()
        await eventually(lambda: not any(map(alive, pids)))


async def test_stubborn_children_end_side_by_side_before_the_client_kills_us(tmp_path: Path) -> None:
    command = serve_command({"servers": STUBBORN}, tmp_path)
    async with pipe(command, tmp_path / "proxy.log") as client:
        pids = await stubborn(client)
        began = anyio.current_time()
        await client.close_stdin()
        with anyio.fail_after(10):
            assert await client.child.process.wait() == 0
        assert anyio.current_time() - began < 2.5
        assert not any(map(alive, pids))


@pytest.mark.parametrize("front", ["stdio", "http"])
async def test_the_second_signal_kills_at_once(front: str, tmp_path: Path) -> None:
    config = {"servers": STUBBORN}
    async with AsyncExitStack() as stack:
        if front == "stdio":
            client = await stack.enter_async_context(pipe(serve_command(config, tmp_path), tmp_path / "proxy.log"))
            proxy = client.child
        else:
            served_ = await stack.enter_async_context(served(config, tmp_path))
            client, proxy = await stack.enter_async_context(streamable(served_.url)), served_.child
        pids = await stubborn(client)
        os.kill(proxy.pid, signal.SIGTERM)
        await anyio.sleep(ONE_EVENT_S + 0.1)
        os.kill(proxy.pid, signal.SIGTERM)
        with anyio.fail_after(10):
            assert await proxy.process.wait() == 128 + signal.SIGTERM
        await eventually(lambda: not any(map(alive, pids)), timeout_s=1)


async def test_a_child_that_chatters_while_nobody_reads_our_stderr_stops_nothing(tmp_path: Path) -> None:
    noisy = "import sys, threading; threading.Thread(target=lambda: [sys.stderr.write('x' * 999 + chr(10)) for _ in "
    noisy += f"range(20_000)], daemon=True).start(); sys.argv[0] = {ODD!r}; exec(open({ODD!r}).read())"
    command = serve_command({"servers": {"odd": program([sys.executable, "-c", noisy])}}, tmp_path)
    unread, ours = os.pipe()
    try:
        shell = ["/bin/sh", "-c", f'exec "$@" 2>/proc/{os.getpid()}/fd/{ours}', "sh", *command]
        async with pipe(shell, tmp_path / "proxy.log") as client:
            with anyio.fail_after(20):
                assert [await text(client, "good") for _ in range(50)] == ["good"] * 50
    finally:
        os.close(ours)
        os.close(unread)


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
        assert "Segmentation fault" not in json.dumps(error)
        await eventually(lambda: "[odd] Segmentation fault, or so" in proxy.stderr)
        assert await text(client, "pid") != before
        assert [record["truth"] for record in await truths(proxy, 3)] == ["ok", "lost", "ok"]


async def truths(proxy: Proxy, count: int) -> list[dict[str, Any]]:
    """The records, once so many of them are whole: the writer is a little behind."""
    with anyio.fail_after(10):
        while len(found := [record for record in await proxy.trace() if record["truth"]]) < count:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    return found
