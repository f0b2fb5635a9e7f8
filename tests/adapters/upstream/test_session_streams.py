"""The streams of a session: calls that are resumed, and the stream beside the calls."""

from time import monotonic
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.session import RESUME_ATTEMPTS, SessionLink
from fuseboard.errors import UpstreamLost
from fuseboard.ports import Result
from support.http_upstream import Call, Script, http_upstream, in_session
from support.links import CallScope, Inbound, handshake, value


def link_to(url: str, pool: HttpPool, tasks: anyio.abc.TaskGroup, **options: Any) -> SessionLink:
    options = {"inbound": Inbound(), "headers": {"Authorization": "Bearer x"}, **options}
    return SessionLink(name="files", url=url, pool=pool, tasks=tasks, **options)


async def _echo(call: Call) -> None:
    await call.result({"of": call.method})


def breaking(rest: Script, *, retry_ms: int = 60) -> Script:
    """A server that primes the stream of a call, breaks it off, and leaves the rest to the GET that resumes it."""

    async def first(call: Call) -> None:
        await call.stream()
        await call.event(id="e-1", retry_ms=retry_ms)
        await call.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"part": 1}}, id="e-2")

    async def listen(call: Call) -> None:
        await (rest(call) if "last-event-id" in call.headers else call.reply(405))

    return in_session(first, listen=listen)


async def test_a_call_whose_stream_broke_off_is_resumed_after_the_delay_asked_for(
    pool: HttpPool, tasks: anyio.abc.TaskGroup
) -> None:
    begun = 0.0

    async def rest(call: Call) -> None:
        nonlocal begun
        begun = monotonic()
        await call.stream()
        await call.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"part": 2}}, id="e-3")
        await call.event({"jsonrpc": "2.0", "id": 2, "result": {"late": True}}, id="e-4")

    async with http_upstream(breaking(rest)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        scope, start = CallScope(), monotonic()
        assert value(await link.request("tools/call", None, scope)) == {"late": True}
        resumed = [call for call in upstream.calls if "last-event-id" in call.headers]
    assert begun - start >= 0.06
    assert [part["part"] for _, part in scope.noticed] == [1, 2]
    assert len(upstream.seen("tools/call")) == 1, "the call itself is never sent twice"
    assert [call.headers["last-event-id"] for call in resumed] == ["e-2"]
    assert resumed[0].headers["mcp-session-id"] == "session-1"
    assert resumed[0].headers["accept"] == "text/event-stream"


async def test_a_server_may_break_off_as_often_as_it_likes_while_it_has_news(
    pool: HttpPool, tasks: anyio.abc.TaskGroup
) -> None:
    turns = RESUME_ATTEMPTS + 4

    async def rest(call: Call) -> None:
        turn = int(call.headers["last-event-id"].removeprefix("e-"))
        await call.stream()
        if turn == turns:
            await call.event({"jsonrpc": "2.0", "id": 2, "result": {}})
        elif turn % 3:
            await call.event(id=f"e-{turn + 1}")
        else:
            await call.event(id=f"e-{turn + 1}")
            await call.drop()

    async with http_upstream(breaking(rest, retry_ms=1)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        assert await link.request("tools/call", None, CallScope()) == Result(b"{}")


@pytest.mark.parametrize(
    ("status", "dead"),
    [pytest.param(400, False, id="it cannot be resumed"), pytest.param(404, True, id="the session has ended")],
)
async def test_a_call_that_cannot_be_resumed_is_lost(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, status: int, dead: bool
) -> None:
    async def rest(call: Call) -> None:
        await call.reply(status)

    async with http_upstream(breaking(rest)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        with pytest.raises(UpstreamLost):
            await link.request("tools/call", None, CallScope())
        assert link.open is not dead


async def test_resuming_that_leads_nowhere_is_given_up(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.session._BACKOFF_MAX_S", 0.0)

    async def rest(call: Call) -> None:
        await (call.stream() if len(upstream.calls) % 2 else call.reply(503))

    async with http_upstream(breaking(rest, retry_ms=1)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        with pytest.raises(UpstreamLost, match="ended its stream before it answered"):
            await link.request("tools/call", None, CallScope())
        assert sum("last-event-id" in call.headers for call in upstream.calls) == RESUME_ATTEMPTS


async def test_cancelling_while_a_stream_is_being_resumed_is_said_too(
    pool: HttpPool, tasks: anyio.abc.TaskGroup
) -> None:
    resumed, gone = anyio.Event(), anyio.Event()

    async def rest(call: Call) -> None:
        await call.stream()
        resumed.set()
        await call.gone()
        gone.set()

    async with http_upstream(breaking(rest, retry_ms=1)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        async with anyio.create_task_group() as calling:
            calling.start_soon(link.request, "tools/call", None, CallScope())
            await resumed.wait()
            calling.cancel_scope.cancel()
        await gone.wait()
        while not upstream.seen("notifications/cancelled"):
            await anyio.lowlevel.checkpoint()


async def test_what_comes_outside_any_call_goes_to_the_handler(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    answers: list[Call] = []
    answered = anyio.Event()

    async def listen(call: Call) -> None:
        await call.stream()
        await call.event({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "nobody's"}})
        await call.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        await call.event({"jsonrpc": "2.0", "id": 9, "method": "roots/list"})
        await call.gone()

    async def script(call: Call) -> None:
        await in_session(_echo, listen=listen)(call)
        if call.verb == "POST" and not call.method:
            answers.append(call)
            answered.set()

    inbound = Inbound(Result(b'{"roots":[]}'))
    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks, inbound=inbound)
        await handshake(link)
        await inbound.until("notifications/tools/list_changed")
        await answered.wait()
        await link.close()
    assert [request.method for request in inbound.asked] == ["roots/list"]
    assert answers[0].message == {"jsonrpc": "2.0", "id": 9, "result": {"roots": []}}


async def test_the_stream_beside_the_calls_is_taken_up_again_where_it_broke_off(
    pool: HttpPool, tasks: anyio.abc.TaskGroup
) -> None:
    async def listen(call: Call) -> None:
        streams = [seen for seen in upstream.calls if seen.verb == "GET"]
        match len(streams):
            case 1:
                await call.stream()
                await call.event({"jsonrpc": "2.0", "method": "n/1"}, id="one", retry_ms=1)
                await call.drop()
            case 2:
                await call.reply(503)
            case 3:
                await call.stream()
                await call.event({"jsonrpc": "2.0", "method": "n/2"}, id="two")
            case _:
                await call.stream()
                await call.event({"jsonrpc": "2.0", "method": "n/3"})
                await call.gone()

    inbound = Inbound()
    async with http_upstream(in_session(_echo, listen=listen)) as upstream:
        link = link_to(upstream.url, pool, tasks, inbound=inbound)
        await handshake(link)
        await inbound.until("n/3")
        await link.close()
    assert [method for method, _ in inbound.noticed] == ["n/1", "n/2", "n/3"]
    asked_after = [call.headers.get("last-event-id") for call in upstream.calls if call.verb == "GET"]
    assert asked_after == [None, "one", "one", "two"]


@pytest.mark.parametrize(("status", "body"), [(404, b""), (400, b"Bad Request: No valid session ID provided")])
async def test_the_stream_beside_the_calls_learns_of_the_sessions_end(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, status: int, body: bytes
) -> None:
    async def listen(call: Call) -> None:
        await call.reply(status, body)

    inbound = Inbound()
    async with http_upstream(in_session(_echo, listen=listen)) as upstream:
        link = link_to(upstream.url, pool, tasks, inbound=inbound)
        await handshake(link)
        while link.open:
            await anyio.lowlevel.checkpoint()
        assert inbound.losses == ["files ended the session"]
