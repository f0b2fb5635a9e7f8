"""The link of one session, or of all by the operator's word: opened, opened again, and what comes back over it."""

from __future__ import annotations

import json

import anyio
import pytest

from fuseboard.errors import INVALID_PARAMS, UpstreamLost, UpstreamTimeout, UpstreamUnreachable
from fuseboard.ports import Failure, Reply, Request, Result
from fuseboard.upstreams.calls import PROGRESS
from fuseboard.upstreams.handshake import INITIALIZED, QUESTIONS
from fuseboard.upstreams.seats import Refused
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs, says
from support.gate import settle, working
from support.links import CallScope
from support.seating import INITIALIZE, asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

MESSAGE = "notifications/message"
TOOLS_CHANGED = "notifications/tools/list_changed"

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


async def test_a_client_is_not_flooded_with_questions() -> None:
    server = FakeServer("one")
    async with seating(server) as here, anyio.create_task_group() as tasks:
        client = CallScope(None)
        seat = here.handshake(client)
        for n in range(QUESTIONS):
            tasks.start_soon(seat.asked, Request(b"%d" % n, "roots/list", None))
        await settle()
        reply = await seat.asked(Request(b'"more"', "roots/list", None))
        assert isinstance(reply, Failure)
        assert b"256 questions wait" in reply.raw
        assert len(client.asked) == QUESTIONS
        tasks.cancel_scope.cancel()


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
        seat = here.handshake()
        await seat.open()
        catalog = seat.listing(b"").catalog
        catalog.replace({}, at=1.0)
        here.server.links[0].tell(TOOLS_CHANGED)
        assert catalog.learned_at is None
        assert here.back.noticed == [(TOOLS_CHANGED, None)]


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


@pytest.mark.parametrize(("scoped", "times"), [(True, 2), (False, 1)], ids=["http", "pipe"])
async def test_a_connection_that_breaks_under_the_handshake_says_nothing_of_an_http_server(
    scoped: bool, times: int
) -> None:
    server = FakeServer("u", FakeTool("work"), scoped=scoped)

    async def breaks(asked: Asked) -> Reply:
        del server.acts["initialize"]
        raise UpstreamLost("u", "the connection to u was lost before it answered")

    server.acts["initialize"] = breaks
    async with seating(server) as here:
        seat = here.handshake()
        if scoped:
            await seat.open()
        else:
            with pytest.raises(UpstreamLost):
                await seat.open()
        assert server.methods == ["initialize"] * times
        assert (here.upstream.health.state == "up") is scoped
