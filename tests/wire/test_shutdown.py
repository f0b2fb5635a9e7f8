"""How the proxy ends: what is open gets its time, what is new is refused, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.mortal import mortal
from support.proxy import fuseboard, serve_command, served
from support.raw_client import MODERN
from support.raw_transports import http_sse, pipe, streamable
from support.system import alive, eventually

CALL = {"name": "slow", "arguments": {"label": "one"}}
LONG = {"name": "long", "arguments": {"label": "one"}}


def stored(section: Any, **limits: str) -> dict[str, Any]:
    return {"servers": {"m": section}, "limits": limits}


@pytest.mark.parametrize("front", [streamable, http_sse])
async def test_an_open_call_over_http_is_answered_and_recorded(front: Any, tmp_path: Path) -> None:
    async with mortal("stdio", tmp_path) as server, served(stored(server.section), tmp_path) as proxy:
        async with front(proxy.url if front is streamable else proxy.sse_url) as client:
            ask = await client.begin("tools/call", CALL)
            await server.wrote("slow one")
            os.kill(proxy.child.pid, signal.SIGTERM)
            assert "result" in json.loads(await ask.response())
            with anyio.fail_after(10):
                assert await proxy.child.process.wait() == 0
        (record,) = await proxy.trace()
        assert record["truth"] == "ok"
        await eventually(lambda: not alive(server.pid))


async def test_an_open_call_over_stdio_is_answered_and_a_new_one_refused(tmp_path: Path) -> None:
    async with mortal("stdio", tmp_path) as server:
        command = serve_command(stored(server.section), tmp_path)
        async with pipe(command, tmp_path / "proxy.log") as client:
            ask = await client.begin("tools/call", CALL)
            await server.wrote("slow one")
            os.kill(client.child.pid, signal.SIGTERM)
            await anyio.sleep(0.2)
            refusal = json.loads(await client.ask("tools/list"))
            assert refusal["error"]["message"] == "the proxy is stopping"
            assert "result" in json.loads(await ask.response())
            with anyio.fail_after(10):
                assert await client.child.process.wait() == 0
        await eventually(lambda: not alive(server.pid))


@pytest.mark.parametrize("front", ["stdio", "http"])
async def test_a_call_that_takes_too_long_is_cancelled_upstream_and_recorded(front: str, tmp_path: Path) -> None:
    async with mortal("stdio", tmp_path) as server:
        config = stored(server.section, drain="500ms")
        if front == "stdio":
            async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log") as client:
                ask = await client.begin("tools/call", LONG)
                await server.wrote("long one")
                os.kill(client.child.pid, signal.SIGTERM)
                assert json.loads(await ask.response())["error"]["message"] == "the proxy is stopping"
                with anyio.fail_after(10):
                    assert await client.child.process.wait() == 0
                exported = await fuseboard("trace", "export", state=tmp_path / "state")
                record = json.loads(exported.stdout)
        else:
            async with served(config, tmp_path) as proxy, streamable(proxy.url) as client:
                ask = await client.begin("tools/call", LONG)
                await server.wrote("long one")
                os.kill(proxy.child.pid, signal.SIGTERM)
                with anyio.fail_after(10):
                    assert await proxy.child.process.wait() == 0
                del ask
                (record,) = await proxy.trace()
                assert "stopping; what is being answered has 0.5 s" in proxy.stderr
        assert (record["truth"], record["error"]) == ("cancelled", "the proxy stopped before the call had ended")
        await server.wrote("long one cancelled")
        await eventually(lambda: not alive(server.pid))


async def test_a_subscription_on_a_pipe_is_ended_in_order_and_holds_nobody_up(tmp_path: Path) -> None:
    async with (
        mortal("stdio", tmp_path) as server,
        pipe(serve_command(stored(server.section), tmp_path), tmp_path / "log", era=MODERN) as client,
    ):
        ask = await client.begin("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        await client.next("notifications/subscriptions/acknowledged")
        os.kill(client.child.pid, signal.SIGTERM)
        result = json.loads(await ask.response())["result"]
        assert result["resultType"] == "complete"
        assert result["_meta"]["io.modelcontextprotocol/subscriptionId"] == ask.id
        with anyio.fail_after(5):
            assert await client.child.process.wait() == 0


async def test_a_second_wish_to_end_ends_the_wait(tmp_path: Path) -> None:
    """The SDK's client closes stdin, waits 2 s, sends SIGTERM, and kills 2 s later."""
    async with mortal("stdio", tmp_path) as server:
        async with pipe(serve_command(stored(server.section, drain="1m"), tmp_path), tmp_path / "proxy.log") as client:
            await client.begin("tools/call", LONG)
            await server.wrote("long one")
            await client.close_stdin()
            await anyio.sleep(0.5)
            assert client.child.process.returncode is None
            os.kill(client.child.pid, signal.SIGTERM)
            with anyio.fail_after(2):
                assert await client.child.process.wait() == 0
        await server.wrote("long one cancelled")
        await eventually(lambda: not alive(server.pid))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only a write shows it")
async def test_a_client_that_is_gone_while_its_stdin_stays_open_is_noticed(tmp_path: Path) -> None:
    async with mortal("stdio", tmp_path) as server:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        with subprocess.Popen(  # noqa: ASYNC220  anyio's process would read its stdout for us
            serve_command(stored(server.section), tmp_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as proxy:
            assert proxy.stdin is not None
            assert proxy.stdout is not None
            proxy.stdin.write(json.dumps(message).encode() + b"\n")
            proxy.stdin.flush()
            assert b"serverInfo" in await anyio.to_thread.run_sync(proxy.stdout.readline)
            assert alive(server.pid)
            proxy.stdout.close()
            await eventually(lambda: proxy.poll() is not None)
            assert not alive(server.pid)


@pytest.mark.parametrize("kill", [False, True], ids=["stdin closed", "kill -9"])
async def test_what_a_child_started_in_a_session_of_its_own_goes_too(kill: bool, tmp_path: Path) -> None:
    odd = str(Path(__file__).parents[1] / "support/odd_upstream.py")
    config = stored({"command": sys.executable, "args": [odd]})
    async with pipe(serve_command(config, tmp_path), tmp_path / "proxy.log") as client:
        answer = json.loads(await client.call("spawn_detached"))
        astray = int(answer["result"]["content"][0]["text"])
        assert alive(astray)
        if kill:
            os.kill(client.child.pid, signal.SIGKILL)
        else:
            await client.close_stdin()
        with anyio.fail_after(10):
            await client.child.process.wait()
    await eventually(lambda: not alive(astray))
