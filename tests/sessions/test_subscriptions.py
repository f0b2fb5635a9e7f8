"""One subscription of a client over several servers: each has its share, and the client hears one of them all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.ports import Reply
from fuseboard.sessions.subscriptions import MAX_URIS
from support.fake_server import Asked, FakeServer, FakeTool, result
from support.playbook import FakeClient, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
TOOLS = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
MODERN = [Era.STATELESS]
TOOLS_ALONE = {"toolsListChanged": True}


class Speaker:
    """A server that serves subscriptions, over a transport with a stream for each."""

    def __init__(self, alias: str, *tools: str, **honours: Any) -> None:
        self.server = FakeServer(alias, *(FakeTool(name) for name in tools), eras=MODERN, scoped=True)
        self.server.resources = [f"{alias}://a", f"{alias}://b"]
        self.server.acts["subscriptions/listen"] = self._listen
        self._honours = honours
        self.open: list[Asked] = []
        self._ends = anyio.Event()

    async def _listen(self, asked: Asked) -> Reply:
        wanted = asked.value["notifications"]
        self.open.append(asked)
        self.tell(ACKNOWLEDGED, {"notifications": self._honours.get("honours", wanted)}, asked)
        self._ends = anyio.Event()
        try:
            await self._ends.wait()
        finally:
            self.open.remove(asked)
        return result({"resultType": "complete", "_meta": {SUBSCRIPTION: "own"}})

    def end(self) -> None:
        self._ends.set()

    def tell(self, method: str, params: dict[str, Any] | None = None, asked: Asked | None = None) -> None:
        said = {**(params or {}), "_meta": {SUBSCRIPTION: "own", "x": 1}}
        (asked or self.open[-1]).scope.notify(method, json.dumps(said).encode())

    def offers(self, *names: str) -> None:
        self.server.tools = {name: FakeTool(name) for name in names}

    @property
    def filters(self) -> list[Any]:
        return [asked.value["notifications"] for asked in self.server.asked if asked.method == "subscriptions/listen"]


@asynccontextmanager
async def listening(play: Play, **wanted: Any) -> AsyncIterator[FakeClient]:
    """A client whose subscription is acknowledged, and for which a moment has passed."""
    client = await play.connect(Era.STATELESS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.request, "subscriptions/listen", {"notifications": wanted})
        await client.heard.until(ACKNOWLEDGED)
        await anyio.sleep(1)
        yield client
        tasks.cancel_scope.cancel()


def said(client: FakeClient) -> list[tuple[str, Any]]:
    """What was heard after the acknowledgement; all of it goes by the client's own request."""
    (first, _), *rest = client.heard.noticed
    assert first == ACKNOWLEDGED
    assert all(params["_meta"][SUBSCRIPTION] == 1 for _, params in client.heard.noticed)
    return [(method, params.get("uri")) for method, params in rest]


def promised(client: FakeClient) -> Any:
    return client.heard.noticed[0][1]["notifications"]


async def test_one_acknowledgement_comes_first_and_says_what_they_agreed_to() -> None:
    one, two = Speaker("one", "look"), Speaker("two", honours={})
    async with playing(one.server, two.server) as play, listening(play, toolsListChanged=True, x=1) as client:
        assert promised(client) == TOOLS_ALONE
        assert said(client) == []
        assert one.filters == two.filters == [TOOLS_ALONE]


async def test_a_resource_is_subscribed_to_where_it_is_and_nowhere_else() -> None:
    one, two = Speaker("one"), Speaker("two")
    uris = ["two://a", "one://b", "three://c"]
    async with (
        playing(one.server, two.server) as play,
        listening(play, resourceSubscriptions=uris) as client,
    ):
        assert promised(client) == {"resourceSubscriptions": ["two://a", "one://b"]}
        assert one.filters == [{"resourceSubscriptions": ["one://b"]}]
        assert two.filters == [{"resourceSubscriptions": ["two://a"]}]
        two.tell(UPDATED, {"uri": "two://a"})
        assert said(client) == [(UPDATED, "two://a")]
        assert client.heard.noticed[-1][1]["_meta"] == {SUBSCRIPTION: 1, "x": 1}


async def test_a_server_with_no_share_is_not_asked() -> None:
    one, two = Speaker("one"), Speaker("two")
    async with playing(one.server, two.server) as play, listening(play, resourceSubscriptions=["one://a"]):
        assert two.filters == []


async def test_a_changed_list_is_told_of_and_an_unchanged_one_is_not() -> None:
    one, two = Speaker("one", "look"), Speaker("two", "look")
    async with playing(one.server, two.server) as play, listening(play, toolsListChanged=True) as client:
        one.tell(TOOLS)
        await anyio.sleep(1)
        assert said(client) == []
        one.offers("listen")
        one.tell(TOOLS)
        two.tell(TOOLS)
        await anyio.sleep(1)
        assert said(client) == [(TOOLS, None)]
        assert client.heard.noticed[-1][1] == {"_meta": {SUBSCRIPTION: 1}}


async def test_what_nobody_asked_for_is_not_passed_on() -> None:
    one, two = Speaker("one", "look"), Speaker("two")
    async with playing(one.server, two.server) as play, listening(play, toolsListChanged=True) as client:
        one.tell("notifications/prompts/list_changed")
        one.tell(UPDATED, {"uri": "one://a"})
        one.tell("notifications/message", {"data": 1})
        await anyio.sleep(1)
        assert said(client) == []


async def test_hidden_tools_come_and_go_unheard_behind_one_server_too() -> None:
    one = Speaker("one", "look", "secret")
    rules = [{"id": "r", "tools": "*__secret", "decide": "deny"}]
    async with playing(one.server, rules=rules) as play:
        await (await play.connect(Era.STATELESS)).listed()
        async with listening(play, toolsListChanged=True) as client:
            one.offers("look")
            one.tell(TOOLS)
            await anyio.sleep(1)
            assert said(client) == []
            one.offers("look", "listen")
            one.tell(TOOLS)
            await anyio.sleep(1)
            assert said(client) == [(TOOLS, None)]


async def test_behind_one_server_that_hides_nothing_all_passes_as_it_comes() -> None:
    one = Speaker("one", "look")
    async with playing(one.server) as play, listening(play, toolsListChanged=True, x=1) as client:
        one.tell(TOOLS)
        assert said(client) == [(TOOLS, None)]
        assert one.filters == [{"toolsListChanged": True, "x": 1}]
        assert "tools/list" not in one.server.methods


async def test_when_the_client_gives_up_so_do_we_everywhere() -> None:
    one, two = Speaker("one", "look"), Speaker("two")
    async with playing(one.server, two.server) as play:
        async with listening(play, toolsListChanged=True):
            assert len(one.open) == len(two.open) == 1
        assert (one.open, two.open) == ([], [])
        await anyio.sleep(600)
        assert len(one.filters) == len(two.filters) == 1


@pytest.mark.parametrize("how", ["ends", "crashes"])
async def test_one_that_ends_is_listened_to_anew_and_what_was_missed_is_said(how: str) -> None:
    one, two = Speaker("one", "look"), Speaker("two", "look")
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["one://a"]}
    async with playing(one.server, two.server) as play, listening(play, **wanted) as client:
        one.end() if how == "ends" else one.server.crash()
        await anyio.sleep(0.1)
        one.offers("listen")
        two.offers("listen")
        two.tell(TOOLS)
        await anyio.sleep(0.5)
        assert said(client) == [(TOOLS, None)]  # the other goes on meanwhile
        await anyio.sleep(60)
        assert said(client) == [(TOOLS, None), (UPDATED, "one://a"), (TOOLS, None)]
        assert len(one.filters) == 2
        assert len(two.filters) == 1


async def test_one_that_comes_up_later_joins() -> None:
    one, two = Speaker("one", "look"), Speaker("two", "look")
    two.server.down = "is not there"
    async with playing(one.server, two.server) as play, listening(play, toolsListChanged=True) as client:
        assert promised(client) == TOOLS_ALONE
        two.server.down = None
        await anyio.sleep(120)
        assert said(client) == [(TOOLS, None)]
        two.offers("listen")
        two.tell(TOOLS)
        await anyio.sleep(1)
        assert said(client) == 2 * [(TOOLS, None)]


async def test_one_that_never_acknowledges_keeps_nobody_waiting_for_long() -> None:
    one, two = Speaker("one", "look"), Speaker("two")
    two.server.gate = anyio.Event()
    async with playing(one.server, two.server) as play:
        began = anyio.current_time()
        async with listening(play, toolsListChanged=True) as client:
            assert anyio.current_time() - began < 10
            assert promised(client) == TOOLS_ALONE
            two.server.gate.set()


async def test_where_no_server_has_subscriptions_there_are_none() -> None:
    servers = [FakeServer(alias, eras=MODERN) for alias in ("one", "two")]
    async with playing(*servers) as play:
        client = await play.connect(Era.STATELESS)
        with pytest.raises(RpcError, match="Method not found"):
            await client.request("subscriptions/listen", {"notifications": TOOLS_ALONE})
        assert client.heard.noticed == []


async def test_what_is_said_before_the_acknowledgement_comes_after_it() -> None:
    one, two = Speaker("one"), Speaker("two")
    two.server.down = "is not there"

    async def eager(asked: Asked) -> Reply:
        one.tell(UPDATED, {"uri": "one://a"}, asked)
        one.tell(UPDATED, {"uri": "one://a"}, asked)
        return await one._listen(asked)

    one.server.acts["subscriptions/listen"] = eager
    wanted = {"resourceSubscriptions": ["one://a"], "toolsListChanged": True}
    async with playing(one.server, two.server) as play, listening(play, **wanted) as client:
        assert said(client) == [(UPDATED, "one://a")]


async def test_a_filter_that_is_none_is_the_client_s_mistake() -> None:
    async with playing(Speaker("one").server, Speaker("two").server) as play:
        client = await play.connect(Era.STATELESS)
        for params in ({}, {"notifications": 7}, {"notifications": {"resourceSubscriptions": "x"}}):
            with pytest.raises(RpcError) as refused:
                await client.request("subscriptions/listen", params)
            assert refused.value.code == -32602


async def test_an_empty_filter_is_acknowledged_and_ends() -> None:
    async with playing(Speaker("one").server, Speaker("two").server) as play:
        client = await play.connect(Era.STATELESS)
        ended = await client.request("subscriptions/listen", {"notifications": {}})
        assert ended == {"resultType": "complete", "_meta": {SUBSCRIPTION: 1}}
        assert promised(client) == {}


async def test_servers_of_both_eras_are_heard() -> None:
    one, old = Speaker("one", "look"), FakeServer("old", FakeTool("look"), eras=[Era.HANDSHAKE])
    old.capabilities = {"tools": {"listChanged": True}}
    async with playing(one.server, old) as play, listening(play, toolsListChanged=True) as client:
        old.tools = {"listen": FakeTool("listen")}
        for link in old.links:
            link.tell(TOOLS)
        await anyio.sleep(1)
        assert said(client) == [(TOOLS, None)]


async def test_however_many_resources_nobody_has_they_are_looked_for_once() -> None:
    one, two = Speaker("one"), Speaker("two")
    uris = [f"three://{n}" for n in range(100)]
    async with playing(one.server, two.server) as play:
        client = await play.connect(Era.STATELESS)
        await client.request("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
        assert promised(client) == {}
        assert one.server.methods.count("resources/list") == 1


async def test_more_resources_than_anybody_subscribes_to_are_refused() -> None:
    async with playing(Speaker("one").server, Speaker("two").server) as play:
        client = await play.connect(Era.STATELESS)
        uris = [f"one://{n}" for n in range(MAX_URIS + 1)]
        with pytest.raises(RpcError, match="at most"):
            await client.request("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
