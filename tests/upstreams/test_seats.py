"""A seat at an upstream: its link, opened when needed and again after it died, and what comes back over it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND, UpstreamLost, UpstreamTimeout, UpstreamUnreachable
from fuseboard.ports import Failure, Handler, Reply, Result
from fuseboard.upstreams.calls import PROGRESS
from fuseboard.upstreams.seats import INITIALIZED, NOWHERE, PROBE_TIMEOUT_S, Absent, Refused
from support.fake_server import Asked, FakeLink, FakeServer, FakeTool, answers, fails, hangs, result, says
from support.links import CallScope
from support.seating import INITIALIZE, Seating, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

MESSAGE = "notifications/message"
TOOLS_CHANGED = "notifications/tools/list_changed"


class Gate:
    """A tool that says what it was asked and waits to be let on."""

    def __init__(self) -> None:
        self.on = anyio.Event()
        self.asked: list[Asked] = []

    async def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        await self.on.wait()
        return result({"content": []})

    def tokens(self) -> list[Any]:
        return [asked.value["_meta"]["progressToken"] for asked in self.asked]


def working(**options: Any) -> tuple[FakeServer, Gate]:
    gate = Gate()
    return FakeServer("u", FakeTool("work", gate), **options), gate


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


# The link of a session of the handshake era.


async def test_a_link_is_opened_when_first_needed_with_the_client_s_own_words() -> None:
    async with seating(FakeServer("u", FakeTool("work"))) as here:
        seat = here.handshake()
        assert here.server.links == []
        await seat.request("tools/call", asks(), CallScope())
        assert here.server.methods == ["initialize", "tools/call"]
        assert here.server.asked[0].params == INITIALIZE
        assert here.upstream.health.state == "up"
        assert here.upstream.health.server == {"name": "u", "version": "1"}


async def test_the_answer_to_initialize_is_kept_byte_for_byte() -> None:
    raw = b'{ "protocolVersion":"2025-06-18", "capabilities":{}, "serverInfo":{"name":"s"}, "x": 1.10 }'
    server = FakeServer("u")
    server.acts["initialize"] = answers(Result(raw))
    async with seating(server) as here:
        seat = here.handshake()
        await seat.open()
        assert seat.result == raw


async def test_however_many_need_it_at_once_it_is_opened_once() -> None:
    server = FakeServer("u", FakeTool("work"))
    server.gate = anyio.Event()
    async with seating(server) as here:
        seat = here.handshake()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(seat.request, "tools/call", asks(), CallScope())
            await settle()
            server.gate.set()
        assert server.methods == ["initialize"] + ["tools/call"] * 5


async def test_after_its_death_the_next_request_shakes_hands_anew_as_the_same_client() -> None:
    async with seating(FakeServer("u", FakeTool("work"))) as here:
        seat = here.handshake()
        await seat.open()
        seat.confirm()
        await seat.request("tools/call", asks(), CallScope())
        here.server.crash()
        await seat.request("tools/call", asks(), CallScope())
        assert here.server.methods == ["initialize", "tools/call"] * 2
        assert [asked.params for asked in here.server.asked if asked.method == "initialize"] == [INITIALIZE] * 2
        assert here.server.notified == [(INITIALIZED, None)] * 2
        assert here.server.links[0].closed


async def test_a_client_that_is_not_initialized_yet_is_not_said_to_be() -> None:
    async with seating(FakeServer("u", FakeTool("work"))) as here:
        seat = here.handshake()
        await seat.open()
        here.server.crash()
        await seat.open()
        assert here.server.notified == []


async def test_what_was_under_way_when_it_died_fails_and_is_not_sent_again() -> None:
    server, gate = working()
    async with seating(server) as here:
        seat = here.handshake()
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                with pytest.raises(UpstreamLost):
                    await seat.request("tools/call", asks(), CallScope())

            tasks.start_soon(call)
            await server.reached("tools/call")
            server.crash()
        assert len(gate.asked) == 1


async def test_a_handshake_that_is_refused_gives_the_upstream_s_own_error_and_leaves_no_link() -> None:
    server = FakeServer("u")
    server.acts["initialize"] = fails(INVALID_PARAMS, "not you")
    async with seating(server) as here:
        with pytest.raises(Refused) as refused:
            await here.handshake().open()
        assert json.loads(refused.value.reply.raw)["message"] == "not you"
        assert server.links[0].closed


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"hello"'])
async def test_an_answer_that_is_no_introduction_leaves_no_link_and_counts_as_a_failure(raw: bytes) -> None:
    server = FakeServer("u")
    server.acts["initialize"] = answers(Result(raw))
    async with seating(server) as here:
        seat = here.handshake()
        with pytest.raises(UpstreamUnreachable, match="no result"):
            await seat.open()
        assert server.links[0].closed
        assert here.upstream.health.state == "down"
        with pytest.raises(UpstreamUnreachable, match="will be tried again"):
            await seat.open()
        assert len(server.links) == 1


async def test_a_server_that_never_answers_initialize_is_given_up() -> None:
    server = FakeServer("u")
    server.acts["initialize"] = hangs
    async with seating(server) as here:
        with pytest.raises(UpstreamTimeout):
            await here.handshake().open()
        assert server.links[0].closed
        assert here.upstream.health.state == "down"


async def test_a_client_that_gives_up_while_it_opens_leaves_no_link() -> None:
    server = FakeServer("u")
    server.acts["initialize"] = hangs
    async with seating(server) as here:
        with anyio.move_on_after(1):
            await here.handshake().open()
        assert server.links[0].closed
        assert here.upstream.health.state == "unknown"


async def test_a_closed_seat_opens_no_more() -> None:
    async with seating(FakeServer("u")) as here:
        seat = here.handshake()
        await seat.open()
        await seat.close()
        await seat.close()
        assert here.server.links[0].closed
        with pytest.raises(UpstreamUnreachable, match="the session has ended"):
            await seat.request("tools/list", None, CallScope())


# Notifications.


class SlowLink(FakeLink):
    """Each notification takes a second, as one that is POSTed might."""

    async def notify(self, method: str, params: bytes | None) -> None:
        await anyio.sleep(1)
        await super().notify(method, params)


async def test_notifications_keep_their_order_and_a_later_request_waits_for_them() -> None:
    heard_before: list[int] = []
    server = FakeServer("u")

    async def counts(asked: Asked) -> Reply:
        heard_before.append(len(server.notified))
        return result({})

    async def connect(era: Era, inbound: Handler) -> FakeLink:
        server.links.append(SlowLink(server, era, inbound))
        return server.links[-1]

    server.acts["x"] = counts
    async with seating(server, connect) as here:
        seat = here.handshake()
        await seat.open()
        for number in range(3):
            seat.notify(f"n{number}", None)
        await seat.request("x", None, CallScope())
        seat.notify("n3", b'{"a":1}')
        await seat.request("x", None, CallScope())
    assert server.notified == [("n0", None), ("n1", None), ("n2", None), ("n3", {"a": 1})]
    assert heard_before == [3, 4]


async def test_a_notification_without_a_link_opens_none() -> None:
    async with seating(FakeServer("u")) as here:
        here.handshake().notify("n", None)
        await settle()
        assert here.server.links == []


# What comes back to the one client of a session.


async def test_progress_comes_back_to_its_own_call_and_stops_with_it() -> None:
    server, gate = working()
    async with seating(server) as here:
        seat, one, two = here.handshake(), CallScope(), CallScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(seat.request, "tools/call", asks(token="a"), one)
            tasks.start_soon(seat.request, "tools/call", asks(token="b"), two)
            await server.reached("tools/call", 2)
            assert sorted(gate.tokens()) == ["a", "b"]
            for token in ("b", "a", "c"):
                server.links[0].tell(PROGRESS, {"progressToken": token})
            gate.on.set()
        server.links[0].tell(PROGRESS, {"progressToken": "a"})
    assert one.noticed == [(PROGRESS, {"progressToken": "a"})]
    assert two.noticed == [(PROGRESS, {"progressToken": "b"})]
    assert here.back.noticed == []


async def test_a_message_comes_with_the_latest_call_and_between_calls_on_the_session_s_own_way() -> None:
    server, gate = working()
    async with seating(server) as here:
        seat, call = here.handshake(), CallScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(seat.request, "tools/call", asks(), call)
            await server.reached("tools/call")
            server.links[0].tell(MESSAGE, {"data": 1})
            gate.on.set()
        server.links[0].tell(MESSAGE, {"data": 2})
    assert call.noticed == [(MESSAGE, {"data": 1})]
    assert here.back.noticed == [(MESSAGE, {"data": 2})]


async def test_a_question_goes_to_the_client_of_the_session() -> None:
    server, gate = working()
    async with seating(server) as here:
        seat, call = here.handshake(), CallScope(Result(b'"from the call"'))
        await seat.open()
        assert await server.links[0].ask("roots/list") == Result(b'{"action":"accept","content":{"name":"Ada"}}')
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(seat.request, "tools/call", asks(), call)
            await server.reached("tools/call")
            assert await server.links[0].ask("roots/list") == Result(b'"from the call"')
            gate.on.set()


async def test_a_question_that_the_client_cannot_answer_any_more_has_an_error_for_an_answer() -> None:
    class Gone(CallScope):
        async def request(self, method: str, params: bytes | None) -> Reply:
            raise UpstreamLost("client", "the client has gone")

    async with seating(FakeServer("u")) as here:
        await here.handshake(Gone()).open()
        reply = await here.server.links[0].ask("roots/list")
        assert isinstance(reply, Failure)
        assert b"the client has gone" in reply.raw


async def test_a_changed_list_is_listed_anew_and_told() -> None:
    async with seating(FakeServer("u")) as here:
        await here.handshake().open()
        catalog = here.upstream.catalog(Era.HANDSHAKE)
        catalog.learn(b'{"tools":[]}', at=1.0, first_page=True)
        here.server.links[0].tell(TOOLS_CHANGED)
        assert catalog.learned_at is None
        assert here.back.noticed == [(TOOLS_CHANGED, None)]


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
        catalog = here.upstream.catalog(Era.STATELESS)
        catalog.learn(b'{"tools":[]}', at=1.0, first_page=True)
        here.server.links[0].tell(TOOLS_CHANGED)
        assert catalog.learned_at is None


# Which era does it speak?

PROBES = {
    "a result": (answers({"capabilities": {}, "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s"}}}), True),
    "a result of another shape": (answers(Result(b"[]")), True),
    "a result with a _meta of another shape": (answers({"_meta": 7}), True),
    "method not found": (fails(METHOD_NOT_FOUND, "no"), False),
    "invalid params": (fails(INVALID_PARAMS, "no"), False),
    "a code that only the stateless era has": (fails(-32021, "no"), True),
    "silence": (hangs, False),
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


# One link of the handshake era for all.


async def test_sessions_that_share_one_link_shake_hands_once_and_in_the_proxy_s_name() -> None:
    async with seating(FakeServer("u", FakeTool("work", says("done")))) as here:
        seat = here.shared.common(here.upstream)
        assert here.shared.common(here.upstream) is seat
        for _ in range(2):
            await seat.open()
            seat.confirm()
            await seat.request("tools/call", asks(), CallScope())
            await seat.close()
        assert here.server.methods == ["initialize", "tools/call", "tools/call"]
        assert here.server.asked[0].value["clientInfo"]["name"] == "fuseboard"
        assert here.server.notified == [(INITIALIZED, None)]
        assert not here.server.links[0].closed
        await here.shared.close()
        assert here.server.links[0].closed


async def test_on_a_link_for_all_tokens_never_cross_and_messages_reach_nobody() -> None:
    server, gate = working()
    async with seating(server) as here:
        seat, one, two = here.shared.common(here.upstream), CallScope(), CallScope()
        async with anyio.create_task_group() as tasks:
            for scope, who in ((one, "one"), (two, "two")):
                tasks.start_soon(seat.request, "tools/call", asks(token=7, who=who), scope)
            await server.reached("tools/call", 2)
            for asked, token in zip(gate.asked, gate.tokens(), strict=True):
                server.links[0].tell(PROGRESS, {"progressToken": token, "message": asked.arguments["who"]})
            server.links[0].tell(MESSAGE, {"data": "whose?"})
            server.links[0].tell(TOOLS_CHANGED)
            refused = await server.links[0].ask("elicitation/create")
            gate.on.set()
    assert one.noticed == [(PROGRESS, {"progressToken": 7, "message": "one"})]
    assert two.noticed == [(PROGRESS, {"progressToken": 7, "message": "two"})]
    assert here.everyone.noticed == [(TOOLS_CHANGED, None)]
    assert isinstance(refused, Failure)


# Nobody and nothing.


async def test_where_no_client_is_nothing_is_heard_and_no_question_answered() -> None:
    NOWHERE.notify("n", None)
    reply = await NOWHERE.request("roots/list", None)
    assert isinstance(reply, Failure)
    assert b"roots/list" in reply.raw


async def test_the_seat_at_an_absent_upstream_fails_when_something_is_sent_and_not_before() -> None:
    async with seating(FakeServer("u")) as here:
        fault = UpstreamUnreachable("u", "u is not there")
        seat = Absent(here.upstream, Era.HANDSHAKE, fault)
        seat.notify("n", None)
        await seat.close()
        with pytest.raises(UpstreamUnreachable) as raised:
            await seat.request("tools/call", None, CallScope())
        assert raised.value is fault
