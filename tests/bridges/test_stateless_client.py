"""A stateless client at a handshake server."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.bridges.held_calls import HeldCalls
from fuseboard.bridges.listening import Listeners
from fuseboard.bridges.stateless_client import ForStatelessClient, ForStatelessClients, listeners_in_common
from fuseboard.bridges.stateless_sessions import Client, OwnSessions
from fuseboard.era import HANDSHAKE_VERSIONS, PREFIX, REMOVED, Era
from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND
from fuseboard.ports import Failure, Reply, Result
from fuseboard.wire import frames
from support.fake_server import FakeServer, FakeTool, answers
from support.links import CallScope
from support.seal import HmacSeal
from support.seating import Seating, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ODD = b'{"content":[ 1.10 ],"x-v":1180591620717411303424}'
LOGGED = b'{"level":"error","data":1}'


def handshake_only(*tools: FakeTool, **options: Any) -> FakeServer:
    return FakeServer("u", *tools, eras={Era.HANDSHAKE}, **options)


def own(here: Seating, **capabilities: Any) -> ForStatelessClient:
    sessions = OwnSessions(here.tasks, anyio.current_time, idle_s=1800)
    held = HeldCalls(HmacSeal(), here.tasks, anyio.current_time, principal="ada")
    return ForStatelessClient(here.upstream, sessions, held, Client.of({PREFIX + "clientCapabilities": capabilities}))


def common(here: Seating) -> ForStatelessClients:
    seat = here.shared.common(here.upstream)
    return ForStatelessClients(seat, listeners_in_common(seat, here.tasks))


BOTH = pytest.mark.parametrize("seat_of", [own, common])


def code(reply: Reply) -> int:
    assert isinstance(reply, Failure), reply
    return int(json.loads(reply.raw)["code"])


@BOTH
async def test_its_envelope_is_taken_off_and_the_results_say_their_type(seat_of: Any) -> None:
    async with seating(handshake_only(FakeTool("work", answers(Result(ODD))))) as here:
        seat = seat_of(here)
        assert (seat.upstream, seat.era) == (here.upstream, Era.HANDSHAKE)
        params = json.dumps({"name": "work", "_meta": {PREFIX + "protocolVersion": "2026-07-28", "x": 1}}).encode()
        reply = await seat.request("tools/call", params, CallScope(), headers={"Mcp-Param-A": "1"})
        assert reply == Result(ODD[:-1] + b',"resultType":"complete"}')
        assert here.server.methods == ["initialize", "tools/call"]
        assert here.server.calls[0].value == {"name": "work", "_meta": {"x": 1}}
        assert here.server.calls[0].headers == {}
        assert here.server.notified == [("notifications/initialized", None)]


@BOTH
async def test_a_call_goes_out_in_the_client_s_own_bytes(seat_of: Any) -> None:
    raw = b'{ "name":"work","arguments":{"a":1.10} }'
    async with seating(handshake_only(FakeTool("work"))) as here:
        await seat_of(here).request("tools/call", raw, CallScope())
        assert here.server.calls[0].params == raw


@BOTH
async def test_answers_to_nothing_are_left_out_of_a_call(seat_of: Any) -> None:
    async with seating(handshake_only(FakeTool("work"))) as here:
        await seat_of(here, **({"roots": {}} if seat_of is own else {})).request(
            "tools/call", b'{"name":"work","inputResponses":{"q1":{}}}', CallScope()
        )
        assert here.server.calls[0].value == {"name": "work"}


@BOTH
async def test_discovery_says_what_the_server_said_at_the_handshake(seat_of: Any) -> None:
    server = handshake_only()
    server.acts["initialize"] = answers(
        Result(
            b'{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"tasks":{},"x":1.10},'
            b'"serverInfo":{"name":"s","version":"1","x-v":2},"instructions":"Mind.","x-top":1,"_meta":{"a/b":1}}'
        )
    )
    async with seating(server) as here:
        reply = await seat_of(here).request("server/discover", None, CallScope())
        assert isinstance(reply, Result)
        assert json.loads(reply.raw) == {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28", *reversed(HANDSHAKE_VERSIONS)],
            "capabilities": {"tools": {"listChanged": True}, "x": 1.10},
            "instructions": "Mind.",
            "x-top": 1,
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {PREFIX + "serverInfo": {"name": "s", "version": "1", "x-v": 2}, "a/b": 1},
        }
        assert b'"x":1.10' in reply.raw


@BOTH
@pytest.mark.parametrize("method", sorted(REMOVED))
async def test_what_the_newer_era_no_longer_has_is_not_sent(seat_of: Any, method: str) -> None:
    async with seating(handshake_only()) as here:
        assert code(await seat_of(here).request(method, None, CallScope())) == METHOD_NOT_FOUND
        assert method == "initialize" or method not in here.server.methods


@BOTH
async def test_a_resource_that_is_not_there_is_a_bad_parameter(seat_of: Any) -> None:
    server = handshake_only()
    server.acts["resources/read"] = answers(frames.failure(-32002, "Resource not found", {"uri": "a:b"}))
    async with seating(server) as here:
        reply = await seat_of(here).request("resources/read", b'{"uri":"a:b"}', CallScope())
        assert json.loads(reply.raw) == {
            "code": INVALID_PARAMS,
            "message": "Resource not found",
            "data": {"uri": "a:b"},
        }


@BOTH
async def test_messages_are_heard_where_the_request_wants_them(seat_of: Any) -> None:
    async def says(asked: Any) -> Reply:
        asked.scope.notify("notifications/message", LOGGED)
        return Result(b"{}")

    async with seating(handshake_only(FakeTool("work", says), scoped=True)) as here:
        seat = seat_of(here)
        for level, heard in (("error", 1), ("alert", 0)):
            scope = CallScope()
            params = json.dumps({"name": "work", "_meta": {PREFIX + "logLevel": level}}).encode()
            await seat.request("tools/call", params, scope)
            assert len(scope.noticed) == heard
        scope = CallScope()
        await seat.request("tools/call", asks(), scope)
        assert scope.noticed == []


@BOTH
async def test_what_it_says_of_itself_goes_nowhere_and_the_link_outlives_it(seat_of: Any) -> None:
    async with seating(handshake_only(FakeTool("work"))) as here:
        seat = seat_of(here)
        await seat.request("tools/call", asks(), CallScope())
        seat.notify("notifications/roots/list_changed", None)
        await seat.close()
        await seat.request("tools/call", asks(), CallScope())
        assert here.server.notified == [("notifications/initialized", None)]
        assert len(here.server.links) == 1
        assert seat.listing(b"") is seat.listing(b"x")


async def test_a_client_that_answers_nothing_is_told_nothing_and_the_question_is_refused() -> None:
    asked: list[Any] = []

    async def asks_back(call: Any) -> Reply:
        asked.append(json.loads((await call.scope.request("roots/list", None)).raw))
        return Result(b"{}")

    async with seating(handshake_only(FakeTool("work", asks_back), scoped=True)) as here:
        assert isinstance(await own(here).request("tools/call", asks(), CallScope()), Result)
        assert asked[0]["code"] == METHOD_NOT_FOUND


@BOTH
async def test_a_filter_that_is_none_is_an_error_and_no_fault(seat_of: Any) -> None:
    async with seating(handshake_only()) as here:
        assert code(await seat_of(here).request("subscriptions/listen", b"{}", CallScope())) == INVALID_PARAMS


async def test_those_who_listen_in_common_ask_nothing_of_the_server() -> None:
    async with seating(handshake_only()) as here:
        seat = here.shared.common(here.upstream)
        listeners = listeners_in_common(seat, here.tasks)
        assert isinstance(listeners, Listeners)
        assert seat.ears == [listeners]
