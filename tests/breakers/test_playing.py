"""Many callers at once on a tool that fails, through the whole proxy: how many of them reach it."""

from __future__ import annotations

import anyio

from fuseboard.config.guards import Breaker, Health, PrincipalLimits, RunLimits
from fuseboard.pipeline import Fuses
from fuseboard.ports import Reply
from support.fake_server import Asked, FakeServer, FakeTool, fails, says
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend  # noqa: F401

UNLIMITED = RunLimits(
    calls=None, time_s=None, output_bytes=None, tokens=None, depth=None, parallel=None, rate=None, pause_at=None
)
MANY = 50


def fuses(breaker: Breaker, run: RunLimits = UNLIMITED) -> Fuses:
    return Fuses(run, PrincipalLimits(calls=None), breaker=breaker)


async def all_at_once(clients: list[FakeClient], each: int) -> list[bool]:
    """Every client calls so often at once; whether each of the calls was refused by a breaker."""
    refused: list[bool] = []

    async def call(client: FakeClient) -> None:
        result = await client.reply("tools/call", {"name": "get", "arguments": {}})
        refused.append(b"breaker" in result.raw)

    async with anyio.create_task_group() as tasks:
        for client in clients:
            for _ in range(each):
                tasks.start_soon(call, client)
    return refused


def reached(play: Play) -> int:
    return len(play.server("up").calls)


async def slowly_fails(asked: Asked) -> Reply:
    await anyio.sleep(1)
    return await fails(-32603, "internal error")(asked)


async def test_with_two_strikes_one_of_fifty_gets_through() -> None:
    lone = Breaker(health=None)
    async with playing(FakeServer("up", FakeTool("get", slowly_fails)), fuses=fuses(lone)) as play:
        client = await play.connect()
        for _ in range(2):
            await client.reply("tools/call", {"name": "get", "arguments": {}})
        before = reached(play)
        refused = await all_at_once([client], MANY)
        assert reached(play) - before == 1
        assert refused.count(True) == MANY - 1
        await all_at_once([client], MANY)
        assert reached(play) - before == 1


async def test_of_a_first_burst_all_that_may_be_under_way_reach_it_and_then_nobody() -> None:
    lone = Breaker(health=None)
    run = UNLIMITED.model_copy(update={"parallel": 8})
    async with playing(FakeServer("up", FakeTool("get", slowly_fails)), fuses=fuses(lone, run)) as play:
        client = await play.connect()
        for _ in range(5):
            await all_at_once([client], MANY)
        assert reached(play) == 8


async def test_of_fifty_runs_as_many_reach_it_as_may_be_there_at_once_and_then_nobody() -> None:
    server = FakeServer("up", FakeTool("get", slowly_fails), parallel=16)
    async with playing(server, fuses=fuses(Breaker())) as play:
        clients = [await play.connect(principal=f"p{n}", transport="http") for n in range(MANY)]
        for _ in range(5):
            await all_at_once(clients, 1)
        assert reached(play) == 16


async def test_of_fifty_runs_at_half_open_one_probes_at_a_time_until_it_is_closed() -> None:
    tool = FakeTool("get", slowly_fails)
    settings = Breaker(strikes=None, health=Health(jitter=0.0))
    async with playing(FakeServer("up", tool), fuses=fuses(settings)) as play:
        clients = [await play.connect(principal=f"p{n}", transport="http") for n in range(MANY)]
        await all_at_once(clients[:5], 1)
        before = reached(play)
        tool.act = says("well again")
        await anyio.sleep(30)
        tool.act = slowly_fails
        await all_at_once(clients, 1)
        assert reached(play) - before == 1  # it failed: twice as long
        await anyio.sleep(58)
        await all_at_once(clients, 1)
        assert reached(play) - before == 1
        await anyio.sleep(2)
        tool.act = says("well again")
        await all_at_once(clients[:1], 1)
        await all_at_once(clients[:1], 1)
        refused = await all_at_once(clients, 1)
        assert not any(refused)


async def test_one_agents_bad_arguments_close_the_tool_to_nobody_else() -> None:
    tool = FakeTool("get", fails(-32602, "no such city"))
    async with playing(FakeServer("up", tool), fuses=fuses(Breaker())) as play:
        bad = await play.connect(principal="bad", transport="http")
        other = await play.connect(principal="other", transport="http")
        for _ in range(20):
            await bad.reply("tools/call", {"name": "get", "arguments": {}})
        text, decision = await bad.refusal("get")
        assert decision["rule"] == "run.breaker"
        tool.act = says("sun")
        assert (await other.call("get"))["content"][0]["text"] == "sun"
        assert "bad arguments" in text


async def test_the_ledger_says_which_calls_tripped_it() -> None:
    async with playing(FakeServer("up", FakeTool("get", fails(-32603, "broken"))), fuses=fuses(Breaker())) as play:
        client = await play.connect()
        for _ in range(4):
            await client.reply("tools/call", {"name": "get", "arguments": {}})
        ids = [entry.id for entry in play.proposed]
        (check,) = [one for one in play.concluded[2].checks if one["policy"] == "breaker"]
        assert check["rule"] == "breaker.open"
        assert [strike["decision"] for strike in check["facts"]["run"]["strikes"]] == ids[:3]
        (check,) = [one for one in play.proposed[3].checks if one["policy"] == "breaker"]
        assert check["verdict"] == "deny"
        assert [strike["truth"] for strike in check["facts"]["strikes"]] == ["error"] * 3
