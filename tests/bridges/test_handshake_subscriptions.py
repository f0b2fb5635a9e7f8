"""One stream of a stateless server for all that a handshake client wants to be told of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fuseboard import era
from fuseboard.bridges.handshake_subscriptions import ACK_TIMEOUT_S, DRAIN_S, RESOURCE_UPDATED, Subscriptions, bare
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Failure, Reply, Result
from fuseboard.wire import frames
from support.fake_server import FakeServer
from support.links import Notices
from support.listeners import Listeners
from support.seating import seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

TOOLS = "notifications/tools/list_changed"


class Listening:
    """A session's subscriptions at a scripted server; ``heard`` is what its client hears."""

    def __init__(self, subscriptions: Subscriptions, server: FakeServer, heard: Notices) -> None:
        self.subscriptions = subscriptions
        self.server = server
        self.listeners = Listeners(server)
        self.heard = heard

    @property
    def wanted(self) -> list[Any]:
        """The filters of the open streams."""
        return [stream.wanted for stream in self.listeners.open]


@asynccontextmanager
async def listening(*, scoped: bool = False) -> AsyncIterator[Listening]:
    server, heard = FakeServer("u", eras={Era.STATELESS}, scoped=scoped), Notices()
    async with seating(server) as here:
        subscriptions = Subscriptions(here.shared.at(here.upstream), here.tasks, envelope, heard.took)
        yield Listening(subscriptions, server, heard)
        subscriptions.close()


def envelope(params: bytes | None) -> bytes:
    return era.with_envelope(params, client_info={"name": "c"}, capabilities={})


def said(reply: Reply) -> Any:
    return json.loads(reply.raw)


pipe_and_http = pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])


@pipe_and_http
async def test_lists_and_resources_are_listened_to_on_one_stream(scoped: bool) -> None:
    async with listening(scoped=scoped) as here:
        assert await here.subscriptions.start(["tools", "resources"]) == ("tools", "resources")
        assert await here.subscriptions.subscribe("a://1") == Result(b"{}")
        await anyio.sleep(DRAIN_S)
        assert here.wanted == [
            {"toolsListChanged": True, "resourcesListChanged": True, "resourceSubscriptions": ["a://1"]}
        ]
        assert here.listeners.streams[-1].meta["io.modelcontextprotocol/clientInfo"] == {"name": "c"}
        here.listeners.tell(TOOLS)
        here.listeners.tell(RESOURCE_UPDATED, uri="a://1", title="x")
        assert here.heard.noticed == [(TOOLS, None), (RESOURCE_UPDATED, {"uri": "a://1", "title": "x"})]


async def test_nothing_to_listen_to_opens_nothing() -> None:
    async with listening() as here:
        assert await here.subscriptions.start([]) == ()
        assert await here.subscriptions.unsubscribe("a://1") == Result(b"{}")
        assert here.server.asked == []


@pipe_and_http
async def test_the_new_stream_is_acknowledged_before_the_old_one_goes(scoped: bool) -> None:
    async with listening(scoped=scoped) as here:
        await here.subscriptions.start(["tools"])
        await here.subscriptions.subscribe("a://1")
        assert len(here.wanted) == 2
        await anyio.sleep(2 * DRAIN_S)
        assert len(here.wanted) == 1
        assert here.server.cancelled == ["subscriptions/listen"]


@pipe_and_http
async def test_what_both_streams_say_is_told_once_and_what_the_old_one_alone_says_is_not_lost(scoped: bool) -> None:
    async with listening(scoped=scoped) as here:
        await here.subscriptions.subscribe("a://1")
        await here.subscriptions.subscribe("a://2")
        old, new = here.listeners.open
        old.tell(RESOURCE_UPDATED, uri="a://1")
        new.tell(RESOURCE_UPDATED, uri="a://1")
        old.tell(RESOURCE_UPDATED, uri="a://1/late")
        await anyio.sleep(2 * DRAIN_S)
        assert [params["uri"] for _, params in here.heard.noticed] == ["a://1", "a://1/late"]


async def test_those_who_subscribe_together_share_a_stream() -> None:
    async with listening() as here:
        await here.subscriptions.start(["tools"])
        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(here.subscriptions.subscribe, f"a://{n}")
        assert len(here.listeners.streams) == 2
        assert len(here.listeners.streams[-1].wanted["resourceSubscriptions"]) == 20


async def test_subscribing_twice_is_subscribing_once() -> None:
    async with listening() as here:
        for _ in range(2):
            assert await here.subscriptions.subscribe("a://1") == Result(b"{}")
        assert len(here.listeners.streams) == 1


async def test_unsubscribing_leaves_the_others_and_the_last_one_ends_the_stream() -> None:
    async with listening() as here:
        await here.subscriptions.subscribe("a://1")
        await here.subscriptions.subscribe("a://2")
        assert await here.subscriptions.unsubscribe("a://1") == Result(b"{}")
        await anyio.sleep(2 * DRAIN_S)
        assert here.wanted == [{"resourceSubscriptions": ["a://2"]}]
        assert await here.subscriptions.unsubscribe("a://2") == Result(b"{}")
        await anyio.sleep(2 * DRAIN_S)
        assert here.wanted == []


@pipe_and_http
async def test_nothing_is_told_of_a_resource_after_it_was_unsubscribed(scoped: bool) -> None:
    async with listening(scoped=scoped) as here:
        await here.subscriptions.subscribe("a://1")
        await here.subscriptions.subscribe("a://2")
        await anyio.sleep(2 * DRAIN_S)
        await here.subscriptions.unsubscribe("a://1")
        old, _ = here.listeners.open
        for uri in ("a://1", "a://2"):
            old.tell(RESOURCE_UPDATED, uri=uri)
        await anyio.sleep(2 * DRAIN_S)
        assert here.heard.noticed == [(RESOURCE_UPDATED, {"uri": "a://2"})]


async def test_what_the_server_does_not_agree_to_is_said_so_and_counted() -> None:
    async with listening() as here:
        here.listeners.deaf_to = {"a://1", "promptsListChanged"}
        assert await here.subscriptions.start(["tools", "prompts"]) == ("tools",)
        refused = await here.subscriptions.subscribe("a://1")
        assert isinstance(refused, Failure)
        assert "u does not agree" in said(refused)["message"]
        assert await here.subscriptions.subscribe("a://2") == Result(b"{}")
        assert here.listeners.streams[-1].wanted == {"toolsListChanged": True, "resourceSubscriptions": ["a://2"]}
        assert upstream_of(here).losses.counts == {
            "notifications/prompts/list_changed not honoured": 1,
            "resources/subscribe not honoured": 1,
        }


def upstream_of(here: Listening) -> Any:
    return here.subscriptions._seat.upstream


async def test_a_server_that_has_no_streams_is_said_to_have_none() -> None:
    async with listening() as here:
        here.listeners.refuses = frames.failure(METHOD_NOT_FOUND, "no such method")
        assert await here.subscriptions.start(["tools"]) == ()
        assert not here.subscriptions.served
        refused = await here.subscriptions.subscribe("a://1")
        assert said(refused)["message"].endswith("no such method")


async def test_a_server_that_never_acknowledges_is_not_waited_for_long_and_keeps_nobody_else_waiting() -> None:
    async with listening() as here:
        here.listeners.silent = True
        began = anyio.current_time()
        refused = await here.subscriptions.subscribe("a://1")
        assert "did not acknowledge" in said(refused)["message"]
        assert anyio.current_time() - began == pytest.approx(ACK_TIMEOUT_S)
        here.listeners.silent = False
        assert await here.subscriptions.subscribe("a://2") == Result(b"{}")
        assert here.wanted == [{"resourceSubscriptions": ["a://2"]}]


async def test_whoever_gives_up_subscribing_leaves_no_stream() -> None:
    async with listening() as here:
        here.listeners.silent = True
        with anyio.move_on_after(1):
            await here.subscriptions.subscribe("a://1")
        await anyio.sleep(1)
        assert here.wanted == []


async def test_a_stream_that_the_server_ends_is_opened_again_and_whatever_may_have_changed_is_told() -> None:
    async with listening() as here:
        await here.subscriptions.start(["tools"])
        await here.subscriptions.subscribe("a://1")
        await anyio.sleep(2 * DRAIN_S)
        here.listeners.open[0].end()
        await anyio.sleep(1)
        assert here.wanted == [{"toolsListChanged": True, "resourceSubscriptions": ["a://1"]}]
        assert here.heard.noticed == [(TOOLS, None), (RESOURCE_UPDATED, {"uri": "a://1"})]


async def test_a_stream_that_ends_with_its_acknowledgement_is_opened_again() -> None:
    async with listening() as here:
        here.listeners.brief = True
        assert await here.subscriptions.start(["tools"]) == ("tools",)
        assert here.wanted == []
        here.listeners.brief = False
        await anyio.sleep(1)
        assert here.wanted == [{"toolsListChanged": True}]


async def test_what_could_not_be_unsubscribed_is_still_subscribed_to() -> None:
    async with listening() as here:
        await here.subscriptions.start(["tools"])
        await here.subscriptions.subscribe("a://1")
        here.listeners.refuses = frames.failure(7001, "no credit")
        assert "no credit" in said(await here.subscriptions.unsubscribe("a://1"))["message"]
        here.listeners.refuses = None
        here.listeners.streams[-1].end()
        await anyio.sleep(1)
        assert here.wanted == [{"toolsListChanged": True, "resourceSubscriptions": ["a://1"]}]


async def test_a_server_that_dies_is_listened_to_again_when_it_is_back() -> None:
    async with listening() as here:
        await here.subscriptions.start(["tools"])
        here.server.down = "is not there"
        here.server.crash()
        await anyio.sleep(300)
        assert here.wanted == []
        here.server.down = None
        await anyio.sleep(180)
        assert here.wanted == [{"toolsListChanged": True}]
        assert here.heard.noticed == [(TOOLS, None)]


async def test_a_server_that_ends_every_stream_at_once_is_asked_ever_less_often() -> None:
    async with listening() as here:
        await here.subscriptions.start(["tools"])
        for _ in range(600):
            for stream in here.listeners.open:
                stream.end()
            await anyio.sleep(1)
        assert 10 < len(here.listeners.streams) < 20


async def test_a_stream_that_is_refused_later_is_given_up() -> None:
    async with listening() as here:
        await here.subscriptions.start(["tools"])
        here.listeners.refuses = frames.failure(METHOD_NOT_FOUND, "no such method")
        here.listeners.open[0].end()
        await anyio.sleep(600)
        assert here.server.methods.count("subscriptions/listen") == 2


@pipe_and_http
async def test_the_end_of_the_session_is_the_end_of_its_stream_and_of_every_try_to_open_another(scoped: bool) -> None:
    async with listening(scoped=scoped) as here:
        await here.subscriptions.start(["tools"])
        here.subscriptions.close()
        await anyio.sleep(1)
        assert here.wanted == []
        await anyio.sleep(600)
        assert len(here.listeners.streams) == 1


async def test_a_session_that_ends_while_the_server_is_away_leaves_no_task_behind() -> None:
    server = FakeServer("u", eras={Era.STATELESS})
    listeners = Listeners(server)
    async with seating(server) as here:
        async with anyio.create_task_group() as tasks:
            subscriptions = Subscriptions(here.shared.at(here.upstream), tasks, envelope, Notices().took)
            await subscriptions.start(["tools"])
            listeners.refuses = frames.failure(7001, "no credit")
            listeners.open[0].end()
            await anyio.sleep(60)
            ended_at = anyio.current_time()
            subscriptions.close()
        assert anyio.current_time() == ended_at


@pytest.mark.parametrize(
    ("params", "without"),
    [
        (None, None),
        (b'{ "uri":"x" }', b'{ "uri":"x" }'),
        (b'{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}', None),
        (
            b'{"uri":"x","_meta":{"io.modelcontextprotocol/subscriptionId":"s","a":1.10}}',
            b'{"uri":"x","_meta":{"a":1.10}}',
        ),
        (b'{"_meta":7}', b'{"_meta":7}'),
        (b"[]", b"[]"),
    ],
)
def test_a_notice_for_a_handshake_client_names_no_subscription(params: bytes | None, without: bytes | None) -> None:
    assert bare(params) == without
