"""What the ledger knows of a call that waits for a person, whatever becomes of the proxy meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from support.asking import configuration, executed, waiting
from support.proxy import Proxy, served
from support.raw_ways import meeting


async def _records(proxy: Proxy) -> list[dict[str, Any]]:
    return [record for record in await proxy.trace() if record["tool"] == "echo"]


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_a_call_that_waits_is_on_record_though_the_proxy_is_killed(era: str, tmp_path: Path) -> None:
    async with served(configuration(tmp_path), tmp_path) as proxy:
        try:
            async with meeting(proxy, "http", era=era) as client:
                await client.begin("tools/call", {"name": "echo", "arguments": {"text": "hi"}})
                await waiting(proxy)
                os.kill(proxy.child.pid, signal.SIGKILL)
                await proxy.child.process.wait()
        except* aiohttp.ClientError:
            pass  # its connection was cut
        (record,) = await _records(proxy)
        assert (record["verdict"], record["final"], record["arguments"]) == (
            "hold",
            True,
            {"text": "hi"},
        )
        assert executed(tmp_path) == []


async def test_a_call_that_waits_when_the_proxy_stops_says_so(tmp_path: Path) -> None:
    settings = configuration(tmp_path, more={"limits": {"drain": "200ms"}})
    async with served(settings, tmp_path) as proxy, meeting(proxy, "http") as client:
        ask = await client.begin("tools/call", {"name": "echo", "arguments": {"text": "hi"}})
        await waiting(proxy)
        os.kill(proxy.child.pid, signal.SIGTERM)
        with anyio.fail_after(10):
            assert await proxy.child.process.wait() == 0
        del ask
        (record,) = await _records(proxy)
        assert (record["verdict"], record["final"]) == ("hold", True)
        assert record["reason"].endswith("The proxy stopped while a person was asked.")


async def test_the_record_of_a_call_that_waited_is_one_and_tells_the_end(tmp_path: Path) -> None:
    async with served(configuration(tmp_path), tmp_path) as proxy, meeting(proxy, "http") as client:
        call = await client.begin("tools/call", {"name": "echo", "arguments": {"text": "hi"}})
        asked = await waiting(proxy)
        (before,) = await _records(proxy)
        assert (before["verdict"], before["final"], before["duration_ms"]) == ("hold", True, None)
        await proxy.cli("approve", asked["id"])
        assert b"isError" not in await call.response()
        (after,) = await _records(proxy)
        assert (after["verdict"], after["final"], after["truth"]) == ("allow", False, "ok")
        assert (after["id"], after["seq"]) == (before["id"], before["seq"])
