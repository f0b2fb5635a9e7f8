"""A handshake client at a stateless server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges.handshake_client import ForHandshakeClient
from fuseboard.era import CAPABILITIES_KEY, CLIENT_INFO_KEY, VERSION_KEY, Era
from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Failure, Reply, Result
from fuseboard.upstreams.calls import PROGRESS
from support.fake_server import Asked, FakeServer, FakeTool, answers, result
from support.links import CallScope
from support.seating import Seating, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

INFO = {"name": "c", "version": "1"}
ODD = b'{"content":[ 1.10 ],"x-v":1180591620717411303424}'


def stateless_only(*tools: FakeTool, **options: Any) -> FakeServer:
    return FakeServer("u", *tools, eras={Era.STATELESS}, **options)


def for_handshake(here: Seating) -> ForHandshakeClient:
    return ForHandshakeClient(here.shared.at(here.upstream), client_info=INFO, capabilities={"roots": {}})


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
    "method", ["ping", "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]
)
async def test_what_the_stateless_era_has_no_more_is_said_to_be_gone_and_not_sent(method: str) -> None:
    async with seating(stateless_only()) as here:
        assert code(await for_handshake(here).request(method, None, CallScope())) == METHOD_NOT_FOUND
        assert here.server.asked == []


async def test_a_server_that_asks_for_input_is_refused_since_its_question_cannot_be_put() -> None:
    asks_back = answers({"resultType": "input_required", "inputRequests": {"q": {}}})
    async with seating(stateless_only(FakeTool("work", asks_back))) as here:
        reply = await for_handshake(here).request("tools/call", asks(), CallScope())
        assert code(reply) == METHOD_NOT_FOUND
        assert b"asks for input" in reply.raw


async def test_a_result_that_only_speaks_of_input_passes() -> None:
    speaks = {"content": [], "structuredContent": {"state": "input_required"}}
    async with seating(stateless_only(FakeTool("work", answers(speaks)))) as here:
        reply = await for_handshake(here).request("tools/call", asks(), CallScope())
        assert json.loads(reply.raw) == speaks


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


async def test_headers_go_along() -> None:
    async with seating(stateless_only(FakeTool("work"))) as here:
        await for_handshake(here).request("tools/call", asks(), CallScope(), headers={"mcp-param-x": "1"})
        assert here.server.calls[0].headers == {"mcp-param-x": "1"}


async def test_the_end_of_one_session_leaves_the_link_to_the_others_and_notices_end_here() -> None:
    async with seating(stateless_only(FakeTool("work"))) as here:
        seat = for_handshake(here)
        await seat.request("tools/call", asks(), CallScope())
        seat.notify("notifications/roots/list_changed", None)
        await seat.close()
        assert here.server.links[0].open
        assert here.server.notified == []
