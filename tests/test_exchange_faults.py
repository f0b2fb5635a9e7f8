"""What a governed call holds on to when the world around it fails: the ledger, the deadline, the upstream."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard import errors
from fuseboard.ports import Result
from support.fake_server import Act, Asked, FakeServer, FakeTool, echoes, hangs, says, text
from support.playbook import GatedStore, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

READ = {"effect": "read"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}


def weather(act: Act = echoes, **facts: Any) -> FakeServer:
    """One server with one tool, which only reads unless told otherwise."""
    facts = {"tools": {"forecast": READ}, "trust": "trusted", **facts}
    return FakeServer("weather", FakeTool("forecast", act, inputSchema=CITY), **facts)


# The ledger comes first.


async def test_nothing_is_sent_before_the_record_of_a_call_with_effects_is_on_the_disk() -> None:
    store = GatedStore()
    async with playing(weather(tools={"forecast": {"effect": "write"}}), store=store) as play:
        client = await play.connect()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.call("forecast", city="Ulm"))
            await store.waiting.wait()
            await anyio.sleep(60)
            assert play.server("weather").calls == []
            store.disk.set()
        assert len(play.server("weather").calls) == 1


async def test_a_call_that_only_reads_waits_for_no_disk() -> None:
    async with playing(weather(), store=GatedStore()) as play:
        client = await play.connect()
        await client.call("forecast", city="Ulm")
        assert play.truths == ["ok"]


async def test_without_a_ledger_a_call_with_effects_is_refused_and_one_that_reads_goes_on() -> None:
    store = GatedStore()
    both = FakeServer("s", FakeTool("look"), FakeTool("wipe"), tools={"look": READ}, trust="trusted")
    async with playing(both, store=store) as play:
        client = await play.connect()
        store.down = True
        with pytest.raises(RpcError) as refused:
            await client.call("wipe")
        assert refused.value.code == errors.LEDGER_UNAVAILABLE
        assert "wipe was not called" in refused.value.message
        await client.call("look")
        assert [call.value["name"] for call in play.server("s").calls] == ["look"]


async def test_the_upstreams_hint_tightens_and_never_loosens() -> None:
    store = GatedStore()
    liar = FakeServer("s", FakeTool("wipe", annotations={"readOnlyHint": True}), trust="untrusted")
    async with playing(liar, store=store) as play:
        client = await play.connect()
        store.down = True
        with pytest.raises(RpcError):
            await client.call("wipe")
        assert play.server("s").calls == []


# Calls that do not end well.


async def test_the_deadline_gives_a_clear_error_and_cancels_upstream() -> None:
    async with playing(weather(hangs, timeout="20s")) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as late:
            await client.call("forecast", city="Ulm")
        assert late.value.code == errors.UPSTREAM_TIMEOUT
        assert "within 20 s" in late.value.message
        assert play.server("weather").cancelled == ["tools/call"]
        assert play.truths == ["timeout"]
        assert play.concluded[0].duration_ms == pytest.approx(20_000)


async def test_the_deadline_of_the_tool_goes_before_that_of_its_server() -> None:
    facts = {"timeout": "20s", "tools": {"forecast": {"effect": "read", "timeout": "5s"}}}
    async with playing(weather(hangs, **facts)) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="within 5 s"):
            await client.call("forecast", city="Ulm")


async def test_a_client_that_gives_up_cancels_upstream_and_the_record_says_so() -> None:
    async with playing(weather(hangs)) as play:
        client = await play.connect()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.call("forecast", city="Ulm"))
            await play.server("weather").reached("tools/call")
            tasks.cancel_scope.cancel()
        assert play.server("weather").cancelled == ["tools/call"]
        assert play.truths == ["cancelled"]


async def crashing(play: Play, code: int) -> None:
    client = await play.connect()
    server = play.server("weather")
    async with anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(RpcError) as lost:
                await client.call("forecast", city="Ulm")
            assert lost.value.code == code
            assert "exit code 3" in lost.value.message

        tasks.start_soon(call)
        await server.reached("tools/call")
        server.crash()
    assert play.truths == ["lost"]
    server.tools["forecast"].act = says("back again")
    assert await client.call("forecast", city="Ulm") == json.loads(text("back again").raw)
    assert len(server.links) == 2


async def test_a_crash_in_the_middle_of_a_call_is_a_clear_error_and_the_next_call_finds_a_new_link() -> None:
    async with playing(weather(hangs)) as play:
        await crashing(play, errors.UPSTREAM_LOST)


async def test_an_upstream_that_has_gone_for_good_is_an_outage_and_is_not_tried_at_every_call() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        server = play.server("weather")
        server.crash()
        server.down = "is not there"
        for _ in range(2):
            with pytest.raises(RpcError, match="is not there") as gone:
                await client.call("forecast", city="Ulm")
            assert gone.value.code == errors.UPSTREAM_UNREACHABLE
        assert play.truths == ["outage", "outage"]
        server.down = None
        await anyio.sleep(60)
        await client.call("forecast", city="Ulm")


# Stale schemas.


async def test_a_refusal_rests_on_a_fresh_listing() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        await client.call("forecast", city="Ulm")
        server = play.server("weather")
        server.tools["forecast"].definition["inputSchema"] = {"type": "object"}
        await anyio.sleep(120)
        assert "isError" not in await client.call("forecast", town="Ulm")
        assert server.methods.count("tools/list") == 2


async def test_a_refusal_that_the_fresh_listing_confirms_costs_one_listing_and_no_more() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        await client.call("forecast", city="Ulm")
        await anyio.sleep(120)
        for _ in range(5):
            await client.refusal("forecast", town="Ulm")
        assert play.server("weather").methods.count("tools/list") == 2


async def test_a_change_notice_makes_the_next_call_list_again() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        await client.call("forecast", city="Ulm")
        server = play.server("weather")
        server.tools["forecast"].definition["inputSchema"] = {"type": "object", "required": ["town"]}
        server.links[0].tell("notifications/tools/list_changed")
        _, decision = await client.refusal("forecast", city="Ulm")
        assert decision["rule"] == "schema.arguments"
        assert "notifications/tools/list_changed" in [method for method, _ in client.heard.noticed]


async def test_calls_that_wait_for_the_first_listing_share_it() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        listing = anyio.Event()

        async def slow(asked: Asked) -> Any:
            await listing.wait()
            return Result(b'{"tools":[]}')

        play.server("weather").acts["tools/list"] = slow
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(lambda: client.call("forecast", city="Ulm"))
            await play.server("weather").reached("tools/list")
            listing.set()
        assert play.server("weather").methods.count("tools/list") == 1
        assert len(play.server("weather").calls) == 5


@pytest.mark.parametrize("facts", [{"idempotent": True}, {}])
async def test_what_the_operator_calls_idempotent_is_sent_once_more_where_its_fate_is_unknown(facts: Any) -> None:
    hint = {"idempotentHint": True}  # the upstream's word, which counts for nothing here
    tool = FakeTool("work", dies_once(), annotations=hint)
    async with playing(FakeServer("u", tool, tools={"work": facts})) as play:
        client = await play.connect()
        if facts:
            assert (await client.call("work"))["content"][0]["text"] == "after all"
        else:
            with pytest.raises(RpcError, match="lost"):
                await client.call("work")
        assert len(play.server("u").calls) == (2 if facts else 1)
        assert play.truths == (["ok"] if facts else ["lost"])


def dies_once() -> Act:
    times = 0

    async def act(asked: Asked) -> Any:
        nonlocal times
        times += 1
        if times == 1:
            raise errors.UpstreamLost("u", "the connection was lost")
        return text("after all")

    return act
