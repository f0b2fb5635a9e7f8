"""``subscriptions/listen`` of stateless clients at a handshake server."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from fuseboard.bridges.listening import EARLY, LISTENERS, URIS
from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS
from support.fake_server import Asked, FakeServer, FakeTool, fails, says, text
from support.playbook import FakeClient, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ID = "io.modelcontextprotocol/subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
ALL = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}, "resources": {"subscribe": True}}


def server(capabilities: Any = ALL, **options: Any) -> FakeServer:
    made = FakeServer("u", FakeTool("look", says("seen")), eras=[Era.HANDSHAKE], **options)
    made.capabilities = capabilities
    return made


class Listening:
    """One stream: begun, heard, and given up."""

    def __init__(self, client: FakeClient, **wanted: Any) -> None:
        self.client = client
        self.result: Any = None
        self.ended = anyio.Event()
        self._wanted = wanted
        self._life = anyio.CancelScope()

    async def begin(self, tasks: Any) -> dict[str, Any]:
        """What was honoured."""
        tasks.start_soon(self._run)
        await anyio.lowlevel.checkpoint()
        self.scope = self.client.scopes[-1]
        acknowledged = await self.scope.until(ACKNOWLEDGED)
        assert self.scope.noticed[0][0] == ACKNOWLEDGED
        assert acknowledged["_meta"][ID] == int(self.scope.request_id or b"0")
        honoured: dict[str, Any] = acknowledged["notifications"]
        return honoured

    async def _run(self) -> None:
        with self._life:
            self.result = await self.client.request("subscriptions/listen", {"notifications": self._wanted})
        self.ended.set()

    def stop(self) -> None:
        self._life.cancel()

    @property
    def heard(self) -> list[tuple[str, Any]]:
        """What came after the acknowledgement, its tag checked and taken off."""
        said = []
        for method, params in self.scope.noticed[1:]:
            assert params.pop("_meta") == {ID: int(self.scope.request_id or b"0")}
            said.append((method, params))
        return said


async def test_the_stream_begins_with_what_is_honoured_and_carries_that_alone() -> None:
    upstream = server()
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), toolsListChanged=True, resourceSubscriptions=["a:b"])
        assert await stream.begin(tasks) == {"toolsListChanged": True, "resourceSubscriptions": ["a:b"]}
        link = upstream.links[-1]
        link.tell("notifications/prompts/list_changed")
        link.tell("notifications/resources/updated", {"uri": "a:b"})
        link.tell("notifications/resources/updated", {"uri": "a:b/part", "x-v": 1})
        link.tell("notifications/resources/updated", {"uri": "c:d"})
        link.tell("notifications/resources/updated", {})
        link.tell("notifications/tools/list_changed")
        assert stream.heard == [
            ("notifications/resources/updated", {"uri": "a:b"}),
            ("notifications/resources/updated", {"uri": "a:b/part", "x-v": 1}),
            ("notifications/tools/list_changed", {}),
        ]
        stream.stop()


async def test_what_the_server_does_not_have_is_not_promised_but_counted() -> None:
    async with playing(server({"resources": {}})) as play, anyio.create_task_group() as tasks:
        wanted = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["a:b"]}
        stream = Listening(await play.connect(Era.STATELESS), **wanted)
        assert await stream.begin(tasks) == {}
        assert sum(play.board.health()["u"]["untranslated"].values()) == 3
        assert "resources/subscribe" not in play.server("u").methods
        stream.stop()


async def test_changes_that_the_server_never_declared_are_heard_all_the_same() -> None:
    upstream = server({"tools": {"listChanged": False}})
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), toolsListChanged=True)
        assert await stream.begin(tasks) == {"toolsListChanged": True}
        upstream.links[-1].tell("notifications/tools/list_changed")
        assert stream.heard == [("notifications/tools/list_changed", {})]
        stream.stop()


async def test_a_subscription_that_the_server_refuses_is_left_out() -> None:
    upstream = server()
    upstream.acts["resources/subscribe"] = fails(-32602, "no")
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), resourceSubscriptions=["a:b"])
        assert await stream.begin(tasks) == {"resourceSubscriptions": []}
        stream.stop()
        await stream.ended.wait()
        assert "resources/unsubscribe" not in upstream.methods


async def test_what_changes_before_the_acknowledgement_is_told_after_it() -> None:
    upstream = server()

    async def subscribed(asked: Asked) -> Any:
        upstream.links[-1].tell("notifications/resources/updated", {"uri": asked.value["uri"]})
        upstream.links[-1].tell("notifications/tools/list_changed")
        return text("")

    upstream.acts["resources/subscribe"] = subscribed
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), toolsListChanged=True, resourceSubscriptions=["a:b"])
        await stream.begin(tasks)
        updated = ("notifications/resources/updated", {"uri": "a:b"})
        assert stream.heard == [updated, ("notifications/tools/list_changed", {})]
        stream.stop()


async def test_what_waits_for_the_acknowledgement_is_bounded() -> None:
    upstream = server()

    async def subscribed(asked: Asked) -> Any:
        for _ in range(EARLY + 5):
            upstream.links[-1].tell("notifications/tools/list_changed")
        return text("")

    upstream.acts["resources/subscribe"] = subscribed
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), toolsListChanged=True, resourceSubscriptions=["a:b"])
        await stream.begin(tasks)
        assert len(stream.heard) == EARLY
        stream.stop()


async def test_one_subscription_upstream_serves_all_and_ends_with_the_last() -> None:
    upstream = server()
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        client = await play.connect(Era.STATELESS)
        streams = [Listening(client, resourceSubscriptions=["a:b", "a:b", uri]) for uri in ("c:d", "e:f")]
        for stream in streams:
            await stream.begin(tasks)
        assert upstream.methods.count("resources/subscribe") == 3
        streams[0].stop()
        await upstream.reached("resources/unsubscribe")
        await anyio.sleep(1)
        assert [one.value["uri"] for one in upstream.asked if one.method == "resources/unsubscribe"] == ["c:d"]
        streams[1].stop()
        await upstream.reached("resources/unsubscribe", times=3)


async def test_a_change_that_comes_on_the_stream_of_a_call_reaches_those_who_listen() -> None:
    async def act(asked: Asked) -> Any:
        asked.scope.notify("notifications/tools/list_changed", None)
        return text("grown")

    upstream = server(scoped=True)
    upstream.tools["grow"] = FakeTool("grow", act)
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        client = await play.connect(Era.STATELESS)
        stream = Listening(client, toolsListChanged=True)
        await stream.begin(tasks)
        await client.call("grow")
        assert stream.heard == [("notifications/tools/list_changed", {})]
        assert client.scopes[-1].noticed == []
        await client.call("look")
        assert upstream.methods.count("tools/list") == 2  # the list is learnt anew
        stream.stop()


@pytest.mark.parametrize("end", ["crash", "close"])
async def test_the_end_of_the_link_ends_the_stream_with_a_result(end: str) -> None:
    upstream = server()
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), toolsListChanged=True)
        await stream.begin(tasks)
        upstream.crash() if end == "crash" else await play.board.close()
        await stream.ended.wait()
        assert stream.result == {"resultType": "complete", "_meta": {ID: int(stream.scope.request_id or b"0")}}


async def test_an_open_stream_keeps_its_session_from_being_closed_for_idleness() -> None:
    upstream = server()
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        stream = Listening(await play.connect(Era.STATELESS), toolsListChanged=True)
        await stream.begin(tasks)
        await anyio.sleep(1.5 * play.board.idle_s)
        assert upstream.links[-1].open
        stream.stop()


async def test_bounds_are_kept() -> None:
    async with playing(server()) as play, anyio.create_task_group() as tasks:
        client = await play.connect(Era.STATELESS)
        stream = Listening(client, resourceSubscriptions=[f"a:{n}" for n in range(URIS + 5)])
        assert len((await stream.begin(tasks))["resourceSubscriptions"]) == URIS
        others = [Listening(client) for _ in range(LISTENERS - 1)]
        for other in others:
            await other.begin(tasks)
        with pytest.raises(RpcError, match="subscriptions are open already"):
            await client.request("subscriptions/listen", {"notifications": {}})
        tasks.cancel_scope.cancel()


async def test_a_filter_that_is_none_is_refused() -> None:
    async with playing(server()) as play:
        client = await play.connect(Era.STATELESS)
        for params in ({}, {"notifications": {"toolsListChanged": "yes"}}):
            with pytest.raises(RpcError) as refused:
                await client.request("subscriptions/listen", params)
            assert refused.value.code == INVALID_PARAMS


async def test_in_common_changed_lists_are_heard_by_everybody_and_nothing_is_subscribed_to() -> None:
    upstream = server(share="all")
    async with playing(upstream) as play, anyio.create_task_group() as tasks:
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["a:b"]}
        streams = [Listening(await play.connect(Era.STATELESS, principal=who), **wanted) for who in ("ada", "bob")]
        for stream in streams:
            assert await stream.begin(tasks) == {"toolsListChanged": True}
        upstream.links[-1].tell("notifications/tools/list_changed")
        assert [stream.heard for stream in streams] == [[("notifications/tools/list_changed", {})]] * 2
        upstream.crash()
        for stream in streams:
            await stream.ended.wait()
        assert [link.era for link in upstream.links].count(Era.HANDSHAKE) == 1
