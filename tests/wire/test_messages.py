"""A warm call costs exactly one message upstream: no listing, no ping, no second question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from support.frame_log import FrameLog
from support.matrix import program
from support.raw_client import HANDSHAKE, MODERN
from support.raw_ways import RawWay, raw_client, raw_pair
from support.servers import raw_command

CALLS = 50
RULES: dict[str, Any] = {
    "rules": [
        {"id": "no-x", "tools": "*", "when": 'context.args has text && context.args.text == "x"', "decide": "deny"}
    ]
}


@pytest.mark.parametrize("era", [HANDSHAKE, MODERN])
@pytest.mark.parametrize("back", ["stdio", "http"])
async def test_one_call_is_one_message_with_one_upstream(back: Any, era: str, tmp_path: Path) -> None:
    async with raw_pair(RawWay("stdio", back, era), tmp_path, config=RULES) as (client, log):
        await client.call("echo", {"text": "warm"})
        before = len(log.all())
        for n in range(CALLS):
            await client.call("echo", {"text": str(n)})
        assert len(log.all()) - before == CALLS


@pytest.mark.parametrize("era", [HANDSHAKE, MODERN])
async def test_one_call_is_one_message_with_ten_upstreams(era: str, tmp_path: Path) -> None:
    logs = [FrameLog(tmp_path / f"{n}.jsonl") for n in range(10)]
    servers = {f"s{n}": program(raw_command(log)) for n, log in enumerate(logs)}
    async with raw_client("stdio", {"servers": servers, **RULES}, tmp_path, era=era) as client:
        with anyio.fail_after(30):
            for n in range(10):
                await client.call(f"s{n}__echo", {"text": "warm"})
        before = sum(len(log.all()) for log in logs)
        for n in range(CALLS):
            await client.call(f"s{n % 10}__echo", {"text": str(n)})
        assert sum(len(log.all()) for log in logs) - before == CALLS
