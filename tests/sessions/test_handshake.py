"""Sessions of the handshake era: the opening, what belongs to a session alone, and both ways of speaking."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard import errors
from fuseboard.era import Era
from fuseboard.ports import Failure, Reply, Result
from fuseboard.sessions.handshake import AHEAD_S
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs, result, says, text
from support.listeners import Listeners
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


async def test_what_a_modern_server_asks_for_is_asked_within_one_call() -> None:
    async def greets(asked: Asked) -> Reply:
        answers_ = asked.value.get("inputResponses")
        if answers_ is None:
            question = {"method": "elicitation/create", "params": {"message": "Who?"}}
            return result({"resultType": "input_required", "inputRequests": {"who": question}, "requestState": "s"})
        return text(answers_["who"]["content"]["name"])

    server = FakeServer("one", FakeTool("greet", greets), eras=MODERN)
    async with playing(server) as play:
        client = play.arrive(elicitation={})
        await client.initialize()
        assert (await client.call("greet"))["content"][0]["text"] == "Ada"
        assert client.scopes[-1].asked == [("elicitation/create", {"message": "Who?"})]
        capabilities = [asked.value["_meta"]["io.modelcontextprotocol/clientCapabilities"] for asked in server.calls]
        assert capabilities == [{"elicitation": {"form": {}}}] * 2
        assert (len(play.proposed), play.truths) == (1, ["ok"])


async def test_giving_up_a_call_withdraws_what_its_server_asked() -> None:
    question = {"method": "elicitation/create", "params": {"message": "Who?"}}
    needs = answers({"resultType": "input_required", "inputRequests": {"who": question}})
    async with playing(FakeServer("one", FakeTool("ask", needs), eras=MODERN)) as play:
        client = play.arrive(elicitation={})
        client.answer = None
        await client.initialize()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call, "ask")
            await anyio.sleep(1)
            assert len(client.scopes[-1].asked) == 1
            tasks.cancel_scope.cancel()
        assert client.scopes[-1].asks_cancelled == 1
        assert play.truths == ["cancelled"]


async def test_what_cannot_be_carried_across_is_said_so_and_counted() -> None:
    server = FakeServer("one", FakeTool("work", answers({"resultType": "task", "taskId": "t"})), eras=MODERN)
    async with playing(server) as play:
        client = await play.connect()
        assert "untranslated" not in play.board.health()["one"]
        with pytest.raises(RpcError, match="'task'"):
            await client.call("work")
        assert play.board.health()["one"]["untranslated"] == {"result of type task": 1}


async def test_a_modern_server_s_news_reach_the_client_outside_any_call() -> None:
    server = FakeServer("one", FakeTool("look"), eras=MODERN)
    server.capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
    listeners = Listeners(server)
    async with playing(server) as play:
        client = play.arrive()
        assert (await client.initialize())["capabilities"] == server.capabilities
        await client.listed()
        assert await client.request("resources/subscribe", {"uri": "x://1"}) == {}
        await anyio.sleep(1)
        server.tools["see"] = FakeTool("see")
        listeners.tell("notifications/tools/list_changed")
        listeners.tell("notifications/resources/updated", uri="x://1")
        assert client.heard.noticed == [
            ("notifications/tools/list_changed", None),
            ("notifications/resources/updated", {"uri": "x://1"}),
        ]
        assert await client.listed() == ["look", "see"]
        await client.session.close()
        await anyio.sleep(1)
        assert listeners.open == []


async def test_one_sessions_news_and_log_level_are_not_anothers() -> None:
    server = FakeServer("one", FakeTool("look"), eras=MODERN)
    listeners = Listeners(server)
    async with playing(server) as play:
        one, other = await play.connect(), await play.connect()
        await one.request("resources/subscribe", {"uri": "x://1"})
        await other.request("resources/subscribe", {"uri": "x://2"})
        await one.request("logging/setLevel", {"level": "debug"})
        (_, second) = listeners.open
        second.tell("notifications/resources/updated", uri="x://2")
        assert one.heard.noticed == []
        assert other.heard.noticed == [("notifications/resources/updated", {"uri": "x://2"})]
        await one.call("look")
        await other.call("look")
        levels = [asked.value["_meta"].get("io.modelcontextprotocol/logLevel") for asked in server.calls]
        assert levels == ["debug", None]


@pytest.mark.parametrize("code", [errors.METHOD_NOT_FOUND, errors.UNSUPPORTED_VERSION, errors.MISSING_CAPABILITY])
async def test_that_a_server_shakes_no_hands_is_found_out_once(code: int) -> None:
    server = FakeServer("one", FakeTool("look"), eras=MODERN)
    server.acts["initialize"] = fails(code, "no")
    async with playing(server) as play:
        for _ in range(3):
            assert await (await play.connect()).listed() == ["look"]
        assert server.methods.count("initialize") == 1


async def test_a_server_that_refused_one_clients_hand_is_asked_again_for_the_next() -> None:
    server = FakeServer("one", FakeTool("look"))
    server.acts["initialize"] = fails(7001, "no credit")
    async with playing(server) as play:
        await play.connect()
        del server.acts["initialize"]
        await play.connect()
        assert server.methods.count("initialize") == 2


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


@pytest.mark.parametrize("later_s", [0.0, 2.5], ids=["at the start", "while it starts"])
@pytest.mark.parametrize("era", Era)
async def test_one_that_takes_three_seconds_to_start_is_in_the_first_list(era: Era, later_s: float) -> None:
    """Clients that never list again would do without it for as long as they live."""
    servers = three()
    servers[0].gate = gate = anyio.Event()
    async with playing(*servers) as play, anyio.create_task_group() as tasks:

        async def comes_up() -> None:
            await anyio.sleep(3)
            gate.set()

        tasks.start_soon(comes_up)
        if later_s:
            tasks.start_soon(play.arrive().initialize)
            await anyio.sleep(later_s)
        client = await play.connect(era)
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


async def test_the_log_level_reaches_servers_of_both_eras_and_those_that_come_up_later() -> None:
    old, new, late = (
        FakeServer("old", eras=LEGACY),
        FakeServer("new", FakeTool("look"), eras=MODERN),
        FakeServer("late", eras=LEGACY),
    )
    late.down = "is not there"
    async with playing(old, new, late) as play:
        client = await play.connect()
        assert await client.request("logging/setLevel", {"level": "debug"}) == {}
        await client.call("new__look")
        assert new.calls[-1].value["_meta"]["io.modelcontextprotocol/logLevel"] == "debug"
        late.down = None
        await anyio.sleep(60)
        for server in (old, late):
            assert (await server.reached("logging/setLevel")).value == {"level": "debug"}


async def test_a_log_level_that_is_none_is_the_clients_fault_and_goes_nowhere() -> None:
    servers = three()
    async with playing(*servers) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="one of debug") as refused:
            await client.request("logging/setLevel", {"level": "loud"})
        assert refused.value.code == errors.INVALID_PARAMS
        assert not any("logging/setLevel" in server.methods for server in servers)


async def test_news_of_a_modern_server_among_several_reach_the_client() -> None:
    old, new = FakeServer("old", eras=LEGACY), FakeServer("new", eras=MODERN)
    new.resources, old.resources = ["x://new"], ["x://old"]
    new.capabilities = {"resources": {"subscribe": True, "listChanged": True}}
    listeners = Listeners(new)
    async with playing(old, new) as play:
        client = play.arrive()
        capabilities = (await client.initialize())["capabilities"]
        assert capabilities["resources"] == {"subscribe": True, "listChanged": True}
        for uri in ("x://new", "x://old"):
            assert await client.request("resources/subscribe", {"uri": uri}) == {}
        await anyio.sleep(1)
        assert [stream.wanted["resourceSubscriptions"] for stream in listeners.open] == [["x://new"]]
        assert (await old.reached("resources/subscribe")).value == {"uri": "x://old"}
        listeners.tell("notifications/resources/updated", uri="x://new")
        assert ("notifications/resources/updated", {"uri": "x://new"}) in client.heard.noticed
        listeners.tell("notifications/resources/list_changed")
        await client.heard.until("notifications/resources/list_changed")


async def test_one_modern_server_among_several_is_bridged() -> None:
    servers = [FakeServer("old", FakeTool("look", says("old")), eras=LEGACY)]
    servers.append(FakeServer("new", FakeTool("look", says("new")), eras=MODERN))
    async with playing(*servers) as play:
        client = await play.connect()
        answers_: list[Any] = [await client.call(name) for name in await client.listed()]
        assert [answer["content"][0]["text"] for answer in answers_] == ["old", "new"]


async def test_of_many_clients_that_come_at_once_one_finds_out_that_a_server_shakes_no_hands() -> None:
    server = FakeServer("one", FakeTool("look"), eras=MODERN)
    server.gate = anyio.Event()
    async with playing(server) as play:
        clients = [play.arrive() for _ in range(20)]
        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(client.initialize)
            await anyio.sleep(1)
            server.gate.set()
        await (await play.connect()).call("look")
        assert [link.era for link in server.links] == [Era.HANDSHAKE, Era.STATELESS]
        assert server.methods.count("initialize") == 1


async def test_others_do_not_wait_long_for_the_first_handshake_nor_at_all_once_there_was_one() -> None:
    server = FakeServer("one", FakeTool("look"), eras=LEGACY)
    first, second = anyio.Event(), anyio.Event()

    async def hello(asked: Asked) -> Reply:
        if server.methods.count("initialize") == 1:
            await first.wait()
        elif server.methods.count("initialize") == 3:
            await second.wait()
        return result({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}})

    server.acts["initialize"] = hello
    async with playing(server) as play, anyio.create_task_group() as tasks:
        tasks.start_soon(play.arrive().initialize)
        await server.reached("initialize")
        began = anyio.current_time()
        await play.arrive().initialize()
        assert anyio.current_time() - began == pytest.approx(AHEAD_S, abs=0.5)
        tasks.start_soon(play.arrive().initialize)
        await server.reached("initialize", 3)
        began = anyio.current_time()
        await play.arrive().initialize()
        assert anyio.current_time() - began < 0.1
        first.set()
        second.set()


async def test_whoever_waits_for_a_first_handshake_that_fails_tries_for_itself() -> None:
    server = FakeServer("one", FakeTool("look"), eras=LEGACY)

    async def hello(asked: Asked) -> Reply:
        if server.methods.count("initialize") == 1:
            await anyio.sleep(1)
            return Failure(b'{"code":7001,"message":"no credit"}')
        return result({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}})

    server.acts["initialize"] = hello
    async with playing(server) as play, anyio.create_task_group() as tasks:
        tasks.start_soon(play.arrive().reply, "initialize", HELLO)
        await server.reached("initialize")
        began = anyio.current_time()
        await play.arrive().initialize()
        assert anyio.current_time() - began == pytest.approx(1, abs=0.2)


async def test_a_server_without_bridge_refuses_the_handshake_in_its_own_words() -> None:
    server = FakeServer("one", FakeTool("look"), eras=MODERN, bridge=False)
    async with playing(server) as play:
        with pytest.raises(RpcError) as refused:
            await play.connect()
        assert refused.value.code == errors.UNSUPPORTED_VERSION
        assert "server/discover" not in server.methods
