"""A tool that fails is taken off the board of a real proxy, comes back by a probe, and obeys an operator meanwhile."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from support.frame_log import FrameLog
from support.proxy import Proxy, served
from support.sdk_client import words

SICKLY = Path(__file__).parent.parent / "support" / "sickly_server.py"


def configuration(folder: Path, **breaker: Any) -> dict[str, Any]:
    args = [str(SICKLY), "--stdio", "--log", str(folder / "log")]
    server = {"command": sys.executable, "args": args, "env": {"SICK": str(folder / "sick")}}
    return {
        "servers": {"raw": server},
        "retries": {"per_call": 99, "floor": "99/s"},
        "loops": {"then": "nudge"},
        "breaker": breaker,
    }


def reached(folder: Path) -> int:
    return len(FrameLog(folder / "log").frames("tools/call"))


async def call(client: Client) -> tuple[str, dict[str, Any]]:
    """What the model reads, and the decision beside it where it was ours."""
    try:
        result = await client.call_tool("work", {})
    except Exception as fault:  # the upstream's own JSON-RPC error
        return str(fault), {}
    return words(result), (result.meta or {}).get("fuseboard/decision", {})


async def listed(proxy: Proxy) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await proxy.cli("breaker", "ls", "--json"))["breakers"]
    return found


async def on_file(proxy: Proxy, *states: str) -> list[dict[str, Any]]:
    """A proxy that is alone writes its state down after a moment."""
    with anyio.fail_after(20):
        while True:
            found = await listed(proxy)
            if [one["state"] for one in found] == list(states):
                return found


@pytest.mark.parametrize("sdk_era", ["legacy", "auto"])
async def test_three_strikes_a_probe_and_back(sdk_era: str, tmp_path: Path) -> None:
    (tmp_path / "sick").touch()
    settings = configuration(tmp_path, open="2s", health=None)
    async with served(settings, tmp_path) as proxy, Client(proxy.url, mode=sdk_era) as client:
        for _ in range(3):
            text, decision = await call(client)
            assert (("internal error" in text), decision) == (True, {})
        text, decision = await call(client)
        assert decision["rule"] == "run.breaker"
        assert 0 < decision["retry_after_s"] <= 2
        assert "- error, " in text
        assert reached(tmp_path) == 3
        assert "work" in [tool.name for tool in (await client.list_tools()).tools]
        (one,) = await on_file(proxy, "open")
        assert (one["scope"], one["name"], len(one["strikes"])) == ("run", "raw__work", 3)
        assert "raw__work" in await proxy.cli("breaker", "ls")
        assert "cut off" in await proxy.cli("status")
        (tmp_path / "sick").unlink()
        await anyio.sleep(decision["retry_after_s"])
        assert (await call(client))[0] == "done"
        assert await on_file(proxy) == []
        records = await proxy.trace()
        (check,) = [one for one in records[2]["checks"] if one["policy"] == "breaker" and one["on"] == "result"]
        assert [strike["decision"] for strike in check["facts"]["run"]["strikes"]] == [one["id"] for one in records[:3]]


async def test_an_operator_cuts_off_and_puts_back(tmp_path: Path) -> None:
    async with served(configuration(tmp_path), tmp_path) as proxy, Client(proxy.url) as client:
        assert (await call(client))[0] == "done"
        assert "raw__work is open for 10m00s" in await proxy.cli("breaker", "open", "raw__work", "--why", "it leaks")
        text, decision = await call(client)
        assert "(it leaks)" in text
        assert decision["rule"] == "tool.breaker"
        assert reached(tmp_path) == 1
        (one,) = await on_file(proxy, "open")
        assert one["by"]
        assert "raw__work is closed" in await proxy.cli("breaker", "reset", "raw__work")
        assert (await call(client))[0] == "done"
        await proxy.cli("breaker", "open", "raw", "--for", "1h")
        assert (await call(client))[1]["rule"] == "upstream.breaker"
        acts = json.loads(await proxy.cli("breaker", "ls", "--json"))["acts"]
        assert [act["do"] for act in acts] == ["open", "reset", "open"]
        (shown,) = json.loads(await proxy.cli("status", "--json"))["breakers"]
        assert (shown["scope"], shown["name"]) == ("upstream", "raw")
