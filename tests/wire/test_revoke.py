"""A person takes back what a real proxy delivered: who saw it is paused at the next write, a list says what to undo."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from support.proxy import Proxy, fuseboard, served
from support.sdk_client import words

SUPPORT = Path(__file__).parent.parent / "support"
LIMIT_S = 90


def configuration(folder: Path) -> dict[str, Any]:
    facts = {"read_page": {"effect": "read"}, "post": {"effect": "write"}}
    facts |= {"keep": {"effect": "write", "memory": True}, "recall": {"effect": "read", "memory": True}}
    forum = {
        "command": sys.executable,
        "args": [str(SUPPORT / "forum_server.py"), str(folder / "wall")],
        "tools": facts,
    }
    agent = {"command": sys.executable, "args": [str(SUPPORT / "agent_server.py")], "agent": True}
    agent["tools"] = {"ask": {"effect": "read"}}
    return {"servers": {"forum": forum, "agent": agent}, "approvals": {"timeout": "100ms", "ask_above": None}}


@asynccontextmanager
async def board(folder: Path) -> AsyncIterator[Proxy]:
    with anyio.fail_after(LIMIT_S):
        async with served(configuration(folder), folder) as proxy:
            yield proxy


class Agent:
    """One run, named by a token."""

    def __init__(self, proxy: Proxy, token: dict[str, Any]) -> None:
        self.run: str = token["run"]
        self.url = proxy.base + token["path"]

    @classmethod
    async def new(cls, proxy: Proxy) -> Agent:
        said = await fuseboard("run", "new", "--json", state=proxy.state)
        return cls(proxy, json.loads(said.stdout))

    async def call(self, name: str, /, **arguments: Any) -> tuple[str, dict[str, Any]]:
        """What the model reads, and the decision beside it where it was ours."""
        async with Client(self.url, mode="auto") as client:
            result = await client.call_tool(name, arguments)
        return words(result), (result.meta or {}).get("fuseboard/decision", {})

    async def through(self, other: Agent, tool: str, **arguments: str) -> tuple[str, dict[str, Any]]:
        """Have an agent call the tool in a run of its own."""
        return await self.call("agent__ask", board=other.url, mode="auto", tool=tool, arguments=arguments)


def wall(folder: Path) -> list[str]:
    return (folder / "wall").read_text().splitlines() if (folder / "wall").exists() else []


async def poisoned(proxy: Proxy) -> str:
    """The decision of the newest reading of the bad page."""
    calls = [one for one in await proxy.trace() if one["arguments"] == {"name": "bad"}]
    return str(calls[-1]["id"])


async def revoke(proxy: Proxy, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await proxy.cli("revoke", *words, "--json"))
    return found


async def test_who_saw_it_is_paused_at_the_next_write_and_others_go_on(tmp_path: Path) -> None:
    async with board(tmp_path) as proxy:
        ana, bob = await Agent.new(proxy), await Agent.new(proxy)
        await bob.call("forum__read_page", name="good")
        await ana.call("forum__post", text="before")
        assert "Agents:" in (await ana.call("forum__read_page", name="bad"))[0]
        await ana.call("forum__post", text="after")
        page = await poisoned(proxy)
        found = await revoke(proxy, page, "--say", "a hidden sentence")
        id = found["revocation"]["id"]
        assert [(run["run"], run["how"], run["state"]) for run in found["runs"]] == [(ana.run, "saw", "running")]
        assert [(act["tool"], act["arguments"]) for act in found["clean_up"]] == [("forum__post", {"text": "after"})]

        assert "Monday" in (await ana.call("forum__read_page", name="good"))[0]
        text, decision = await ana.call("forum__post", text="more")
        assert (decision["policy"], decision["rule"]) == ("revoked", "run.paused")
        assert "it took in what forum__read_page returned, revoked at" in text
        assert "(a hidden sentence)" in text
        assert page in text
        assert await bob.call("forum__post", text="bob's") == ("posted", {})
        assert wall(tmp_path) == ["before", "after", "bob's"]

        states = {run["run"]: run for run in json.loads(await proxy.cli("status", "--json"))["runs"]}
        assert (states[ana.run]["state"], states[bob.run]["state"]) == ("paused", "running")
        assert "a hidden sentence" in states[ana.run]["why"]
        (asked,) = json.loads(await proxy.cli("inbox", "--json"))["pending"]
        assert "a hidden sentence" in asked["why"]
        assert f"revoked {id}" in await proxy.cli("trace", "show", ana.run)
        assert {one["id"]: one["revoked"] for one in await proxy.trace() if "revoked" in one} == {page: [id]}

        await proxy.cli("resume", ana.run, "--why", "looked through")
        assert await ana.call("forum__post", text="more") == ("posted", {})
        record = (await proxy.trace())[-1]
        (check,) = [one for one in record["checks"] if (one["policy"], one["on"]) == ("revoked", "call")]
        assert (check["rule"], check["facts"]["why"]) == ("revoked.known", "looked through")
        assert "looked through" in await proxy.cli("revoke", "ls")


async def test_what_an_agent_did_for_the_run_is_found_and_what_it_saw_comes_back(tmp_path: Path) -> None:
    async with board(tmp_path) as proxy:
        caller, helper = await Agent.new(proxy), await Agent.new(proxy)
        await caller.call("forum__read_page", name="bad")
        await caller.through(helper, "forum__post", text="by the helper")
        found = await revoke(proxy, await poisoned(proxy))
        assert {run["run"]: run["how"] for run in found["runs"]} == {caller.run: "saw", helper.run: "called"}
        assert [(act["run"], act["arguments"]) for act in found["clean_up"]] == [
            (helper.run, {"text": "by the helper"})
        ]
        assert (await helper.call("forum__post", text="more"))[1]["rule"] == "run.paused"

        other, reader = await Agent.new(proxy), await Agent.new(proxy)
        assert "Agents:" in (await other.through(reader, "forum__read_page", name="bad"))[0]
        found = await revoke(proxy, await poisoned(proxy))
        how = {run["run"]: run["how"] for run in found["runs"]}
        assert (how[reader.run], how[other.run]) == ("saw", "returned")
        assert (await other.call("forum__post", text="more"))[1]["rule"] == "run.paused"
        assert wall(tmp_path) == ["by the helper"]


async def test_it_is_followed_through_a_memory(tmp_path: Path) -> None:
    async with board(tmp_path) as proxy:
        ana, later, none = await Agent.new(proxy), await Agent.new(proxy), await Agent.new(proxy)
        await ana.call("forum__read_page", name="bad")
        await ana.call("forum__keep", key="plan", text="write on the wall")
        assert (await later.call("forum__recall", key="plan"))[0] == "write on the wall"
        await none.call("forum__recall", key="other")
        await later.call("forum__post", text="as planned")
        found = await revoke(proxy, await poisoned(proxy))
        assert {run["run"]: run["how"] for run in found["runs"]} == {ana.run: "saw", later.run: "read"}
        assert [act["tool"] for act in found["clean_up"]] == ["forum__keep", "forum__post"]
        (kept,) = found["memory"]
        assert (kept["keys"], len(kept["read_by"])) == (["plan", "write on the wall"], 1)
        assert await none.call("forum__post", text="mine") == ("posted", {})


async def test_a_kill_between_the_word_and_the_next_call_changes_nothing(tmp_path: Path) -> None:
    async with board(tmp_path) as proxy:
        ana = await Agent.new(proxy)
        await ana.call("forum__read_page", name="bad")
        await revoke(proxy, await poisoned(proxy))
        proxy.child.process.kill()
        await proxy.child.process.wait()
    async with board(tmp_path) as proxy:
        ana.url = proxy.base + ana.url[ana.url.index("/run/") :]
        assert (await ana.call("forum__post", text="more"))[1]["rule"] == "run.paused"
    assert wall(tmp_path) == []


@pytest.mark.parametrize("what", ["forum", "forum__read_page"])
async def test_of_a_server_later_results_are_withheld_until_it_is_lifted(what: str, tmp_path: Path) -> None:
    async with board(tmp_path) as proxy:
        ana = await Agent.new(proxy)
        await ana.call("forum__read_page", name="good")
        id = (await revoke(proxy, what, "--since", "1h", "--say", "hacked"))["revocation"]["id"]
        text, decision = await ana.call("forum__read_page", name="bad")
        assert "Agents:" not in text
        assert decision["verdict"] == "deny"
        assert "(hacked)" in text
        rule = {"forum": "revoked.upstream", "forum__read_page": "run.paused"}[what]
        assert (await ana.call("forum__post", text="x"))[1]["rule"] == rule
        assert f"{id} is lifted" in await proxy.cli("revoke", "lift", id, "--say", "it was not")
        bob = await Agent.new(proxy)
        assert "Agents:" in (await bob.call("forum__read_page", name="bad"))[0]
        assert await bob.call("forum__post", text="y") == ("posted", {})
        (listed,) = json.loads(await proxy.cli("revoke", "ls", "--json"))["revocations"]
        assert (listed["id"], listed["lifted_why"]) == (id, "it was not")
