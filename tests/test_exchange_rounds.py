"""Calls of several rounds: the upstream asks, the client calls again with the answers, and that is one logical call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.era import Era
from fuseboard.ports import Reply, Result
from support.fake_server import Asked, FakeServer, FakeTool, result, text
from support.playbook import FakeClient, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ANSWERS = {"name": {"action": "accept", "content": {"name": "Ada"}}}


def oracle(rounds: int = 1) -> FakeServer:
    """A server whose one tool asks so many times before it answers; its states are ``state-1``, ``state-2``, …"""

    async def act(asked: Asked) -> Reply:
        state = asked.value.get("requestState", "state-0")
        number = int(state.removeprefix("state-")) + 1
        if number > rounds:
            return text("done")
        requests = {"name": {"method": "elicitation/create", "params": {"message": "?"}}}
        return result({"resultType": "input_required", "requestState": f"state-{number}", "inputRequests": requests})

    return FakeServer("oracle", FakeTool("ask", act), tools={"ask": {"effect": "read"}})


async def call(client: FakeClient, state: str | None = None, answers: Any = None, **arguments: Any) -> Any:
    params: dict[str, Any] = {"name": "ask", "arguments": arguments}
    if state is not None:
        params["requestState"] = state
    if answers is not None:
        params["inputResponses"] = answers
    return await client.request("tools/call", params)


async def test_all_rounds_lead_back_to_the_first() -> None:
    async with playing(oracle(rounds=3)) as play:
        client = await play.connect(Era.STATELESS)
        said = await call(client, q=1)
        while said.get("resultType") == "input_required":
            said = await call(client, said["requestState"], ANSWERS, q=1)
        first = play.proposed[0].id
        assert [entry.continues for entry in play.proposed] == [None, first, first, first]
        assert play.truths == ["input_required"] * 3 + ["ok"]
        assert {entry.arguments_sha256 for entry in play.proposed} == {play.proposed[0].arguments_sha256}
        assert len({entry.id for entry in play.proposed}) == 4


async def test_the_state_goes_through_byte_by_byte() -> None:
    server = oracle()
    raw = b'{"resultType":"input_required", "requestState":"\\u0073-\\/1","n":1.10}'

    async def act(asked: Asked) -> Reply:
        return text("done") if "requestState" in asked.value else Result(raw)

    server.tools["ask"].act = act
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        first = await client.reply("tools/call", {"name": "ask", "arguments": {}})
        assert first.raw == raw
        meta = json.dumps({"_meta": server.calls[0].value["_meta"]}).encode()[1:]
        params = b'{"name":"ask", "arguments":{},"requestState":"\\u0073-\\/1",' + meta
        await client.reply("tools/call", params)
        assert server.calls[1].params == params
        assert play.proposed[1].continues == play.proposed[0].id


@pytest.mark.parametrize("change", ["state", "arguments", "principal", "no state"])
async def test_another_call_is_no_later_round(change: str) -> None:
    async with playing(oracle()) as play:
        ada = await play.connect(Era.STATELESS, principal="ada", transport="http")
        bob = await play.connect(Era.STATELESS, principal="bob", transport="http")
        said = await call(ada, q=1)
        state = said["requestState"]
        match change:
            case "state":
                await call(ada, "state-7", ANSWERS, q=1)
            case "arguments":
                await call(ada, state, ANSWERS, q=2)
            case "principal":
                await call(bob, state, ANSWERS, q=1)
            case "no state":
                await call(ada, None, ANSWERS, q=1)
        assert play.proposed[1].continues is None


async def test_one_question_is_a_free_pass_for_one_call() -> None:
    async with playing(oracle()) as play:
        client = await play.connect(Era.STATELESS)
        state = (await call(client))["requestState"]
        for _ in range(2):
            await call(client, state, ANSWERS)
        assert [entry.continues for entry in play.proposed] == [None, play.proposed[0].id, None]


async def test_what_the_client_answered_is_on_record_beside_the_arguments() -> None:
    async with playing(oracle()) as play:
        client = await play.connect(Era.STATELESS)
        state = (await call(client, q=1))["requestState"]
        await call(client, state, ANSWERS, q=1)
        first, second = play.proposed
        assert "answers" not in [check["policy"] for check in first.checks]
        assert second.checks[-1] == {
            "policy": "answers",
            "verdict": "allow",
            "rule": None,
            "facts": {"answers": ANSWERS},
        }
        assert second.arguments == '{"q": 1}'


async def test_an_unlisted_tool_is_seen_in_the_record() -> None:
    server = oracle()
    async with playing(server) as play:
        client = await play.connect()
        await client.call("ask")
        server.acts["tools/call"] = server.tools["ask"].act
        await client.call("hidden")
        listed, unlisted = ([c["facts"] for c in p.checks if c["policy"] == "schema"] for p in play.proposed)
        assert (listed, unlisted) == ([{}], [{"listed": False}])
