"""A handshake client at a stateless server."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.bridges.handshake_client import ForHandshakeClient
from fuseboard.era import CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY, VERSION_KEY, Era
from fuseboard.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, UpstreamTimeout
from fuseboard.ports import Failure, Reply, Result
from fuseboard.upstreams.calls import PROGRESS
from fuseboard.upstreams.seats import Refused
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs, result
from support.links import CallScope
from support.listeners import Listeners
from support.seating import Seating, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

INFO = {"name": "c", "version": "1"}
ODD = b'{"content":[ 1.10 ],"x-v":1180591620717411303424}'


def stateless_only(*tools: FakeTool, **options: Any) -> FakeServer:
    return FakeServer("u", *tools, eras={Era.STATELESS}, **options)


def for_handshake(here: Seating, **capabilities: Any) -> ForHandshakeClient:
    declared = capabilities or {"roots": {"listChanged": True}}
    return ForHandshakeClient(
        here.shared.at(here.upstream), here.tasks, here.back, client_info=INFO, capabilities=declared
    )


def code(reply: Reply) -> int:
    assert isinstance(reply, Failure), reply
    return int(json.loads(reply.raw)["code"])


async def test_its_requests_carry_the_envelope_and_the_results_lose_what_it_does_not_know() -> None:
    raw = b'{"resultType":"complete",%b,"ttlMs":5,"cacheScope":"public"}' % ODD[1:-1]
    async with seating(stateless_only(FakeTool("work", answers(Result(raw))))) as here:
        seat = for_handshake(here)
        assert (seat.upstream, seat.era) == (here.upstream, Era.STATELESS)
        reply = await seat.request("tools/call", b'{"name":"work","arguments":{"n":1.10},"_meta":{"x":1}}', CallScope())
        assert reply == Result(ODD)
        (sent,) = here.server.calls
        assert b'"arguments":{"n":1.10}' in (sent.params or b"")
        assert sent.value["_meta"] == {
            "x": 1,
            VERSION_KEY: "2026-07-28",
            CLIENT_INFO_KEY: INFO,
            CAPABILITIES_KEY: {"roots": {}},
        }


@pytest.mark.parametrize(
    "method", ["initialize", "server/discover", "subscriptions/listen", "tasks/get", "tasks/list", "tasks/result"]
)
async def test_what_belongs_to_one_era_alone_is_said_to_be_missing_and_not_sent(method: str) -> None:
    async with seating(stateless_only()) as here:
        assert code(await for_handshake(here).request(method, None, CallScope())) == METHOD_NOT_FOUND
        assert here.server.asked == []


async def test_a_ping_is_answered_here() -> None:
    async with seating(stateless_only()) as here:
        assert await for_handshake(here).request("ping", None, CallScope()) == Result(b"{}")
        assert here.server.asked == []


async def test_other_methods_are_relayed_as_they_are() -> None:
    server = stateless_only()
    server.acts["acme/x"] = answers(Result(ODD))
    async with seating(server) as here:
        assert await for_handshake(here).request("acme/x", b'{"a":1.10}', CallScope()) == Result(ODD)
        assert b'"a":1.10' in (server.asked[0].params or b"")


# What the upstream wants to know first.


async def test_a_server_s_questions_are_put_on_the_call_itself_and_the_call_is_sent_again_with_the_answers() -> None:
    async def greets(asked: Asked) -> Reply:
        if "inputResponses" not in asked.value:
            question = {"method": "elicitation/create", "params": {"message": "Who?"}}
            return result({"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s-1"})
        return result({"resultType": "complete", "content": [], "x": asked.value["inputResponses"]["q"]["content"]})

    async with seating(stateless_only(FakeTool("work", greets))) as here:
        client = CallScope()
        reply = await for_handshake(here, elicitation={}).request(
            "tools/call", asks(token="mine", n=1), client, headers={"mcp-param-x": "1"}
        )
        assert json.loads(reply.raw) == {"content": [], "x": {"name": "Ada"}}
        assert client.asked == [("elicitation/create", {"message": "Who?"})]
        assert here.back.asked == []
        first, again = here.server.calls
        assert again.headers == {"mcp-param-x": "1"}
        sent, retried = first.value, again.value
        assert retried.pop("requestState") == "s-1"
        assert retried.pop("inputResponses") == {"q": {"action": "accept", "content": {"name": "Ada"}}}
        for params in (sent, retried):
            params["_meta"].pop("progressToken")
        assert retried == sent


async def test_a_question_that_cannot_be_put_fails_the_call_with_a_reason() -> None:
    question = {"method": "sampling/createMessage", "params": {}}
    asks_back = answers({"resultType": "input_required", "inputRequests": {"q": question}})
    async with seating(stateless_only(FakeTool("work", asks_back))) as here:
        client = CallScope()
        reply = await for_handshake(here).request("tools/call", asks(), client)
        assert code(reply) == INTERNAL_ERROR
        assert b"did not declare the capability sampling" in reply.raw
        assert client.asked == []


async def test_a_list_that_asks_back_is_refused() -> None:
    server = stateless_only()
    server.acts["tools/list"] = answers({"resultType": "input_required", "requestState": "s"})
    async with seating(server) as here:
        assert code(await for_handshake(here).request("tools/list", None, CallScope())) == INTERNAL_ERROR


async def test_a_result_that_only_speaks_of_input_passes() -> None:
    speaks = {"content": [], "structuredContent": {"state": "input_required", "resultType": "input_required"}}
    async with seating(stateless_only(FakeTool("work", answers(speaks)))) as here:
        reply = await for_handshake(here).request("tools/call", asks(), CallScope())
        assert json.loads(reply.raw) == speaks


async def test_a_result_of_another_kind_is_refused_and_counted() -> None:
    async with seating(stateless_only(FakeTool("work", answers({"resultType": "task"})))) as here:
        assert code(await for_handshake(here).request("tools/call", asks(), CallScope())) == INTERNAL_ERROR
        assert here.upstream.losses.counts == {"result of type task": 1}


# Log level and subscriptions.


async def test_the_log_level_is_remembered_and_goes_along_with_every_later_request() -> None:
    async with seating(stateless_only(FakeTool("work"))) as here:
        seat = for_handshake(here)
        await seat.request("tools/call", asks(), CallScope())
        assert await seat.request("logging/setLevel", b'{"level":"notice"}', CallScope()) == Result(b"{}")
        await seat.request("tools/call", asks(), CallScope())
        levels = [asked.value["_meta"].get(LOG_LEVEL_KEY) for asked in here.server.asked]
        assert levels == [None, "notice"]


@pytest.mark.parametrize("params", [None, b"{}", b'{"level":"loud"}', b'{"level":7}'])
async def test_a_level_that_is_none_is_the_client_s_fault(params: bytes | None) -> None:
    async with seating(stateless_only()) as here:
        assert code(await for_handshake(here).request("logging/setLevel", params, CallScope())) == INVALID_PARAMS


async def test_log_messages_come_back_on_the_call_as_they_are() -> None:
    async def works(asked: Asked) -> Reply:
        here.server.links[0].tell("notifications/message", {"level": "info", "data": "so it goes"})
        return result({"content": []})

    async with seating(stateless_only(FakeTool("work", works))) as here:
        client = CallScope()
        await for_handshake(here).request("tools/call", asks(), client)
        assert client.noticed == [("notifications/message", {"level": "info", "data": "so it goes"})]


async def test_updates_of_a_resource_come_outside_any_call() -> None:
    server = stateless_only()
    listeners = Listeners(server)
    async with seating(server) as here:
        seat, client = for_handshake(here), CallScope()
        assert await seat.request("resources/subscribe", b'{"uri":"a://1"}', client) == Result(b"{}")
        listeners.tell("notifications/resources/updated", uri="a://1")
        assert here.back.noticed == [("notifications/resources/updated", {"uri": "a://1"})]
        assert client.noticed == []
        assert await seat.request("resources/unsubscribe", b'{"uri":"a://1"}', client) == Result(b"{}")
        await anyio.sleep(1)
        assert listeners.open == []


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
async def test_a_subscription_to_nothing_is_the_client_s_fault(method: str) -> None:
    async with seating(stateless_only()) as here:
        assert code(await for_handshake(here).request(method, b'{"uri":7}', CallScope())) == INVALID_PARAMS


# The introduction.


@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_it_is_introduced_with_what_is_delivered_and_its_changed_tools_are_learned_anew(scoped: bool) -> None:
    server = stateless_only(FakeTool("work"), scoped=scoped)
    server.capabilities = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}, "x-v": {}}
    server.instructions = "Work."
    listeners = Listeners(server)
    listeners.deaf_to = {"promptsListChanged"}
    async with seating(server) as here:
        seat = for_handshake(here)
        await seat.open()
        assert json.loads(seat.introduction("2025-06-18")) == {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "x-v": {}},
            "serverInfo": {"name": "u", "version": "1"},
            "instructions": "Work.",
        }
        assert server.asked[0].value["_meta"][CAPABILITIES_KEY] == {"roots": {}}
        listing = seat.listing(b"")
        await listing.ensure(seat, None, CallScope(), clock=anyio.current_time)
        assert listing.catalog.learned_at is not None
        listeners.tell("notifications/tools/list_changed")
        assert listing.catalog.learned_at is None
        assert here.back.noticed == [("notifications/tools/list_changed", None)]


async def test_a_server_that_refuses_to_introduce_itself_to_this_client_is_refused_in_words_that_it_knows() -> None:
    server = stateless_only()
    server.acts["server/discover"] = fails(-32021, "sampling needed")
    async with seating(server) as here:
        with pytest.raises(Refused) as refused:
            await for_handshake(here).open()
        assert code(refused.value.reply) == INVALID_PARAMS


async def test_a_server_that_never_introduces_itself_is_given_up() -> None:
    server = stateless_only()
    server.acts["server/discover"] = hangs
    async with seating(server) as here:
        with pytest.raises(UpstreamTimeout, match="server/discover"):
            await for_handshake(here).open()


async def test_clients_of_other_capabilities_may_be_shown_other_tools() -> None:
    async with seating(stateless_only()) as here:
        one, same, other = (for_handshake(here, **caps) for caps in ({"roots": {}}, {"roots": {}}, {"sampling": {}}))
        assert one.listing(b"") is same.listing(b"")
        assert one.listing(b"") is not other.listing(b"")


async def test_errors_pass_as_they_are() -> None:
    failure = Failure(b'{ "code": 4.0, "message": "no", "data": {"resultType": 1} }')
    async with seating(stateless_only(FakeTool("work", answers(failure)))) as here:
        assert await for_handshake(here).request("tools/call", asks(), CallScope()) == failure


async def test_progress_comes_back_under_the_client_s_own_token() -> None:
    async def works(asked: Asked) -> Reply:
        token = asked.value["_meta"]["progressToken"]
        here.server.links[0].tell(PROGRESS, {"progressToken": token, "progress": 1})
        return result({"content": []})

    async with seating(stateless_only(FakeTool("work", works))) as here:
        client = CallScope()
        await for_handshake(here).request("tools/call", asks(token="mine"), client)
        assert client.noticed == [(PROGRESS, {"progressToken": "mine", "progress": 1})]


@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_progress_that_an_upstream_counts_anew_with_each_round_rises_for_the_client(scoped: bool) -> None:
    async def act(asked: Asked) -> Reply:
        token = asked.value["_meta"]["progressToken"]
        for step in (1, 2, 3) if "inputResponses" in asked.value else (1, 2):
            params = {"progressToken": token, "progress": step}
            if scoped:
                asked.scope.notify(PROGRESS, json.dumps(params).encode())
            else:
                here.server.links[-1].tell(PROGRESS, params)
        if "inputResponses" in asked.value:
            return result({"content": [], "resultType": "complete"})
        return result({"resultType": "input_required", "inputRequests": {"q": {"method": "roots/list"}}})

    async with seating(stateless_only(FakeTool("work", act), scoped=scoped)) as here:
        client = CallScope()
        assert isinstance(await for_handshake(here).request("tools/call", asks(token="mine"), client), Result)
        assert [(said["progressToken"], said["progress"]) for _, said in client.noticed] == [
            ("mine", 1),
            ("mine", 2),
            ("mine", 3),
        ]
        fell = "notifications/progress: fell back when the call was sent again"
        assert here.upstream.losses.counts[fell] == 2


async def test_headers_go_along() -> None:
    async with seating(stateless_only(FakeTool("work"))) as here:
        await for_handshake(here).request("tools/call", asks(), CallScope(), headers={"mcp-param-x": "1"})
        assert here.server.calls[0].headers == {"mcp-param-x": "1"}


async def test_the_end_of_one_session_leaves_the_link_to_the_others_and_notices_end_here() -> None:
    async with seating(stateless_only(FakeTool("work"))) as here:
        listeners = Listeners(here.server)
        seat = for_handshake(here)
        await seat.request("resources/subscribe", b'{"uri":"a://1"}', CallScope())
        seat.notify("notifications/roots/list_changed", None)
        await seat.close()
        await anyio.sleep(1)
        assert listeners.open == []
        assert here.server.links[0].open
        assert here.server.notified == []
        assert here.upstream.losses.counts == {"notifications/roots/list_changed": 1}
