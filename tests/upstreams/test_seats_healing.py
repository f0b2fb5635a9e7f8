"""Links that die under a session: what is sent again, what is waited for, and what the client gets to see."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.errors import Undelivered, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Inbound, Reply, Result, Scope
from fuseboard.upstreams.healing import COOL_DOWN_S, PATIENCE_S, SHORT_LIVES
from fuseboard.upstreams.seats import TOOLS_CHANGED
from support.fake_server import Asked, FakeLink, FakeServer, FakeTool, fails, hangs, result, says
from support.gate import settle
from support.links import CallScope
from support.seating import asks, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


def died() -> Any:
    """The server dies while it is asked, the first time."""
    times = 0

    async def act(asked: Asked) -> Reply:
        nonlocal times
        times += 1
        if times == 1:
            raise UpstreamLost("u", "the connection was lost")
        return result({})

    return act


class Stale(FakeLink):
    """An HTTP link: it opens whether or not anybody is there, and its session may be unknown by now."""

    refusing = 0
    stale = False

    async def request(self, method: str, params: bytes | None, scope: Scope, **headers: Any) -> Reply:
        if type(self).refusing > 0:
            type(self).refusing -= 1
            raise Undelivered("u", "u cannot be reached: the connection was refused")
        if self.stale:
            self.open = False
            self.inbound.lost("u ended the session")
            raise Undelivered("u", "u ended the session")
        return await super().request(method, params, scope, **headers)


def over_http(server: FakeServer) -> Any:
    class Link(Stale):
        pass

    async def connect(era: Era, inbound: Inbound) -> FakeLink:
        server.links.append(Link(server, era, inbound))
        return server.links[-1]

    return connect, Link


async def test_a_call_that_a_forgotten_session_refused_is_sent_once_more_in_a_new_one() -> None:
    server = FakeServer("u", FakeTool("work"), scoped=True)
    connect, _ = over_http(server)
    async with seating(server, connect) as here:
        seat = here.handshake()
        await seat.open()
        seat.confirm()
        await seat.request("tools/call", asks(), CallScope())
        server.links[0].stale = True  # type: ignore[attr-defined]
        await seat.request("tools/call", asks(), CallScope())
        assert server.methods == ["initialize", "tools/call", "initialize", "tools/call"]
        assert server.notified.count(("notifications/initialized", None)) == 2


async def test_a_session_that_is_unknown_from_its_start_ends_the_matter() -> None:
    server = FakeServer("u", FakeTool("work"), scoped=True)

    async def connect(era: Era, inbound: Inbound) -> FakeLink:
        link = Stale(server, era, inbound)
        server.links.append(link)
        return link

    async def forgets(asked: Asked) -> Reply:
        for link in server.links:
            link.stale = True  # type: ignore[attr-defined]
        return result({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}})

    server.acts["initialize"] = forgets
    async with seating(server, connect) as here:
        with pytest.raises(Undelivered, match="ended the session"):
            await here.handshake().request("tools/call", asks(), CallScope())
        assert server.methods == ["initialize", "initialize"]


async def test_a_server_that_is_starting_anew_is_waited_for() -> None:
    server = FakeServer("u", FakeTool("work"), scoped=True)
    connect, link = over_http(server)
    async with seating(server, connect) as here:
        seat = here.handshake()
        await seat.request("tools/call", asks(), CallScope())
        link.refusing = 3
        await seat.request("tools/call", asks(), CallScope())
        assert len(server.calls) == 2


async def test_one_that_stays_away_fails_after_a_while_and_then_at_once() -> None:
    server = FakeServer("u", FakeTool("work"), scoped=True)
    connect, link = over_http(server)
    async with seating(server, connect) as here:
        seat = here.handshake()
        await seat.request("tools/call", asks(), CallScope())
        link.refusing = 1000
        spans = []
        for _ in range(2):
            began = anyio.current_time()
            with pytest.raises(Undelivered, match="refused"):
                await seat.request("tools/call", asks(), CallScope())
            spans.append(anyio.current_time() - began)
        assert 0 < spans[0] <= PATIENCE_S
        assert spans[1] == 0
        assert here.upstream.health.state == "down"
        link.refusing = 0
        await seat.request("tools/call", asks(), CallScope())
        assert here.upstream.health.state == "up"
        assert len(server.calls) == 2


@pytest.mark.parametrize("method", ["tools/list", "resources/subscribe", "completion/complete", "logging/setLevel"])
async def test_what_does_no_harm_twice_is_sent_twice(method: str) -> None:
    server = FakeServer("u")
    server.acts[method] = died()
    async with seating(server) as here:
        assert isinstance(await here.handshake().request(method, b"{}", CallScope()), Result)
        assert server.methods.count(method) == 2


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read", "acme/launch"])
async def test_what_may_have_taken_effect_is_not(method: str) -> None:
    server = FakeServer("u")
    server.acts[method] = died()
    async with seating(server) as here:
        with pytest.raises(UpstreamLost):
            await here.handshake().request(method, b"{}", CallScope())
        assert server.methods.count(method) == 1


# What hung on the link.


async def test_level_and_subscriptions_hang_on_the_new_link_before_anything_else_goes_over_it() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        await seat.request("logging/setLevel", b'{"level":"error"}', CallScope())
        await seat.request("resources/subscribe", b'{"uri":"a"}', CallScope())
        server.asked.clear()
        server.crash()
        await seat.request("tools/call", asks(), CallScope())
        assert server.methods == ["initialize", "logging/setLevel", "resources/subscribe", "tools/call"]


async def test_what_was_refused_is_not_asked_again() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        server.acts["resources/subscribe"] = fails(-32002, "no such resource")
        await seat.request("resources/subscribe", b'{"uri":"a"}', CallScope())
        server.asked.clear()
        server.crash()
        await seat.request("tools/call", asks(), CallScope())
        assert server.methods == ["initialize", "tools/call"]


async def test_a_server_that_hangs_over_what_it_is_told_again_holds_nobody_up_for_long() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        await seat.request("logging/setLevel", b'{"level":"error"}', CallScope())
        server.acts["logging/setLevel"] = hangs
        server.crash()
        began = anyio.current_time()
        await seat.request("tools/call", asks(), CallScope())
        assert anyio.current_time() - began < 6


async def test_who_waits_for_updates_gets_another_link_without_asking() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        await seat.request("resources/subscribe", b'{"uri":"a"}', CallScope())
        server.crash()
        await server.reached("resources/subscribe", 2)
        server.links[-1].tell("notifications/resources/updated", {"uri": "a"})
        assert here.back.noticed == [("notifications/resources/updated", {"uri": "a"})]


async def test_who_waits_for_nothing_gets_none_until_it_is_needed() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        await here.handshake().request("tools/call", asks(), CallScope())
        server.crash()
        await anyio.sleep(100)
        assert len(server.links) == 1


async def test_a_server_that_stays_away_is_asked_less_and_less_and_not_after_the_session() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        await seat.request("resources/subscribe", b'{"uri":"a"}', CallScope())
        server.down = "is gone"
        tries = 0
        connect = here.upstream._connect

        async def counted(era: Era, inbound: Inbound) -> Any:
            nonlocal tries
            tries += 1
            return await connect(era, inbound)

        here.upstream._connect = counted
        server.crash()
        await anyio.sleep(300)
        assert 4 < tries < 20
        await seat.close()
        before = tries
        await anyio.sleep(300)
        assert tries == before


# What another start has changed.


async def learned(seat: Any) -> None:
    await seat.listing(b"").ensure(seat, None, CallScope(), clock=anyio.current_time)


async def test_other_tools_after_a_new_start_are_told_and_the_same_ones_are_not() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        await learned(seat)
        server.crash()
        await seat.open()
        await settle()
        assert here.back.noticed == []
        server.tools["more"] = FakeTool("more", says("hi"))
        server.crash()
        await seat.open()
        assert await here.back.until(TOOLS_CHANGED) is None
        assert seat.listing(b"").catalog.learned_at is None


async def test_another_introduction_makes_every_list_suspect() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        await seat.open()
        server.capabilities = {"tools": {}, "prompts": {}}
        server.crash()
        await seat.open()
        await settle()
        assert {method for method, _ in here.back.noticed} == {
            f"notifications/{what}/list_changed" for what in ("tools", "prompts", "resources")
        }


# Those that keep dying.


async def test_a_child_that_dies_at_once_each_time_is_left_alone_for_a_while() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        for _ in range(SHORT_LIVES):
            await seat.open()
            server.crash()
        with pytest.raises(UpstreamUnreachable, match=r"5 times in a row.*exit code 3.*again in 60 s"):
            await seat.open()
        assert len(server.links) == SHORT_LIVES
        assert here.upstream.health.state == "down"
        assert "exit code 3" in str(here.upstream.health.error)
        await anyio.sleep(COOL_DOWN_S)
        await seat.request("tools/call", asks(), CallScope())
        assert here.upstream.health.state == "up"


async def test_one_client_that_kills_its_child_does_not_keep_others_from_theirs() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        wild = here.handshake()
        for _ in range(SHORT_LIVES):
            await wild.open()
            server.crash()
        await here.handshake().request("tools/call", asks(), CallScope())


async def test_a_child_that_lived_for_a_while_is_started_again_at_once() -> None:
    server = FakeServer("u", FakeTool("work"))
    async with seating(server) as here:
        seat = here.handshake()
        for _ in range(SHORT_LIVES + 1):
            await seat.open()
            await anyio.sleep(11)
            server.crash()
            began = anyio.current_time()
            await seat.request("tools/call", json.dumps({"name": "work"}).encode(), CallScope())
            assert anyio.current_time() == began


async def test_over_http_the_end_of_a_session_is_no_sign_of_illness() -> None:
    server = FakeServer("u", FakeTool("work"), scoped=True)
    async with seating(server) as here:
        seat = here.handshake()
        for _ in range(3 * SHORT_LIVES):
            await seat.request("tools/call", asks(), CallScope())
            server.crash()
        assert len(server.links) == 3 * SHORT_LIVES
