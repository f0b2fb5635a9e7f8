"""A client hears of a changed list when what it is shown has changed, once, and not otherwise."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.sessions.changes import LONGEST_WINDOW_S
from support.fake_server import Asked, FakeServer, FakeTool, echoes, fails, text
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"
RESOURCES = "notifications/resources/list_changed"
HANDSHAKE = [Era.HANDSHAKE]
HIDES = [{"id": "hides", "tools": "*__secret*", "decide": "deny"}]


def heard(client: FakeClient) -> list[str]:
    return [method for method, _ in client.heard.noticed]


def two() -> tuple[FakeServer, FakeServer]:
    servers = FakeServer("one", FakeTool("look"), eras=HANDSHAKE), FakeServer("two", FakeTool("look"), eras=HANDSHAKE)
    for server in servers:
        server.prompts, server.resources, server.templates = ["greet"], [f"{server.alias}://a"], []
    return servers


def offers(server: FakeServer, *names: str) -> None:
    server.tools = {name: FakeTool(name) for name in names}


async def settled() -> None:
    await anyio.sleep(10 * LONGEST_WINDOW_S)


async def test_a_notice_that_changes_nothing_is_not_passed_on() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        one.links[0].tell(TOOLS)
        await settled()
        assert heard(client) == []


async def test_a_list_that_changed_is_told_of_once_and_barely() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        offers(one, "look", "listen")
        one.links[0].tell(TOOLS, {"_meta": {"x": 1}})
        await settled()
        assert client.heard.noticed == [(TOOLS, None)]
        assert await client.listed() == ["one__look", "one__listen", "two__look"]
        one.links[0].tell(TOOLS)
        await settled()
        assert len(client.heard.noticed) == 1


async def test_a_tool_that_is_hidden_comes_and_goes_unheard() -> None:
    server = FakeServer("one", FakeTool("look"), FakeTool("secret"), eras=HANDSHAKE)
    async with playing(server, rules=HIDES) as play:
        client = await play.connect()
        assert await client.listed() == ["look"]
        offers(server, "look", "secret", "secret2")
        server.links[0].tell(TOOLS)
        await settled()
        assert heard(client) == []
        offers(server, "look", "secret", "listen")
        server.links[0].tell(TOOLS)
        await settled()
        assert heard(client) == [TOOLS]


async def test_each_client_hears_of_what_it_may_see() -> None:
    rules = [{"id": "r", "tools": "*__wipe", "principals": "guest", "decide": "deny"}]
    servers = FakeServer("one", FakeTool("look"), eras=HANDSHAKE), FakeServer("two", eras=HANDSHAKE)
    async with playing(*servers, rules=rules) as play:
        guest, ops = await play.connect(principal="guest"), await play.connect(principal="ops")
        for client in (guest, ops):
            await client.listed()
        offers(servers[0], "look", "wipe")
        for link in servers[0].links:
            link.tell(TOOLS)
        await settled()
        assert (heard(guest), heard(ops)) == ([], [TOOLS])


async def test_notices_of_one_server_that_hides_nothing_go_on_as_they_come() -> None:
    server = FakeServer("one", FakeTool("look"), eras=HANDSHAKE)
    async with playing(server) as play:
        client = await play.connect()
        await client.listed()
        lists = server.methods.count("tools/list")
        for _ in range(3):
            server.links[0].tell(TOOLS, {"_meta": {"x": 1}})
        assert client.heard.noticed == 3 * [(TOOLS, {"_meta": {"x": 1}})]
        await settled()
        assert server.methods.count("tools/list") == lists


async def test_what_comes_while_a_call_is_under_way_is_looked_at_too() -> None:
    one, other = two()

    async def tells(asked: Asked) -> Any:
        one.links[0].tell(TOOLS)
        return text("done")

    one.tools["look"] = FakeTool("look", tells)
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        await client.call("one__look")
        await settled()
        assert heard(client) == []


async def test_a_storm_of_notices_costs_few_lists_and_brings_one_notice() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        before = one.methods.count("tools/list")
        offers(one, "listen")
        for _ in range(1_000):
            one.links[0].tell(TOOLS)
        await settled()
        assert heard(client) == [TOOLS]
        assert one.methods.count("tools/list") - before == 1


async def test_a_storm_that_goes_on_is_looked_at_ever_more_seldom() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        before = one.methods.count("tools/list")
        for _ in range(6_000):
            one.links[0].tell(TOOLS)
            await anyio.sleep(0.01)
        assert one.methods.count("tools/list") - before < 25


async def test_changes_of_several_servers_are_one_notice() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        for server in (one, other):
            offers(server, "listen")
            server.links[0].tell(TOOLS)
        await settled()
        assert heard(client) == [TOOLS]


@pytest.mark.parametrize("fault", [fails(-32603, "no"), fails(-32601, "Method not found")], ids=["fails", "is gone"])
async def test_a_list_that_cannot_be_had_any_more_is_told_of(fault: Any) -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        one.acts["tools/list"] = fault
        one.links[0].tell(TOOLS)
        await settled()
        assert heard(client) == [TOOLS]


async def test_a_list_that_was_never_asked_for_is_told_of_without_a_look() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        for _ in range(100):
            one.links[0].tell(PROMPTS)
        await settled()
        assert heard(client) == [PROMPTS]
        assert "prompts/list" not in one.methods


async def test_a_list_of_which_only_the_first_page_was_seen_is_told_of() -> None:
    one, other = two()
    offers(one, "a", "b", "c")
    one.page_size = 1
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        for _ in range(2):
            one.links[0].tell(TOOLS)
            await settled()
        assert heard(client) == [TOOLS]  # after that it is known what it could have seen


@pytest.mark.parametrize("what", ["resources", "templates"])
async def test_one_notice_stands_for_resources_and_templates(what: str) -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed("resources", "uri")
        await client.listed("resources/templates", "uriTemplate")
        one.links[0].tell(RESOURCES)
        await settled()
        assert heard(client) == []
        setattr(one, what, ["one://b"])
        one.links[0].tell(RESOURCES)
        await settled()
        assert heard(client) == [RESOURCES]


async def late(play: Play, one: FakeServer, *lists: str) -> list[str]:
    """What a client hears that has listed these, when a server comes up that has tools and nothing else."""
    client = await play.connect()
    for kind in lists:
        await client.request(f"{kind}/list")
    one.down = None
    await anyio.sleep(600)
    return heard(client)


async def test_one_that_comes_up_late_is_heard_of_for_what_it_has() -> None:
    one, other = two()
    one.prompts, one.resources = [], []
    one.down = "is not there"
    async with playing(one, other) as play:
        assert await late(play, one, "tools", "prompts", "resources", "resources/templates") == [TOOLS]


async def test_a_session_that_has_ended_asks_nobody_any_more() -> None:
    one, other = two()
    async with playing(one, other) as play:
        client = await play.connect()
        await client.listed()
        lists = one.methods.count("tools/list")
        one.links[0].tell(TOOLS)
        await client.session.close()
        await settled()
        assert one.methods.count("tools/list") == lists
        assert heard(client) == []


async def test_other_notices_and_questions_pass_as_they_are() -> None:
    one, other = two()
    one.tools["look"] = FakeTool("look", echoes)
    async with playing(one, other) as play:
        client = await play.connect()
        one.links[0].tell("notifications/message", {"level": "info", "data": 1})
        assert client.heard.noticed == [("notifications/message", {"level": "info", "data": 1})]
        assert (await one.links[0].ask("elicitation/create", {"message": "?"})) == client.answer


async def test_a_common_server_s_change_is_one_list_for_all_its_clients() -> None:
    one, other = two()
    one = FakeServer("one", FakeTool("look"), eras=HANDSHAKE, share="all")
    async with playing(one, other) as play:
        clients = [await play.connect() for _ in range(20)]
        for client in clients:
            await client.listed()
        before = one.methods.count("tools/list")
        offers(one, "listen")
        one.links[0].tell(TOOLS)
        await settled()
        assert [heard(client) for client in clients] == 20 * [[TOOLS]]
        assert one.methods.count("tools/list") - before == 1
