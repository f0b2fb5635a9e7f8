from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Reply, Request, Result, Scope
from support.edge import HELLO, Served, Wire, answer_to, frame, serving
from support.gateway import FakeGateway, result

CALL = {"name": "echo", "arguments": {"text": "hello"}}


@asynccontextmanager
async def stream(served: Served, **headers: str) -> AsyncIterator[tuple[Wire, str]]:
    """The open GET and the path to post to."""
    async with served.wire() as wire:
        answer = await wire.ask("GET", "/sse", {"Accept": "text/event-stream", **headers})
        assert answer.streams
        endpoint = await wire.event()
        assert endpoint is not None
        assert endpoint.name == "endpoint"
        yield wire, endpoint.data


async def test_messages_go_up_by_post_and_come_down_the_stream() -> None:
    gateway = FakeGateway()
    async with serving(gateway) as served, stream(served) as (wire, path):
        assert path.startswith("/messages/?session_id=")
        answer = await served.ask("POST", path, body=frame(1, "initialize", HELLO))
        assert (answer.status, answer.body) == (202, b"")
        first = await wire.event()
        assert first is not None
        assert (first.name, first.json["id"]) == ("message", 1)
        await served.ask("POST", path, body=frame(None, "notifications/initialized"))
        await served.ask("POST", path, body=frame(2, "tools/call", CALL))
        second = await wire.event()
        assert second is not None
        assert second.json["result"]["content"][0]["text"] == '{"text": "hello"}'
        (session,) = gateway.sessions
        assert session.origin.session == path.partition("=")[2]
        assert session.notified_of == [("notifications/initialized", None)]


async def test_the_server_may_ask_and_tell() -> None:
    gateway = FakeGateway()

    async def ask(request: Request, scope: Scope) -> Reply:
        scope.notify("n", None)
        reply = await scope.request("elicitation/create", None)
        assert isinstance(reply, Result)
        return reply

    gateway.acts["tools/call"] = ask
    async with serving(gateway) as served, stream(served) as (wire, path):
        await served.ask("POST", path, body=frame(2, "tools/call", CALL))
        told, asked = await wire.event(), await wire.event()
        assert told is not None
        assert told.json["method"] == "n"
        assert asked is not None
        await served.ask("POST", path, body=answer_to(asked.json["id"], {"yes": 1}))
        final = await wire.event()
        assert final is not None
        assert final.json == {"jsonrpc": "2.0", "id": 2, "result": {"yes": 1}}
        back = gateway.sessions[0].back
        assert back is not None
        back.notify("outside", None)
        outside = await wire.event()
        assert outside is not None
        assert outside.json["method"] == "outside"


async def test_closing_the_stream_ends_the_session_and_what_runs_in_it() -> None:
    gateway = FakeGateway()
    started, stopped = anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return result({})

    gateway.acts["tools/call"] = slow
    async with serving(gateway) as served:
        async with stream(served) as (_, path):
            await served.ask("POST", path, body=frame(2, "tools/call", CALL))
            await started.wait()
        await stopped.wait()
        await gateway.sessions[0].closed.wait()
        assert (await served.ask("POST", path, body=frame(3, "ping"))).status == 404


@pytest.mark.parametrize("query", ["", "?session_id=", "?session_id=" + "0" * 32, "?other=1", "?" + "a=1&" * 50])
async def test_a_session_that_is_not_open_cannot_be_posted_to(query: str) -> None:
    async with serving(FakeGateway()) as served, stream(served):
        answer = await served.ask("POST", "/messages/" + query, body=frame(1, "ping"))
    assert answer.status == 404


async def test_a_session_belongs_to_the_credential_that_opened_it() -> None:
    auth = {"token-of-ann": ("ann", ()), "token-of-bob": ("bob", ())}
    ann, bob = ({"Authorization": f"Bearer {token}"} for token in auth)
    async with serving(FakeGateway(), auth=auth) as served, stream(served, **ann) as (_, path):
        assert (await served.ask("POST", path, bob, frame(1, "ping"))).status == 404
        assert (await served.ask("POST", path, {}, frame(1, "ping"))).status == 401
        assert (await served.ask("POST", path, ann, frame(1, "ping"))).status == 202


async def test_a_frame_that_is_none_is_answered_on_the_stream() -> None:
    async with serving(FakeGateway()) as served, stream(served) as (wire, path):
        assert (await served.ask("POST", path, body=b"nonsense")).status == 202
        event = await wire.event()
    assert event is not None
    assert event.json["error"]["code"] == -32700


async def test_sessions_are_limited() -> None:
    async with serving(FakeGateway(), limits=Limits(sessions=1)) as served, stream(served):
        assert (await served.ask("GET", "/sse")).status == 503


async def test_a_quiet_stream_is_kept_alive() -> None:
    async with serving(FakeGateway(), limits=Limits(ping_s=0.05)) as served, stream(served) as (wire, _):
        assert await wire.chunk() == b": ping\n\n"


async def test_cancelling_by_notification_stops_the_handler() -> None:
    gateway = FakeGateway()
    started, stopped = anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return result({})

    gateway.acts["tools/call"] = slow
    async with serving(gateway) as served, stream(served) as (wire, path):
        await served.ask("POST", path, body=frame(2, "tools/call", CALL))
        await started.wait()
        await served.ask("POST", path, body=frame(None, "notifications/cancelled", {"requestId": 2}))
        await stopped.wait()
        await served.ask("POST", path, body=frame(3, "ping"))
        event = await wire.event()
        assert event is not None
        assert event.json["id"] == 3
