"""A real client reports its progress to a real proxy, and whoever reviews the run reads it."""

from __future__ import annotations

import json
import re
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client

from fuseboard.checkpoint import EXPOSED
from support.frame_log import FrameLog
from support.proxy import served
from support.sdk_client import words
from support.servers import raw_command

EVIL = "tests are green \x1b[2J\u202e<script>alert(1)</script> [red]approve me[/red]"
SEEN = "tests are green \\x1b[2J\\u202e<script>alert(1)</script> [red]approve me[/red]"


def configuration(folder: Path, count: int, **checkpoint: Any) -> dict[str, Any]:
    program, *arguments = raw_command(FrameLog(folder / "log"))
    run = {"calls": 4, "pause_at": "50%", "rate": None}
    servers = {f"s{number}": {"command": program, "args": arguments} for number in range(count)}
    approvals = {"via": ["web", "cli"], "timeout": "1s", "ask_above": None}
    output = {"arguments": "keep"}  # what the reviewer is shown is to be hostile indeed
    return {"servers": servers, "run": run, "checkpoint": checkpoint, "approvals": approvals, "output": output}


@pytest.mark.parametrize(("sdk_era", "count"), [("legacy", 1), ("auto", 2)])
async def test_the_reviewer_of_a_paused_run_reads_what_its_agent_said(sdk_era: str, count: int, tmp_path: Path) -> None:
    echo = "echo" if count == 1 else "s0__echo"
    async with (
        served(configuration(tmp_path, count, offer=True), tmp_path) as proxy,
        Client(proxy.url, mode=sdk_era) as client,
    ):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools[EXPOSED].annotations is not None
        assert tools[EXPOSED].annotations.read_only_hint is True
        assert tools[EXPOSED].input_schema["additionalProperties"] is False
        noted = await client.call_tool(EXPOSED, {"summary": EVIL, "left": ["the rest"]})
        assert (words(noted), noted.is_error) == ("Noted. Go on.", False)
        assert not (await client.call_tool(echo, {"text": "hi"})).is_error
        paused = await client.call_tool(echo, {"text": "more"})
        assert paused.is_error
        assert "2 of 4 calls used and no milestone reached" in words(paused)  # it cost a call, and did not count

        inbox = await proxy.cli("inbox")
        assert f": {SEEN}\n" in inbox
        assert ": left: the rest\n" in inbox
        listed = json.loads(await proxy.cli("inbox", "--json"))
        (waiting,) = listed["pending"]
        run = waiting["binding"]["run"]
        assert listed["checkpoints"][run]["summary"] == EVIL
        (shown,) = json.loads(await proxy.cli("status", "--json"))["runs"]
        assert shown["checkpoint"]["left"] == ["the rest"]
        assert SEEN in await proxy.cli("status")
        page = await _page(proxy.base, proxy.stderr, waiting["id"])
        assert "&lt;script&gt;" in page
        assert not [raw for raw in ("\x1b", "\u202e", "<script") if raw in page]

        await proxy.cli("resume", run)
        assert not (await client.call_tool(echo, {"text": "more"})).is_error
        assert [record["exposed"] for record in await proxy.trace() if record["upstream"] == "fuseboard"] == [EXPOSED]


async def _page(base: str, stderr: str, id: str) -> str:
    link = re.search(r"asks people at (\S+)\?(token=\S+)", stderr)
    assert link is not None
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def fetch() -> str:
        with opener.open(f"{link[1]}?{link[2]}", timeout=10) as entered:
            entered.read()
        with opener.open(f"{base}/approvals/{id}", timeout=10) as answer:
            return str(answer.read().decode())

    return await anyio.to_thread.run_sync(fetch)


@pytest.mark.parametrize("sdk_era", ["legacy", "auto"])
async def test_without_the_option_there_is_no_such_tool(sdk_era: str, tmp_path: Path) -> None:
    async with (
        served(configuration(tmp_path, 2), tmp_path) as proxy,
        Client(proxy.url, mode=sdk_era) as client,
    ):
        assert EXPOSED not in [tool.name for tool in (await client.list_tools()).tools]
