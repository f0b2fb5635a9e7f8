"""Upstream sessions behind stateless clients: one for each kind of client, and whose the upstream's words are."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.bridges.stateless_sessions import SESSIONS, Client, declared
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND, UPSTREAM_UNREACHABLE
from fuseboard.ports import Failure, Reply
from support.fake_server import Asked, FakeLink, FakeServer, FakeTool, fails, hangs, says, text
from support.playbook import IDLE_S, FakeClient, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

LEVEL = "io.modelcontextprotocol/logLevel"
MESSAGE = "notifications/message"


def server(*tools: FakeTool, **options: Any) -> FakeServer:
    made = FakeServer("u", FakeTool("look", says("seen")), *tools, eras=[Era.HANDSHAKE], **options)
    made.capabilities = {"tools": {}, "logging": {}}
    return made


def links(upstream: FakeServer) -> list[FakeLink]:
    """Those of the era; one of the other is left by the probe."""
    return [link for link in upstream.links if link.era is Era.HANDSHAKE]


def hellos(upstream: FakeServer) -> list[Any]:
    return [asked.value for asked in upstream.asked if asked.method == "initialize"]


def untranslated(play: Play) -> dict[str, int]:
    counts: dict[str, int] = play.board.health()["u"].get("untranslated", {})
    return counts


# One for each kind of client.


async def test_the_server_hears_the_client_s_own_name_and_capabilities() -> None:
    upstream = server()
    async with playing(upstream) as play:
        client = play.arrive(Era.STATELESS, elicitation={"form": {}}, tasks={}, **{"x/v": {"a": 1}})
        await client.call("look")
        (hello,) = hellos(upstream)
        assert hello["protocolVersion"] == "2025-11-25"
        assert hello["capabilities"] == {"elicitation": {"form": {}}, "x/v": {"a": 1}}
        assert hello["clientInfo"]["name"] == "raw-client"
        assert upstream.notified == [("notifications/initialized", None)]


async def test_each_kind_of_client_of_each_principal_has_its_own_session() -> None:
    upstream = server()
    async with playing(upstream) as play:
        for principal, capabilities in [("ada", {}), ("ada", {}), ("ada", {"roots": {}}), ("bob", {}), ("ada", {})]:
            await play.arrive(Era.STATELESS, principal=principal, **capabilities).call("look")
        assert len(hellos(upstream)) == 3


def test_the_same_client_is_known_however_it_writes_itself() -> None:
    meta = {"io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"}}
    one, other = [
        Client.of({**meta, "io.modelcontextprotocol/clientCapabilities": capabilities})
        for capabilities in ({"roots": {}, "sampling": {"a": 1, "b": 2}}, {"sampling": {"b": 2, "a": 1}, "roots": {}})
    ]
    assert one.key == other.key
    for odd in ({}, {"io.modelcontextprotocol/clientInfo": "me"}):
        assert Client.of(odd).info == {"name": "unknown", "version": "0"}
    assert Client.of({"io.modelcontextprotocol/clientCapabilities": 7}).capabilities == {}


async def test_idle_sessions_are_closed_and_opened_anew() -> None:
    upstream = server()
    async with playing(upstream) as play:
        client = play.arrive(Era.STATELESS)
        await client.call("look")
        await anyio.sleep(IDLE_S / 2)
        await client.call("look")
        await anyio.sleep(IDLE_S * 0.75)
        assert not links(upstream)[0].closed
        await anyio.sleep(IDLE_S * 0.5)
        assert links(upstream)[0].closed
        await client.call("look")
        assert len(links(upstream)) == 2


async def busy(play: Play, tasks: Any) -> None:
    """Have as many sessions in use as there may be."""
    for number in range(SESSIONS):
        tasks.start_soon(play.arrive(Era.STATELESS, **{f"x/{number}": {}}).call, "hang")
    await play.server("u").reached("tools/call", times=SESSIONS)


async def test_a_session_that_does_nothing_makes_room_for_another() -> None:
    upstream = server(FakeTool("hang", hangs))
    async with playing(upstream) as play:
        for number in range(SESSIONS + 1):
            await anyio.sleep(1)
            await play.arrive(Era.STATELESS, **{f"x/{number}": {}}).call("look")
        assert [link.closed for link in links(upstream)] == [True] + [False] * SESSIONS


async def test_one_that_is_in_use_is_never_closed_and_the_next_client_is_refused() -> None:
    upstream = server(FakeTool("hang", hangs), parallel=None)
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        await busy(play, tasks)
        with pytest.raises(RpcError) as refused:
            await play.arrive(Era.STATELESS, roots={}).call("look")
        assert refused.value.code == UPSTREAM_UNREACHABLE
        assert f"{SESSIONS} sessions" in refused.value.message
        assert not any(link.closed for link in links(upstream))
        await play.arrive(Era.STATELESS, principal="bob").call("look")
        tasks.cancel_scope.cancel()


# Whose question it is, where nothing says so.


async def asks_aside(upstream: FakeServer, method: str = "roots/list") -> Any:
    return json.loads((await links(upstream)[-1].ask(method)).raw)


async def test_a_question_beside_the_calls_is_that_of_the_only_call() -> None:
    asked: list[Any] = []

    async def act(call: Asked) -> Reply:
        asked.append(await asks_aside(upstream))
        return text("done")

    upstream = server(FakeTool("work", act))
    async with playing(upstream) as play:
        client = play.arrive(Era.STATELESS, roots={})
        first = await client.call("work")
        assert first["inputRequests"] == {"q1": {"method": "roots/list"}}
        last = {"requestState": first["requestState"], "inputResponses": {"q1": {"roots": []}}}
        await client.request("tools/call", {"name": "work", "arguments": {}, **last})
        assert asked == [{"roots": []}]


async def test_a_question_that_may_be_anybody_s_is_refused_and_counted() -> None:
    upstream = server(FakeTool("hang", hangs))
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(play.arrive(Era.STATELESS, roots={}).call, "hang")
        await upstream.reached("tools/call", times=2)
        error = await asks_aside(upstream)
        assert error["code"] == METHOD_NOT_FOUND
        assert "several calls are under way" in error["message"]
        assert untranslated(play) == {"roots/list: several calls are under way": 1}
        tasks.cancel_scope.cancel()


async def test_a_question_outside_any_call_is_refused_and_counted() -> None:
    upstream = server()
    async with playing(upstream) as play:
        await play.arrive(Era.STATELESS, roots={}).call("look")
        assert "no call is under way" in (await asks_aside(upstream))["message"]
        assert untranslated(play) == {"roots/list: no call is under way": 1}
        assert await asks_aside(upstream, "ping") == {}


async def test_the_sessions_of_two_clients_do_not_answer_for_each_other() -> None:
    upstream = server(FakeTool("hang", hangs))
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        await play.arrive(Era.STATELESS, principal="ada", roots={}).call("look")
        tasks.start_soon(play.arrive(Era.STATELESS, principal="bob", roots={}).call, "hang")
        await upstream.reached("tools/call", times=2)
        reply = await links(upstream)[0].ask("roots/list")  # on ada's session
        assert isinstance(reply, Failure)
        tasks.cancel_scope.cancel()


# Log messages and progress.


def said(client: FakeClient) -> list[Any]:
    return [params["data"] for method, params in client.heard.noticed if method == MESSAGE]


async def log(client: FakeClient, level: str | None) -> None:
    meta = {"_meta": {LEVEL: level}} if level else {}
    await client.request("tools/call", {"name": "work", "arguments": {}, **meta})


async def speaks(asked: Asked) -> Reply:
    for level in ("debug", "info", "error"):
        asked.scope.notify(MESSAGE, json.dumps({"level": level, "data": level}).encode())
    return text("done")


async def test_the_server_logs_at_the_lowest_level_that_was_wanted_and_is_told_when_that_changes() -> None:
    upstream = server(FakeTool("work", speaks), scoped=True)
    async with playing(upstream) as play:
        clients = [play.arrive(Era.STATELESS) for _ in range(4)]
        for client, level in zip(clients, ("error", "info", "warning", None), strict=True):
            await log(client, level)
        levels = [asked.value["level"] for asked in upstream.asked if asked.method == "logging/setLevel"]
        assert levels == ["error", "info"]
        assert [said(client) for client in clients] == [["error"], ["info", "error"], ["error"], []]


async def test_a_server_without_logging_is_not_told_any_level() -> None:
    upstream = server(FakeTool("work", speaks), scoped=True)
    upstream.capabilities = {"tools": {}}
    async with playing(upstream) as play:
        await log(play.arrive(Era.STATELESS), "info")
        assert "logging/setLevel" not in upstream.methods


async def test_a_server_that_refuses_the_level_still_gets_the_call() -> None:
    upstream = server(FakeTool("work", speaks), scoped=True)
    upstream.acts["logging/setLevel"] = fails(-32603, "no")
    async with playing(upstream) as play:
        await log(play.arrive(Era.STATELESS), "info")
        assert untranslated(play) == {"logging/setLevel: refused by the server": 1}


async def test_a_link_that_was_opened_anew_is_told_the_level_again() -> None:
    upstream = server(FakeTool("work", speaks), scoped=True)
    async with playing(upstream) as play:
        client = play.arrive(Era.STATELESS)
        await log(client, "info")
        upstream.crash()
        await client.call("look")
        await log(client, "info")
        assert upstream.methods.count("logging/setLevel") == 2


async def test_a_message_beside_the_calls_goes_to_the_only_one_or_to_nobody() -> None:
    upstream = server(FakeTool("hang", hangs))
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        first, second = play.arrive(Era.STATELESS), play.arrive(Era.STATELESS)
        meta = {"name": "hang", "arguments": {}, "_meta": {LEVEL: "debug"}}
        tasks.start_soon(first.request, "tools/call", meta)
        await upstream.reached("tools/call")
        links(upstream)[-1].tell(MESSAGE, {"level": "info", "data": 1})
        tasks.start_soon(second.request, "tools/call", meta)
        await upstream.reached("tools/call", times=2)
        links(upstream)[-1].tell(MESSAGE, {"level": "info", "data": 2})
        assert (said(first), said(second)) == ([1], [])
        assert untranslated(play) == {"notifications/message: no telling whose it is": 1}
        tasks.cancel_scope.cancel()


async def test_the_same_progress_token_of_two_requests_is_two_for_the_server() -> None:
    tokens: list[int] = []

    async def act(asked: Asked) -> Reply:
        token = asked.value["_meta"]["progressToken"]
        tokens.append(token)
        await upstream.reached("tools/call", times=2)
        links(upstream)[-1].tell("notifications/progress", {"progressToken": token, "progress": token})
        return text("done")

    upstream = server(FakeTool("work", act))
    async with playing(upstream) as play:
        clients = [play.arrive(Era.STATELESS), play.arrive(Era.STATELESS)]
        async with anyio.create_task_group() as tasks:
            for client in clients:
                params = {"name": "work", "arguments": {}, "_meta": {"progressToken": "same"}}
                tasks.start_soon(client.request, "tools/call", params)
        assert len(set(tokens)) == 2
        assert [len(client.heard.noticed) for client in clients] == [1, 1]
        assert {params["progressToken"] for client in clients for _, params in client.heard.noticed} == {"same"}


async def test_elicitations_that_were_completed_elsewhere_are_nobody_s_business_any_more() -> None:
    upstream = server()
    async with playing(upstream) as play:
        client = play.arrive(Era.STATELESS)
        await client.call("look")
        links(upstream)[-1].tell("notifications/elicitation/complete", {"elicitationId": "e"})
        assert client.heard.noticed == []
        assert sum(untranslated(play).values()) == 1


def test_an_introduction_that_is_none_declares_nothing() -> None:
    assert declared(b'{"capabilities":{"tools":{}}}') == {"tools": {}}
    for odd in (None, b"[]", b'{"capabilities":7}', b"{}"):
        assert declared(odd) == {}
