"""The stateless era: every request stands alone, and one link serves all callers."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard import errors
from fuseboard.era import HANDSHAKE_VERSIONS, Era
from fuseboard.ports import Reply, Result
from support.fake_server import Asked, FakeServer, FakeTool, answers, echoes, hangs, says, text
from support.playbook import Play, RpcError, playing
from support.raw_client import stateless_meta
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

LEGACY = [Era.HANDSHAKE]
MODERN = [Era.STATELESS]
VERSION = "io.modelcontextprotocol/protocolVersion"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


# One server.


async def test_discovery_and_calls_go_through_byte_for_byte() -> None:
    server = FakeServer("one", FakeTool("look", answers(Result(b'{"resultType":"complete", "content":[],"x":1.10}'))))
    server.acts["server/discover"] = answers(Result(b'{"supportedVersions":["2026-07-28"], "x":1E2}'))
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        assert await client.reply("server/discover") == Result(b'{"supportedVersions":["2026-07-28"], "x":1E2}')
        params = b'{"name":"look", "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","a/b":1.10}}'
        assert await client.reply("tools/call", params) == Result(b'{"resultType":"complete", "content":[],"x":1.10}')
        assert server.calls[0].params == params


async def test_one_link_serves_everybody_and_the_era_is_asked_once() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with playing(server) as play:
        for principal in ("ada", "bob", "eve", "ada"):
            client = await play.connect(Era.STATELESS, principal=principal)
            await client.call("look")
        assert len(server.links) == 1
        assert server.methods.count("server/discover") == 1
        assert server.methods.count("tools/list") == 3  # each principal is judged by its own list


async def test_many_first_requests_at_once_ask_the_era_once() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(client.call, "look")
        assert server.methods.count("server/discover") == 1
        assert len(server.calls) == 10


async def test_a_handshake_server_is_introduced_and_called_as_one_of_this_era() -> None:
    server = FakeServer("one", FakeTool("look", says("seen")), eras=LEGACY)
    server.instructions = "Mind the step."
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        found = await client.request("server/discover")
        assert found["supportedVersions"] == ["2026-07-28", *reversed(HANDSHAKE_VERSIONS)]
        assert found["instructions"] == "Mind the step."
        assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "one"
        assert await client.listed() == ["look"]
        assert (await client.call("look"))["content"][0]["text"] == "seen"
        assert [link.era for link in server.links].count(Era.HANDSHAKE) == 1


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "tools/call"])
async def test_in_front_of_a_server_without_bridge_the_client_is_told_to_shake_hands(method: str) -> None:
    async with playing(FakeServer("one", eras=LEGACY, bridge=False)) as play:
        client = await play.connect(Era.STATELESS)
        with pytest.raises(RpcError) as refused:
            await client.request(method, {"name": "look"})
        assert refused.value.code == errors.UNSUPPORTED_VERSION
        assert refused.value.data["supported"] == list(HANDSHAKE_VERSIONS)


async def test_a_server_that_stays_silent_at_the_probe_counts_as_one_of_the_handshake_era() -> None:
    server = FakeServer("one", FakeTool("look", says("seen")), eras=LEGACY)
    server.acts["server/discover"] = hangs
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        for _ in range(3):
            assert (await client.call("look"))["content"][0]["text"] == "seen"
        assert server.methods.count("server/discover") == 1  # silence is costly: it is asked once


async def test_a_link_that_died_is_opened_anew_by_the_next_request() -> None:
    server = FakeServer("one", FakeTool("look"), eras=MODERN)
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        await client.call("look")
        server.crash()
        await client.call("look")
        assert len(server.links) == 2
        assert server.methods.count("server/discover") == 1


# What belongs to one caller reaches no other.


async def test_equal_progress_tokens_of_two_clients_stay_apart_on_one_pipe() -> None:
    both_there = anyio.Event()

    async def works(asked: Asked) -> Reply:
        if len(server.calls) == 2:
            both_there.set()
        await both_there.wait()
        token = asked.value["_meta"]["progressToken"]
        said = asked.arguments["who"]
        server.links[0].tell("notifications/progress", {"progressToken": token, "message": said})
        return text("done")

    server = FakeServer("one", FakeTool("work", works))
    async with playing(server) as play:
        clients = [await play.connect(Era.STATELESS, principal=who) for who in ("ada", "bob")]
        async with anyio.create_task_group() as tasks:
            for client, who in zip(clients, ("ada", "bob"), strict=True):
                params = {"name": "work", "arguments": {"who": who}, "_meta": {"progressToken": 7}}
                tasks.start_soon(client.request, "tools/call", params)
        for client, who in zip(clients, ("ada", "bob"), strict=True):
            assert client.heard.noticed == [("notifications/progress", {"progressToken": 7, "message": who})]


async def test_over_http_the_clients_own_token_goes_upstream() -> None:
    async def works(asked: Asked) -> Reply:
        asked.scope.notify("notifications/progress", b'{"progressToken":"mine","progress":1.10}')
        return text("done")

    server = FakeServer("one", FakeTool("work", works), scoped=True)
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        await client.request("tools/call", {"name": "work", "_meta": {"progressToken": "mine"}})
        assert server.calls[0].value["_meta"]["progressToken"] == "mine"
        assert client.heard.noticed == [("notifications/progress", {"progressToken": "mine", "progress": 1.10})]


async def test_a_message_that_may_be_anybodys_reaches_nobody() -> None:
    server = FakeServer("one", FakeTool("wait", hangs))
    async with playing(server) as play:
        clients = [await play.connect(Era.STATELESS, principal=who) for who in ("ada", "bob")]
        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(client.call, "wait")
            await server.reached("tools/call", times=2)
            server.links[0].tell("notifications/message", {"data": "whose?"})
            tasks.cancel_scope.cancel()
        assert [client.heard.noticed for client in clients] == [[], []]


async def test_a_subscription_goes_by_the_clients_own_request_id() -> None:
    async def listens(asked: Asked) -> Reply:
        asked.scope.notify(
            "notifications/subscriptions/acknowledged", b'{"_meta":{"%b":"theirs"}}' % SUBSCRIPTION.encode()
        )
        await anyio.sleep_forever()
        raise AssertionError

    server = FakeServer("one", scoped=True)
    server.acts["subscriptions/listen"] = listens
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.request, "subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            told = await client.heard.until("notifications/subscriptions/acknowledged")
            assert told["_meta"][SUBSCRIPTION] == int(client.scopes[-1].request_id or b"0")
            tasks.cancel_scope.cancel()
        assert server.cancelled == ["subscriptions/listen"]


async def test_subscriptions_of_several_clients_stay_apart_on_one_pipe() -> None:
    ids: list[int] = []

    async def listens(asked: Asked) -> Reply:
        ids.append(asked.id)
        tag = {"_meta": {SUBSCRIPTION: asked.id}}
        server.links[0].tell("notifications/subscriptions/acknowledged", tag)
        await anyio.sleep_forever()
        raise AssertionError

    server = FakeServer("one", FakeTool("look"))
    server.acts["subscriptions/listen"] = listens
    async with playing(server) as play:
        ada, bob = [await play.connect(Era.STATELESS, principal=who) for who in ("ada", "bob")]
        async with anyio.create_task_group() as tasks:
            for client in (ada, bob):
                tasks.start_soon(client.request, "subscriptions/listen")
                await client.heard.until("notifications/subscriptions/acknowledged")
            await ada.call("look")
            server.links[0].tell("notifications/tools/list_changed", {"_meta": {SUBSCRIPTION: ids[1]}})
            tasks.cancel_scope.cancel()
        assert [method for method, _ in ada.heard.noticed] == ["notifications/subscriptions/acknowledged"]
        assert [params["_meta"][SUBSCRIPTION] for _, params in bob.heard.noticed] == [1, 1]


async def test_a_subscription_that_is_refused_keeps_no_other_waiting() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        for _ in range(2):
            with pytest.raises(RpcError, match="Method not found"):
                await client.request("subscriptions/listen")


async def test_a_server_of_this_era_that_asks_by_a_request_is_told_that_there_are_none() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with playing(server) as play:
        await (await play.connect(Era.STATELESS)).call("look")
        reply = await server.links[0].ask("roots/list")
        assert b"no requests from server to client" in reply.raw


# Runs.


async def runs_of(play: Play, *calls: tuple[str, str, float]) -> list[str]:
    """The run of each call; a call is a principal, a client's name and the time before it."""
    for principal, name, pause_s in calls:
        await anyio.sleep(pause_s)
        client = await play.connect(Era.STATELESS, principal=principal, transport="http")
        meta = {**stateless_meta(), "io.modelcontextprotocol/clientInfo": {"name": name, "version": "1"}}
        await client.request("tools/call", {"name": "look", "_meta": meta})
    return [entry.run for entry in play.proposed]


async def test_calls_belong_together_by_principal_client_and_time() -> None:
    async with playing(FakeServer("one", FakeTool("look"))) as play:
        calls = [("ada", "a", 0), ("ada", "a", 60), ("bob", "a", 0), ("ada", "b", 0), ("ada", "a", 3000)]
        first, again, other, others_client, later = await runs_of(play, *calls)
        assert first == again
        assert len({first, other, others_client, later}) == 4
        assert {str(entry.run_source) for entry in play.proposed} == {"inferred"}


# Several servers.


def mixed() -> list[FakeServer]:
    return [
        FakeServer("old", FakeTool("look", echoes), eras=LEGACY),
        FakeServer("new", FakeTool("look", echoes), eras=MODERN),
    ]


async def test_servers_of_both_eras_serve_one_client() -> None:
    old, new = mixed()
    async with playing(old, new) as play:
        client = await play.connect(Era.STATELESS)
        listing = await client.request("tools/list")
        assert [tool["name"] for tool in listing["tools"]] == ["old__look", "new__look"]
        assert listing["resultType"] == "complete"
        for name in ("old__look", "new__look"):
            answer: Any = await client.call(name, a=1)
            assert answer["content"][0]["text"] == '{"a": 1}'
        assert "_meta" not in old.calls[0].value
        assert new.calls[0].value["_meta"][VERSION] == "2026-07-28"
        assert (await client.call("old__look"))["resultType"] == "complete"


async def test_discovery_introduces_them_as_one() -> None:
    old, new = mixed()
    old.capabilities, new.capabilities = {"prompts": {}}, {"tools": {"listChanged": True}}
    old.instructions = "Mind the step."
    async with playing(old, new) as play:
        found = await (await play.connect(Era.STATELESS)).request("server/discover")
        assert found["capabilities"] == {"prompts": {}, "tools": {"listChanged": True}}
        assert found["instructions"] == "## old\nMind the step."
        assert found["supportedVersions"][0] == "2026-07-28"
        assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "fuseboard"


async def test_a_dead_one_is_left_out_of_the_introduction() -> None:
    old, new = mixed()
    old.down = "is not there"
    async with playing(old, new) as play:
        client = await play.connect(Era.STATELESS)
        assert (await client.request("server/discover"))["capabilities"]["tools"] == {"listChanged": True}
        assert await client.listed() == ["new__look"]


async def test_a_handshake_server_among_several_has_one_link_for_each_origin() -> None:
    old, new = mixed()
    async with playing(old, new) as play:
        for principal in ("ada", "ada", "bob"):
            await (await play.connect(Era.STATELESS, principal=principal)).call("old__look")
        assert old.methods.count("initialize") == 2


async def test_several_without_bridge_tell_the_client_to_shake_hands_and_some_are_left_out() -> None:
    old, new = mixed()
    old.facts = old.facts.model_copy(update={"bridge": False})
    async with playing(old, new) as play:
        client = await play.connect(Era.STATELESS)
        assert await client.listed() == ["new__look"]
        with pytest.raises(RpcError) as refused:
            await client.call("old__look")
        assert refused.value.code == errors.UNSUPPORTED_VERSION
    olds = [FakeServer(name, FakeTool("look"), eras=LEGACY, bridge=False) for name in ("a", "b")]
    async with playing(*olds) as play:
        with pytest.raises(RpcError) as refused:
            await (await play.connect(Era.STATELESS)).request("server/discover")
        assert refused.value.code == errors.UNSUPPORTED_VERSION


async def test_all_callers_share_the_session_that_the_operator_says_to_share() -> None:
    server = FakeServer("one", FakeTool("look"), eras=LEGACY, share="all")
    async with playing(server) as play:
        for principal in ("ada", "bob"):
            await play.arrive(Era.STATELESS, principal=principal, roots={}).call("look")
        await (await play.connect()).call("look")
        assert server.methods.count("initialize") == 1
        assert server.asked[1].value["capabilities"] == {}
