"""Every way in which a server fails, over every transport: told right, ended in time, nobody else the worse for it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.faults_server import FAULTS, FLAGGED, RETRY_AFTER_S, TEXTS
from support.matrix import Transport, address, program
from support.processes import child, free_port
from support.proxy import fuseboard
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_ways import raw_client

SERVER = Path(__file__).parents[1] / "support/faults_server.py"
TIMEOUT_S = 1.5
GRACE_S = 1.0
"""How much longer than its deadline a call may take, at the very most."""

EVERYWHERE = {
    "good": "ok",
    "hang": "timeout",
    "drip": "timeout",
    "endless_progress": "timeout",
    "huge": "oversize",
    "no_json": "malformed",
    "no_result": "malformed",
    "no_block": "malformed",
    "bad_value": "schema_violation",
    "empty": "empty",
    "traceback": "error_shaped_success",
    "login": "error_shaped_success",
    "html_500": "error_shaped_success",
    "lone_error": "error_shaped_success",
    "limit": "throttled",
    "limit_without_a_span": "throttled",
    "limit_in_json": "throttled",
    "limit_as_success": "throttled",
    "limit_as_error": "throttled",
    "bad_arguments": "bad_arguments",
    "business": "business_error",
    "lost_after_effect": "lost",
    "crash": "lost",
}
"""What each fault is. ``crash`` comes last: an HTTP server of ours does not come back."""

BY_TRANSPORT = {
    ("stdio", "wrong_id"): "timeout",
    ("stdio", "wrong_id_on_a_stream"): "timeout",
    ("stdio", "status_500"): "error",
    ("http", "wrong_id"): "malformed",
    ("http", "wrong_id_on_a_stream"): "malformed",
    ("http", "status_500"): "lost",
    ("sse", "wrong_id"): "timeout",
    ("sse", "wrong_id_on_a_stream"): "timeout",
    ("sse", "status_500"): "lost",
}
"""Where many answers share one way an answer to nobody's question is nobody's, and its own question waits on."""


@asynccontextmanager
async def faulty(back: Transport, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The section of a configuration for the server, started by the proxy or already there."""
    command = [sys.executable, str(SERVER), "--effects", str(folder / "effects")]
    if back == "stdio":
        yield program([*command, "--stdio"])
        return
    port = free_port()
    async with child([*command, "--port", str(port)], folder / "faults.log", port=port):
        yield address(back, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def met(front: Transport, back: Transport, folder: Path, *, era: str = HANDSHAKE) -> AsyncIterator[RawClient]:
    """A client of a proxy before the faulty server and, beside it, one that works.

    Each way of throttling has a name of its own for the server, since after one nothing goes there for a while.
    """
    calm = program([sys.executable, str(SERVER), "--effects", str(folder / "none"), "--stdio"])
    async with faulty(back, folder) as server:
        whole = {
            "servers": {"calm": calm} | {alias: {**server, "timeout": f"{TIMEOUT_S}s"} for alias in ALIASES},
            "limits": {"frame": "1MB"},
        }
        async with raw_client(front, whole, folder, era=era) as client:
            yield client


async def records(folder: Path) -> list[dict[str, Any]]:
    """What the proxy in this folder has written down."""
    done = await fuseboard("trace", "export", state=folder / "state")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


THROTTLES = [name for name, truth in EVERYWHERE.items() if truth == "throttled"]


ALIASES = ["faults", *(name.replace("_", "-") for name in THROTTLES)]


def named(fault: str) -> str:
    """The tool as the client knows it."""
    return f"{fault.replace('_', '-') if fault in THROTTLES else 'faults'}__{fault}"


async def timed(client: RawClient, tool: str, arguments: dict[str, Any] | None = None) -> tuple[dict[str, Any], float]:
    """The whole answer to one call, and the seconds that it took."""
    begin = time.monotonic()
    ask = await client.begin("tools/call", {"name": tool, "arguments": arguments or {}})
    answer = json.loads(await ask.response(TIMEOUT_S + 10))
    return answer, time.monotonic() - begin


def by_tool(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["tool"]: record for record in records if record["upstream"] != "calm"}


def test_no_fault_is_left_out() -> None:
    told = {*EVERYWHERE, *(name for _, name in BY_TRANSPORT), "constant"}
    assert told == {*FAULTS, *TEXTS, *FLAGGED}


@pytest.mark.parametrize(
    ("front", "back", "era"),
    [
        *[("http", back, era) for back in ("stdio", "http") for era in (HANDSHAKE, MODERN)],
        ("http", "sse", HANDSHAKE),
        ("stdio", "http", MODERN),
        ("stdio", "sse", HANDSHAKE),
        ("sse", "stdio", HANDSHAKE),
    ],
)
async def test_each_fault_is_told_right_and_ends_in_time(
    front: Transport, back: Transport, era: str, tmp_path: Path
) -> None:
    expected = {name: truth for (over, name), truth in BY_TRANSPORT.items() if over == back} | EVERYWHERE
    late: dict[str, float] = {}
    async with met(front, back, tmp_path, era=era) as client:
        await timed(client, "faults__good")  # the first one waits for the server to start
        for name in expected:
            _, took_s = await timed(client, named(name))
            if took_s > TIMEOUT_S + GRACE_S:
                late[name] = took_s
            answer, took_s = await timed(client, "calm__good", {"after": name})
            assert answer["result"]["content"][0]["text"] == TEXTS["good"], name
            assert took_s < GRACE_S, name
        found = by_tool(await records(tmp_path))
        assert late == {}
        assert {name: found[name]["truth"] for name in expected} == expected
        assert all(found[name]["verdict"] == "allow" for name in expected if name != "bad_value")
    assert (tmp_path / "effects").read_text() == "done\n"  # what was lost on its way back was not done again


@pytest.mark.parametrize("back", ["stdio", "http", "sse"])
async def test_the_ledger_says_why(back: Transport, tmp_path: Path) -> None:
    async with met("http", back, tmp_path) as client:
        for name in ("traceback", "limit", "limit_in_json", "business"):
            await timed(client, named(name))
        recorded = by_tool(await records(tmp_path))
    found = {
        name: check["facts"]
        for name, record in recorded.items()
        for check in record["checks"]
        if check["policy"] == "truth"
    }
    assert found["traceback"]["weight"] == 0.5
    assert "KeyError: 7" in " ".join(found["traceback"]["evidence"])
    assert found["limit"]["retry_after_s"] == found["limit_in_json"]["retry_after_s"] == RETRY_AFTER_S
    assert found["business"]["whose"] == "caller"


async def test_the_same_answer_to_whatever_is_asked_is_junk(tmp_path: Path) -> None:
    async with met("http", "stdio", tmp_path) as client:
        for number in range(5):
            await timed(client, "faults__constant", {"question": number})
        truths = [record["truth"] for record in await records(tmp_path) if record["tool"] == "constant"]
    assert truths == ["ok"] * 4 + ["junk"]
