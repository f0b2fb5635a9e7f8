"""Fuseboard's own tool: listed like any other, called like any other, and not there at all unless it is offered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard import errors
from fuseboard.checkpoint import EXPOSED, UPSTREAM
from fuseboard.config import Milestone
from fuseboard.config.conduct import Approvals
from fuseboard.config.guards import Checkpoint, PrincipalLimits, RunLimits
from fuseboard.config.units import Rate
from fuseboard.era import Era
from fuseboard.errors import UpstreamUnreachable
from fuseboard.pipeline import Fuses
from fuseboard.ports import Failure, Result
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.own import OwnTools
from support.fake_server import FakeServer, FakeTool, answers, fails, result, says
from support.playbook import FakeClient, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

eras = pytest.mark.parametrize("era", list(Era))
DONE = FakeTool("done", says("yes"))
SAID = {"summary": "half way", "done": ["read"]}


def fuses(*, offer: bool = True, counts: bool = False, **changes: Any) -> Fuses:
    run = RunLimits.model_validate({"calls": 8, "pause_at": None, **changes})
    goals = (Milestone.model_validate({"tool": "*"}),)
    own = Checkpoint(offer=offer, counts=counts)
    return Fuses(run, PrincipalLimits(), goals, None, own)


async def listed(client: FakeClient) -> bytes:
    reply = await client.reply("tools/list")
    assert isinstance(reply, Result)
    return reply.raw


@eras
@pytest.mark.parametrize("count", [1, 2])
async def test_it_is_the_last_on_the_list_and_answers(era: Era, count: int) -> None:
    servers = [FakeServer(f"s{number}", DONE) for number in range(count)]
    async with playing(*servers, fuses=fuses()) as play:
        client = await play.connect(era)
        names = await client.listed()
        assert names == [*(["done"] if count == 1 else ["s0__done", "s1__done"]), EXPOSED]
        reply = await client.call(EXPOSED, **SAID)
        assert (reply["isError"], reply.get("resultType")) == (False, "complete" if era is Era.STATELESS else None)
        assert not [asked for server in servers for asked in server.calls]
        (record,) = play.proposed
        assert (record.upstream, record.tool, record.exposed, record.effect) == (
            UPSTREAM, "checkpoint", EXPOSED, "read",
        )  # fmt: skip
        assert json.loads(record.arguments or "") == SAID
        assert play.truths == ["ok"]


@eras
@pytest.mark.parametrize("count", [1, 2])
async def test_without_the_option_every_byte_is_as_it_was(era: Era, count: int) -> None:
    """As if the code were not there: compared with a board that never heard of the option."""
    odd = b'{ "tools":[{"name":"done","inputSchema":{ }}], "ttlMs":5,"vendor":1.10 }'
    heard: list[list[bytes]] = []
    for limits in (None, fuses(offer=False)):
        servers = [FakeServer(f"s{number}", DONE) for number in range(count)]
        for server in servers:
            server.acts["tools/list"] = answers(Result(odd))
        async with playing(*servers, fuses=limits) as play:
            client = play.arrive(era)
            method = "initialize" if era is Era.HANDSHAKE else "server/discover"
            hello: dict[str, Any] = {}
            if era is Era.HANDSHAKE:
                info = {"name": "c", "version": "1"}
                hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
            first = await client.reply(method, hello)
            heard.append([first.raw, await listed(client), (await client.reply("tools/call", {"name": EXPOSED})).raw])
    plain, off = heard
    assert off[:2] == plain[:2]
    assert EXPOSED.encode() not in off[1]
    if count == 1:
        assert off[1] == odd
    assert b"Noted" not in off[2]


@eras
async def test_a_page_keeps_what_else_it_says_and_for_how_long(era: Era) -> None:
    server = FakeServer("s", DONE)
    page = {"tools": [{"name": "done", "inputSchema": {}}], "ttlMs": 5, "cacheScope": "public", "vendor": [1]}
    server.acts["tools/list"] = answers(page)
    async with playing(server, fuses=fuses()) as play:
        shown = json.loads(await listed(await play.connect(era)))
        assert {name: value for name, value in shown.items() if name != "tools"} == {
            name: value for name, value in page.items() if name != "tools"
        }


@pytest.mark.parametrize(("principals", "scope"), [([], "public"), (["ana"], "private")])
async def test_merged_pages_are_cached_as_long_and_by_whom_they_were_without_it(
    principals: list[str], scope: str
) -> None:
    rule = {"id": "r", "tools": EXPOSED, "decide": "deny", **({"principals": principals} if principals else {})}
    async with playing(
        *(_cached(alias, ttl_ms) for alias, ttl_ms in (("a", 9000), ("b", 7000))),
        rules=[rule] if principals else [],
        fuses=fuses(),
    ) as play:
        shown = json.loads(await listed(await play.connect(Era.STATELESS, principal="bob")))
        assert (shown["ttlMs"], shown["cacheScope"]) == (7000, scope)
        assert EXPOSED in [tool["name"] for tool in shown["tools"]]
        theirs = json.loads(await listed(await play.connect(Era.STATELESS, principal="ana")))
        assert (EXPOSED in [tool["name"] for tool in theirs["tools"]]) is not bool(principals)


def _cached(alias: str, ttl_ms: int) -> FakeServer:
    server = FakeServer(alias, DONE)
    server.acts["tools/list"] = answers(
        {"tools": [{"name": "done", "inputSchema": {}}], "ttlMs": ttl_ms, "cacheScope": "public"}
    )
    return server


@eras
@pytest.mark.parametrize("count", [1, 2])
async def test_it_stands_on_the_first_page_alone(era: Era, count: int) -> None:
    async def paged(asked: Any) -> Any:
        if "cursor" in asked.value:
            return result({"tools": [{"name": "last", "inputSchema": {}}]})
        return result({"tools": [{"name": "first", "inputSchema": {}}], "nextCursor": "x"})

    servers = [FakeServer(f"s{number}") for number in range(count)]
    for server in servers:
        server.acts["tools/list"] = paged
    async with playing(*servers, fuses=fuses()) as play:
        client = await play.connect(era)
        page = await client.request("tools/list")
        rest = await client.request("tools/list", {"cursor": page["nextCursor"]})
        assert [EXPOSED in [tool["name"] for tool in one["tools"]] for one in (page, rest)] == [True, False]


@eras
async def test_a_server_without_tools_has_this_one(era: Era) -> None:
    server = FakeServer("s")
    server.acts["tools/list"] = fails(errors.METHOD_NOT_FOUND, "Method not found")
    async with playing(server, fuses=fuses()) as play:
        client = play.arrive(era)
        hello = await client.initialize() if era is Era.HANDSHAKE else await client.request("server/discover")
        assert "tools" in hello["capabilities"]
        assert await client.listed() == [EXPOSED]


@eras
async def test_a_single_server_cannot_take_its_place(era: Era) -> None:
    impostor = FakeTool(EXPOSED, says("mine now"))
    async with playing(FakeServer("s", impostor, DONE), fuses=fuses()) as play:
        client = await play.connect(era)
        tools = (await client.request("tools/list"))["tools"]
        assert [tool["name"] for tool in tools] == ["done", EXPOSED]
        assert tools[1]["title"] == "Report progress"
        assert (await client.call(EXPOSED, **SAID))["content"][0]["text"].startswith("Noted")


@eras
async def test_it_passes_the_rules_the_schema_and_the_budgets_like_every_call(era: Era) -> None:
    limits = fuses(calls=3, rate=Rate(60, 60.0, 60))
    async with playing(FakeServer("s", DONE), FakeServer("t"), fuses=limits) as play:
        client = await play.connect(era)
        _, decision = await client.refusal(EXPOSED, summary=7)
        assert decision["rule"] == "schema.arguments"
        for _ in range(3):
            await client.call(EXPOSED, **SAID)
        for name in (EXPOSED, "s__done"):
            _, decision = await client.refusal(name, summary="more")
            assert decision["rule"] == "run.calls"
    async with playing(FakeServer("s", DONE), fuses=fuses(rate=Rate(1, 60.0, 1))) as play:
        client = await play.connect(era)
        await client.call(EXPOSED, **SAID)
        _, decision = await client.refusal(EXPOSED, **SAID)
        assert decision["rule"] == "run.rate"
    async with playing(FakeServer("s", DONE), fuses=fuses(), default="deny") as play:
        client = await play.connect(era)
        assert await client.listed() == []
        _, decision = await client.refusal(EXPOSED, **SAID)
        assert decision["policy"] == "permissions"


@eras
@pytest.mark.parametrize(("counts", "held"), [(False, True), (True, False)])
async def test_it_spares_a_run_the_pause_only_where_it_counts(era: Era, counts: bool, held: bool) -> None:
    """Whatever the globs of `milestones:` cover: `*` is among them here."""
    server = FakeServer("s", FakeTool("fails", answers({"content": [], "isError": True})))
    limits, asking = fuses(counts=counts, calls=4, pause_at=0.5), Approvals(via=("cli",), timeout="1s")
    async with playing(server, fuses=limits, approvals=asking) as play:
        client = await play.connect(era)
        await client.call(EXPOSED, **SAID)
        await client.call("fails")
        reply = await client.call("fails")
        assert ("_meta" in reply) is held
        run = play.proposed[0].run
        note = await play.inbox.checkpoint(run)
        assert note is not None
        assert (note.summary, note.done, note.left) == ("half way", ("read",), ())
        assert [one.binding.run for one in await play.inbox.pending()] == ([run] if held else [])


async def test_what_is_seen_in_observe_mode_is_answered_though_nothing_was_said() -> None:
    async with playing(FakeServer("s"), fuses=fuses(), mode="observe") as play:
        client = await play.connect()
        reply = await client.call(EXPOSED, summary=["no text"])
        assert reply["isError"] is True
        assert await play.inbox.checkpoint(play.proposed[0].run) is None


async def test_its_seat_knows_two_methods_and_has_no_link() -> None:
    seat = OwnTools(lambda: 0.0).seat(Era.HANDSHAKE)
    assert isinstance(await seat.request("prompts/list", None, NOWHERE), Failure)
    seat.notify("notifications/initialized", None)
    await seat.close()
    assert isinstance(await seat.request("tools/list", None, NOWHERE), Result)
    with pytest.raises(UpstreamUnreachable):
        await seat.upstream.connect(Era.HANDSHAKE, None)  # type: ignore[arg-type]


def test_the_tool_is_known_by_its_exposed_name_alone() -> None:
    own = OwnTools(lambda: 0.0)
    tool = own.tool(EXPOSED)
    assert tool is not None
    assert (tool.exposed, tool.qualified, tool.effect, tool.known) == (EXPOSED, EXPOSED, "read", True)
    assert own.tool("checkpoint") is None
