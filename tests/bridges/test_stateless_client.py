"""A stateless client at a handshake server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges.stateless_client import ForStatelessClient
from fuseboard.era import PREFIX, Era
from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Failure, Reply, Result
from fuseboard.upstreams.handshake import CommonSeat
from support.fake_server import FakeServer, FakeTool, answers
from support.links import CallScope
from support.seating import Seating, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ODD = b'{"content":[ 1.10 ],"x-v":1180591620717411303424}'


def handshake_only(*tools: FakeTool, **options: Any) -> FakeServer:
    return FakeServer("u", *tools, eras={Era.HANDSHAKE}, **options)


def for_stateless(here: Seating) -> ForStatelessClient:
    return ForStatelessClient(CommonSeat(here.upstream, here.tasks, here.back))


def code(reply: Reply) -> int:
    assert isinstance(reply, Failure), reply
    return int(json.loads(reply.raw)["code"])


async def test_its_envelope_is_taken_off_and_the_results_say_their_type() -> None:
    async with seating(handshake_only(FakeTool("work", answers(Result(ODD))))) as here:
        seat = for_stateless(here)
        assert (seat.upstream, seat.era) == (here.upstream, Era.HANDSHAKE)
        params = json.dumps({"name": "work", "_meta": {PREFIX + "protocolVersion": "2026-07-28", "x": 1}}).encode()
        reply = await seat.request("tools/call", params, CallScope())
        assert reply == Result(ODD[:-1] + b',"resultType":"complete"}')
        assert here.server.methods == ["initialize", "tools/call"]
        assert here.server.calls[0].value == {"name": "work", "_meta": {"x": 1}}


@pytest.mark.parametrize("method", ["server/discover", "subscriptions/listen"])
async def test_what_the_handshake_era_does_not_have_yet_is_said_to_be_missing_and_not_sent(method: str) -> None:
    async with seating(handshake_only()) as here:
        assert code(await for_stateless(here).request(method, None, CallScope())) == METHOD_NOT_FOUND
        assert here.server.asked == []


async def test_the_upstream_s_introduction_is_its_answer_to_initialize() -> None:
    raw = b'{ "protocolVersion":"2025-06-18","capabilities":{} }'
    server = handshake_only()
    server.acts["initialize"] = answers(Result(raw))
    async with seating(server) as here:
        own = here.handshake()
        seat = ForStatelessClient(own)
        assert seat.introduction == b"{}"
        await own.open()
        assert seat.introduction == raw


async def test_its_end_is_the_end_of_the_link_and_what_one_client_says_of_itself_stays_here() -> None:
    async with seating(handshake_only(FakeTool("work"))) as here:
        seat = for_stateless(here)
        await seat.request("tools/call", asks(), CallScope())
        seat.notify("notifications/roots/list_changed", None)  # one of many clients: not said of them all
        await seat.request("tools/call", asks(), CallScope())
        assert here.server.notified == []
        await seat.close()
        assert here.server.links[0].closed
