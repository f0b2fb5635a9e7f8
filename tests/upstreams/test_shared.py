"""The one link of the stateless era: whose message is whose, and does the upstream speak that era at all."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND, UpstreamUnreachable
from fuseboard.ports import Failure, Reply, Result
from fuseboard.upstreams.calls import ACKNOWLEDGED, LISTEN, PROGRESS
from fuseboard.upstreams.shared import PROBE_TIMEOUT_S
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs
from support.gate import Gate, settle, working
from support.links import CallScope
from support.seating import Seating, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

MESSAGE = "notifications/message"
TOOLS_CHANGED = "notifications/tools/list_changed"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

# The one link of the stateless era.


async def two_callers(here: Seating, gate: Gate, token_of: Any) -> tuple[CallScope, CallScope]:
    """Two clients' calls under way on one link; progress is reported for both, then both end."""
    one, two = CallScope(), CallScope()
    seat = here.shared.at(here.upstream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(seat.request, "tools/call", asks(token=token_of(0), who="one"), one)
        tasks.start_soon(seat.request, "tools/call", asks(token=token_of(1), who="two"), two)
        await here.server.reached("tools/call", 2)
        for asked, token in zip(gate.asked, gate.tokens(), strict=True):
            here.server.links[0].tell(PROGRESS, {"progressToken": token, "message": asked.arguments["who"]})
        here.server.links[0].tell(MESSAGE, {"data": "whose?"})
        gate.on.set()
    return one, two


TOKENS = {
    "7 and 7": lambda n: 7,
    "a and a": lambda n: "a",
    "1 and 2": lambda n: n + 1,
    "2 and 1": lambda n: 2 - n,
    "1 and the text 1": lambda n: [1, "1"][n],
}


@pytest.mark.parametrize("token_of", TOKENS.values(), ids=TOKENS.keys())
async def test_on_a_shared_pipe_two_callers_tokens_never_cross(token_of: Any) -> None:
    server, gate = working()
    async with seating(server) as here:
        one, two = await two_callers(here, gate, token_of)
    assert len(set(map(str, gate.tokens()))) == 2
    assert one.noticed == [(PROGRESS, {"progressToken": token_of(0), "message": "one"})]
    assert two.noticed == [(PROGRESS, {"progressToken": token_of(1), "message": "two"})]


async def test_what_cannot_be_told_whose_it_is_reaches_nobody() -> None:
    server, gate = working()
    async with seating(server) as here:
        one, two = await two_callers(here, gate, lambda n: n)
        server.links[0].tell(MESSAGE, {"data": "late"})
        server.links[0].tell(PROGRESS, {"progressToken": gate.tokens()[0]})
        # A report of progress that comes after its call is late, and no loss.
        assert here.upstream.losses.counts == {"notifications/message: no telling whose it is": 2}
    for scope in (one, two, here.back, here.everyone):
        assert MESSAGE not in dict(scope.noticed)
        assert len(scope.noticed) <= 1


async def test_with_one_call_under_way_a_message_is_that_call_s() -> None:
    server, gate = working()
    async with seating(server) as here:
        call = CallScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.shared.at(here.upstream).request, "tools/call", asks(), call)
            await server.reached("tools/call")
            server.links[0].tell(MESSAGE, {"data": 1})
            gate.on.set()
    assert call.noticed == [(MESSAGE, {"data": 1})]


async def test_where_each_call_has_its_own_stream_the_client_s_token_goes_upstream_as_it_is() -> None:
    server, gate = working(scoped=True)
    async with seating(server) as here:
        await two_callers(here, gate, lambda n: "mine")
    assert gate.tokens() == ["mine", "mine"]


async def test_a_request_without_a_token_keeps_every_byte() -> None:
    raw = b'{ "name":"work", "arguments":{"n":1.10} }'
    async with seating(FakeServer("u", FakeTool("work"))) as here:
        await here.shared.at(here.upstream).request("tools/call", raw, CallScope())
        assert here.server.calls[0].params == raw


async def test_all_callers_have_one_seat() -> None:
    async with seating(FakeServer("u")) as here:
        assert here.shared.at(here.upstream) is here.shared.at(here.upstream)
        await here.shared.at(here.upstream).open()
        await here.shared.close()
        assert here.server.links[0].closed


async def test_a_server_of_the_stateless_era_has_no_questions() -> None:
    async with seating(FakeServer("u")) as here:
        await here.shared.at(here.upstream).open()
        reply = await here.server.links[0].ask("roots/list")
        assert isinstance(reply, Failure)
        assert json.loads(reply.raw)["code"] == METHOD_NOT_FOUND


async def test_a_list_that_changed_on_a_shared_link_is_listed_anew() -> None:
    async with seating(FakeServer("u")) as here:
        await here.shared.at(here.upstream).open()
        catalog = here.shared.at(here.upstream).listing(b"anyone").catalog
        catalog.replace({}, at=1.0)
        here.server.links[0].tell(TOOLS_CHANGED)
        assert catalog.learned_at is None
        assert here.upstream.losses.counts == {}


# Subscriptions.


def of(id: int, **more: Any) -> dict[str, Any]:
    return {"_meta": {SUBSCRIPTION: id}, **more}


async def test_acknowledgements_find_their_subscribers_however_late_and_in_whatever_order() -> None:
    server = FakeServer("u")
    server.acts[LISTEN] = hangs
    async with seating(server) as here:
        one, two = CallScope(), CallScope()
        seat = here.shared.at(here.upstream)
        async with anyio.create_task_group() as tasks:
            for scope in (one, two):
                tasks.start_soon(seat.request, LISTEN, None, scope)
            second = await server.reached(LISTEN, 2)
            first = next(asked for asked in server.asked if asked is not second)
            await anyio.sleep(600)
            server.links[0].tell(ACKNOWLEDGED, of(second.id, notifications={"promptsListChanged": True}))
            server.links[0].tell(TOOLS_CHANGED, of(first.id))
            server.links[0].tell(ACKNOWLEDGED, of(first.id))
            tasks.cancel_scope.cancel()
    assert [method for method, _ in one.noticed] == [TOOLS_CHANGED, ACKNOWLEDGED]
    assert [method for method, _ in two.noticed] == [ACKNOWLEDGED]
    assert two.noticed[0][1]["notifications"] == {"promptsListChanged": True}


async def test_an_acknowledgement_for_somebody_who_has_left_is_not_the_next_one_s() -> None:
    server = FakeServer("u")
    server.acts[LISTEN] = hangs
    async with seating(server) as here:
        gone, next_one = CallScope(), CallScope()
        seat = here.shared.at(here.upstream)
        with anyio.move_on_after(1):
            await seat.request(LISTEN, None, gone)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(seat.request, LISTEN, None, next_one)
            await server.reached(LISTEN, 2)
            for asked in server.asked:
                server.links[0].tell(ACKNOWLEDGED, of(asked.id))
            tasks.cancel_scope.cancel()
    assert gone.noticed == []
    assert len(next_one.noticed) == 1


async def test_an_acknowledgement_that_names_no_subscription_is_nobody_s_and_no_call_s() -> None:
    server, gate = working()
    async with seating(server) as here:
        call = CallScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.shared.at(here.upstream).request, "tools/call", asks(), call)
            await server.reached("tools/call")
            server.links[0].tell(ACKNOWLEDGED, {"notifications": {}})
            gate.on.set()
        assert call.noticed == []
        assert here.upstream.losses.counts == {f"{ACKNOWLEDGED}: no telling whose it is": 1}


# Which era does it speak?

PROBES = {
    "a result": (answers({"capabilities": {}, "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s"}}}), True),
    "a result of another shape": (answers(Result(b"[]")), True),
    "a result with a _meta of another shape": (answers({"_meta": 7}), True),
    "method not found": (fails(METHOD_NOT_FOUND, "no"), False),
    "invalid params": (fails(INVALID_PARAMS, "no"), False),
    "a code that only the stateless era has": (fails(-32021, "no"), True),
}


@pytest.mark.parametrize(("act", "speaks"), PROBES.values(), ids=PROBES.keys())
async def test_the_answer_to_a_probe_tells_the_era_and_is_asked_for_once(act: Any, speaks: bool) -> None:
    server = FakeServer("u")
    server.acts["server/discover"] = act
    async with seating(server) as here:
        seat = here.shared.at(here.upstream)
        began = anyio.current_time()
        for _ in range(3):
            assert await seat.speaks(b'{"_meta":{}}') is speaks
        assert anyio.current_time() - began <= PROBE_TIMEOUT_S
        assert server.methods == ["server/discover"]
        assert here.upstream.stateless is speaks
        assert server.links[0].closed is not speaks


async def test_silence_says_nothing_for_ever_a_server_may_be_slow_to_start() -> None:
    server = FakeServer("u")
    server.acts["server/discover"] = hangs
    async with seating(server) as here:
        seat = here.shared.at(here.upstream)
        assert not await seat.speaks(b'{"_meta":{}}')
        assert here.upstream.stateless is None
        del server.acts["server/discover"]
        assert await seat.speaks(b'{"_meta":{}}')


async def test_a_probe_goes_on_when_whoever_asked_for_it_has_gone() -> None:
    server = FakeServer("u")
    server.gate = anyio.Event()
    async with seating(server) as here:
        seat = here.shared.at(here.upstream)
        with anyio.move_on_after(1):
            await seat.speaks(b'{"_meta":{}}')
        server.gate.set()
        assert await seat.speaks(b'{"_meta":{}}')
        assert server.methods == ["server/discover"]


async def test_after_a_call_was_given_up_a_message_that_names_no_call_reaches_nobody() -> None:
    server, gate = working()
    async with seating(server) as here:
        seat = here.shared.at(here.upstream)
        with anyio.move_on_after(1):
            await seat.request("tools/call", asks(), CallScope())
        other = CallScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(seat.request, "tools/call", asks(), other)
            await settle()
            server.links[0].tell(MESSAGE, {"data": "about the call that was given up"})
            gate.on.set()
        assert other.noticed == []
        assert here.upstream.losses.counts == {"notifications/message: no telling whose it is": 1}


async def test_however_many_ask_at_once_one_probe_is_sent() -> None:
    async with seating(FakeServer("u")) as here:
        seat = here.shared.at(here.upstream)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(seat.speaks, None)
        assert here.server.methods == ["server/discover"]


async def test_a_server_that_falls_over_the_probe_shakes_hands_and_its_link_is_freed() -> None:
    server = FakeServer("u")

    async def falls(asked: Asked) -> Reply:
        server.crash()
        await anyio.lowlevel.checkpoint()
        raise AssertionError("unreachable")

    server.acts["server/discover"] = falls
    async with seating(server) as here:
        assert not await here.shared.at(here.upstream).speaks(None)
        assert server.links[0].closed
        await here.handshake().open()


async def test_a_server_that_cannot_be_reached_is_asked_again_later() -> None:
    server = FakeServer("u")
    server.down = "is not there"
    async with seating(server) as here:
        with pytest.raises(UpstreamUnreachable):
            await here.shared.at(here.upstream).speaks(None)
        assert here.upstream.stateless is None
        server.down = None
        await anyio.sleep(1)
        assert await here.shared.at(here.upstream).speaks(None)
