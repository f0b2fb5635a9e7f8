"""What every seat does, and the seats where nobody sits."""

from __future__ import annotations

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.errors import UpstreamUnreachable
from fuseboard.ports import Failure, Handler, Reply
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.seats import UNSENT_BYTES, Absent
from support.fake_server import Asked, FakeLink, FakeServer, result
from support.gate import settle
from support.links import CallScope
from support.seating import seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

MESSAGE = "notifications/message"
TOOLS_CHANGED = "notifications/tools/list_changed"

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


async def test_what_waits_for_a_server_that_takes_no_notifications_is_bounded() -> None:
    class DeafLink(FakeLink):
        async def notify(self, method: str, params: bytes | None) -> None:
            if method == "large":
                await anyio.sleep(60)
            await super().notify(method, params)

    server = FakeServer("one")

    async def connect(era: Era, inbound: Handler) -> FakeLink:
        server.links.append(DeafLink(server, era, inbound))
        return server.links[-1]

    async with seating(server, connect) as here:
        seat = here.handshake()
        await seat.open()
        for _ in range(20):
            seat.notify("large", b'{"a":"%b"}' % (b"x" * (UNSENT_BYTES // 4)))
        assert seat.upstream.losses.counts == {"notifications: the server does not take them": 17}
        await anyio.sleep(200)
        seat.notify("small", None)
        await anyio.sleep(1)
    assert [method for method, _ in server.notified] == ["large"] * 3 + ["small"]


async def test_a_notification_without_a_link_opens_none() -> None:
    async with seating(FakeServer("u")) as here:
        here.handshake().notify("n", None)
        await settle()
        assert here.server.links == []


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
