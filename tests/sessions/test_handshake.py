"""Sessions of the handshake era: the opening, what belongs to a session alone, and both ways of speaking."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard import errors
from fuseboard.era import Era
from fuseboard.ports import Failure, Reply, Result
from support.fake_server import Asked, FakeServer, FakeTool, answers, hangs, result, says, text
from support.playbook import RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "c", "version": "1"}}
LEGACY = [Era.HANDSHAKE]
MODERN = [Era.STATELESS]


# The opening.


async def test_the_introductions_go_through_byte_for_byte_in_both_directions() -> None:
    server = FakeServer("one")
    introduction = Result(b'{"protocolVersion":"2025-06-18", "capabilities":{"acme":1.10},"x":1E2}')
    server.acts["initialize"] = answers(introduction)
    async with playing(server) as play:
        client = play.arrive()
        hello = b'{"protocolVersion":"2025-06-18","capabilities":{"experimental":{"a":1.10}}, "x-v":1E2}'
        assert await client.reply("initialize", hello) == introduction
        assert server.asked[0].params == hello


async def test_initialized_reaches_the_server_before_what_is_asked_next() -> None:
    server = FakeServer("one", FakeTool("look"))
    order: list[str] = []

    async def lists(asked: Asked) -> Reply:
        order.extend(method for method, _ in server.notified)
        return result({"tools": []})

    server.acts["tools/list"] = lists
    async with playing(server) as play:
        client = await play.connect()
        await client.listed()
    assert order == ["notifications/initialized"]


@pytest.mark.parametrize("method", ["tools/list", "tools/call", "resources/read", "completion/complete", "acme/x"])
async def test_what_comes_before_initialize_is_refused(method: str) -> None:
    async with playing(FakeServer("one")) as play:
        with pytest.raises(RpcError, match="came before initialize") as refused:
            await play.arrive().request(method, {"name": "look", "uri": "x"})
        assert refused.value.code == errors.INVALID_REQUEST


async def test_initialize_comes_once() -> None:
    async with playing(FakeServer("one")) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="second time"):
            await client.initialize()


async def test_a_client_may_shake_hands_again_after_an_outage() -> None:
    server = FakeServer("one")
    server.down = "is not there"
    async with playing(server) as play:
        client = play.arrive()
        with pytest.raises(RpcError, match="one is not there") as down:
            await client.initialize()
        assert down.value.code == errors.UPSTREAM_UNREACHABLE
        server.down = None
        await anyio.sleep(60)
        await client.initialize()


async def test_a_refused_handshake_is_the_servers_own_error_as_it_came() -> None:
    refusal = Failure(b'{"code":7001,"message":"no credit","data":{"x":1.10}}')
    server = FakeServer("one", eras=LEGACY)
    server.acts["initialize"] = answers(refusal)
    async with playing(server) as play:
        assert await play.arrive().reply("initialize", HELLO) == refusal


async def test_a_server_that_never_answers_initialize_is_given_up() -> None:
    server = FakeServer("one")
    server.acts["initialize"] = hangs
    async with playing(server) as play:
        with pytest.raises(RpcError, match="did not answer initialize"):
            await play.arrive().initialize()
        assert server.links[0].closed


async def test_a_probe_of_the_other_era_is_not_found_and_leaves_the_session_as_it_was() -> None:
    async with playing(FakeServer("one")) as play:
        client = play.arrive()
        with pytest.raises(RpcError) as refused:
            await client.request("server/discover")
        assert refused.value.code == errors.METHOD_NOT_FOUND
        await client.initialize()


async def test_a_ping_is_answered_here() -> None:
    server = FakeServer("one")
    async with playing(server) as play:
        assert await play.arrive().request("ping") == {}
        assert server.asked == []


# What hangs on a session.


async def test_every_session_has_a_link_of_its_own_which_ends_with_it() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with playing(server) as play:
        first, second = await play.connect(), await play.connect()
        assert len(server.links) == 2
        await first.session.close()
        assert [link.closed for link in server.links] == [True, False]
        assert "isError" not in await second.call("look")


async def test_a_link_that_is_opened_anew_is_the_same_clients() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with playing(server) as play:
        client = await play.connect()
        await client.listed()
        server.crash()
        await client.call("look")
        hellos = [asked.params for asked in server.asked if asked.method == "initialize"]
        assert len(hellos) == 2
        assert hellos[0] == hellos[1]
        assert [method for method, _ in server.notified].count("notifications/initialized") == 2


async def test_what_the_server_asks_in_the_middle_of_a_call_is_asked_on_that_call() -> None:
    server = FakeServer("one")

    async def greets(asked: Asked) -> Reply:
        reply = await server.links[0].ask("elicitation/create", {"message": "Who?"})
        return text(json.loads(reply.raw)["content"]["name"])

    server.tools["greet"] = FakeTool("greet", greets)
    async with playing(server) as play:
        client = await play.connect()
        assert (await client.call("greet"))["content"][0]["text"] == "Ada"
        assert client.scopes[-1].asked == [("elicitation/create", {"message": "Who?"})]
        assert client.heard.asked == []


async def test_what_the_server_asks_outside_any_call_reaches_the_client_too() -> None:
    server = FakeServer("one")
    async with playing(server) as play:
        client = await play.connect()
        reply = await server.links[0].ask("roots/list")
        assert json.loads(reply.raw)["action"] == "accept"
        assert client.heard.asked == [("roots/list", None)]


async def test_what_the_server_says_goes_to_the_call_that_is_under_way_and_else_to_the_session() -> None:
    server = FakeServer("one")

    async def chatty(asked: Asked) -> Reply:
        server.links[0].tell("notifications/message", {"data": "during"})
        return text("done")

    server.tools["chat"] = FakeTool("chat", chatty)
    async with playing(server) as play:
        client = await play.connect()
        await client.call("chat")
        assert client.scopes[-1].noticed == [("notifications/message", {"data": "during"})]
        server.links[0].tell("notifications/resources/updated", {"uri": "x"})
        assert client.heard.noticed[-1] == ("notifications/resources/updated", {"uri": "x"})


async def test_progress_goes_to_the_call_that_asked_for_it_and_not_after_its_answer() -> None:
    server = FakeServer("one")

    async def works(asked: Asked) -> Reply:
        server.links[0].tell("notifications/progress", {"progressToken": asked.value["_meta"]["progressToken"]})
        return text("done")

    server.tools["work"] = FakeTool("work", works)
    async with playing(server) as play:
        client = await play.connect()
        await client.request("tools/call", {"name": "work", "_meta": {"progressToken": "p-1"}})
        assert client.scopes[-1].noticed == [("notifications/progress", {"progressToken": "p-1"})]
        server.links[0].tell("notifications/progress", {"progressToken": "p-1"})
        assert len(client.heard.noticed) == 1


async def test_what_the_client_says_reaches_its_server() -> None:
    server = FakeServer("one")
    async with playing(server) as play:
        client = await play.connect()
        client.session.notified("acme/shrug", b'{"x":1}')
        await client.listed()
        assert server.notified[-1] == ("acme/shrug", {"x": 1})


# A server that speaks the other era alone.


async def test_a_modern_server_is_introduced_by_what_it_says_in_its_own_era() -> None:
    server = FakeServer("one", FakeTool("look", says("seen")), eras=MODERN)
    server.instructions = "Look first."
    async with playing(server) as play:
        client = play.arrive()
        introduction = await client.initialize("2025-06-18")
        assert introduction == {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "one", "version": "1"},
            "instructions": "Look first.",
        }
        assert await client.request("tools/list") == {"tools": [server.tools["look"].definition]}
        assert (await client.call("look")) == {"content": [{"type": "text", "text": "seen"}]}
        meta = server.calls[0].value["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "fake-client"


async def test_what_a_modern_server_wants_back_is_refused_and_never_swallowed() -> None:
    needs = answers({"resultType": "input_required", "inputRequests": {}})
    async with playing(FakeServer("one", FakeTool("ask", needs), eras=MODERN)) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="asks for input"):
            await client.call("ask")


async def test_what_only_the_handshake_era_has_is_said_to_be_missing() -> None:
    async with playing(FakeServer("one", eras=MODERN)) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="speaks only 2026-07-28"):
            await client.request("resources/subscribe", {"uri": "x"})


# Several servers.


def three() -> list[FakeServer]:
    servers = [FakeServer(alias, FakeTool("look", says(alias))) for alias in ("one", "two", "three")]
    servers[0].capabilities = {"tools": {}, "logging": {}}
    servers[1].capabilities = {"prompts": {"listChanged": True}, "acme": {"x": 1}}
    servers[2].capabilities = {"tools": {"listChanged": True}}
    servers[0].instructions, servers[2].instructions = "Use one.", "Use three."
    return servers


async def test_several_servers_are_introduced_as_one() -> None:
    async with playing(*three()) as play:
        introduction = await play.arrive().initialize("2025-06-18")
        assert introduction["protocolVersion"] == "2025-06-18"
        assert introduction["capabilities"] == {
            "tools": {"listChanged": True},
            "logging": {},
            "prompts": {"listChanged": True},
            "acme": {"x": 1},
        }
        assert introduction["serverInfo"]["name"] == "fuseboard"
        assert introduction["instructions"] == "## one\nUse one.\n\n## three\nUse three."


async def test_one_that_comes_up_late_is_announced_and_then_listed() -> None:
    servers = three()
    servers[0].down = "is not there"
    async with playing(*servers) as play:
        client = play.arrive()
        introduction = await client.initialize()
        assert introduction["capabilities"]["tools"]["listChanged"] is True
        assert await client.listed() == ["two__look", "three__look"]
        servers[0].down = None
        with anyio.fail_after(120):
            await client.heard.until("notifications/tools/list_changed")
        assert await client.listed() == ["one__look", "two__look", "three__look"]
        assert (await client.call("one__look"))["content"][0]["text"] == "one"


async def test_one_that_is_slow_to_start_is_announced_when_it_is_there() -> None:
    servers = three()
    servers[0].gate = anyio.Event()
    async with playing(*servers) as play:
        client = await play.connect()
        assert await client.listed() == ["two__look", "three__look"]
        servers[0].gate.set()
        with anyio.fail_after(120):
            await client.heard.until("notifications/tools/list_changed")
        assert await client.listed() == ["one__look", "two__look", "three__look"]


async def test_those_that_are_there_at_once_are_not_announced() -> None:
    async with playing(*three()) as play:
        client = await play.connect()
        await anyio.sleep(300)
        assert client.heard.noticed == []


async def test_all_dead_is_an_empty_list_and_no_error() -> None:
    servers = three()
    for server in servers:
        server.down = "is not there"
    async with playing(*servers) as play:
        assert await (await play.connect()).listed() == []


async def test_a_closed_session_tries_no_more() -> None:
    servers = three()
    servers[0].down = "is not there"
    async with playing(*servers) as play:
        client = await play.connect()
        await client.session.close()
        servers[0].down = None
        await anyio.sleep(600)
        assert servers[0].links == []


async def test_the_log_level_is_set_everywhere_and_one_that_has_none_is_no_reason_to_refuse() -> None:
    servers = three()
    servers[1].acts["logging/setLevel"] = answers(Failure(b'{"code":-32601,"message":"no"}'))
    async with playing(*servers) as play:
        client = await play.connect()
        assert await client.request("logging/setLevel", {"level": "debug"}) == {}
        assert all("logging/setLevel" in server.methods for server in servers)


async def test_news_of_the_clients_roots_reach_everybody_and_other_news_nobody() -> None:
    servers = three()
    async with playing(*servers) as play:
        client = await play.connect()
        client.session.notified("notifications/roots/list_changed", None)
        client.session.notified("acme/shrug", None)
        await client.listed()
        for server in servers:
            assert [method for method, _ in server.notified] == [
                "notifications/initialized",
                "notifications/roots/list_changed",
            ]


async def test_one_modern_server_among_several_is_bridged() -> None:
    servers = [FakeServer("old", FakeTool("look", says("old")), eras=LEGACY)]
    servers.append(FakeServer("new", FakeTool("look", says("new")), eras=MODERN))
    async with playing(*servers) as play:
        client = await play.connect()
        answers_: list[Any] = [await client.call(name) for name in await client.listed()]
        assert [answer["content"][0]["text"] for answer in answers_] == ["old", "new"]
