"""The proxy's own list of an upstream's tools: complete or not at all, and one attempt for all who wait."""

from __future__ import annotations

import anyio
import pytest

from fuseboard.catalog import Definitions
from fuseboard.config import StdioServer
from fuseboard.errors import UpstreamFault, UpstreamTimeout
from fuseboard.routing import Names
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.listing import LIST_TIMEOUT_S, Listing, Listings
from support.fake_server import FakeServer, FakeTool, hangs
from support.seating import Seating, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


async def listed(here: Seating, listing: Listing) -> None:
    await listing.ensure(here.shared.at(here.upstream), b"{}", NOWHERE, clock=lambda: 7.0)


def definitions() -> Definitions:
    return Definitions("u", StdioServer(command="fake"), Names("u", prefixed=False))


async def test_every_page_is_read_before_anything_is_known() -> None:
    server = FakeServer("u", *(FakeTool(name) for name in "abc"))
    server.page_size = 1
    async with seating(server) as here:
        listing = Listing(here.upstream.definitions)
        await listed(here, listing)
        assert [tool.name for tool in listing.catalog.tools] == ["a", "b", "c"]
        assert listing.catalog.learned_at == 7.0


async def test_however_many_wait_there_is_one_attempt() -> None:
    server = FakeServer("u", FakeTool("a"))
    async with seating(server) as here:
        listing = Listing(here.upstream.definitions)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(listed, here, listing)
        assert server.methods.count("tools/list") == 1


async def test_all_who_waited_share_its_failure_at_once() -> None:
    server = FakeServer("u")
    server.acts["tools/list"] = hangs
    async with seating(server) as here:
        listing = Listing(here.upstream.definitions)
        faults: list[UpstreamFault] = []
        began = anyio.current_time()

        async def wait() -> None:
            try:
                await listed(here, listing)
            except UpstreamFault as fault:
                faults.append(fault)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(wait)
        assert [type(fault) for fault in faults] == [UpstreamTimeout] * 4
        assert anyio.current_time() - began == pytest.approx(LIST_TIMEOUT_S, abs=0.5)


async def test_one_who_gives_up_leaves_the_attempt_to_the_next() -> None:
    server = FakeServer("u", FakeTool("a"))
    async with seating(server) as here:
        listing = Listing(here.upstream.definitions)
        server.acts["tools/list"] = hangs
        with anyio.move_on_after(1):
            await listed(here, listing)
        del server.acts["tools/list"]
        await listed(here, listing)
        assert [tool.name for tool in listing.catalog.tools] == ["a"]


def test_each_kind_of_caller_has_its_own_and_all_hear_of_a_change() -> None:
    listings = Listings(definitions())
    ada, bob = listings.at(b"ada"), listings.at(b"bob")
    assert ada is listings.at(b"ada")
    assert ada is not bob
    for listing in (ada, bob):
        listing.catalog.replace({}, at=1.0)
    listings.changed()
    assert ada.catalog.learned_at is None
    assert bob.catalog.learned_at is None


def test_invented_kinds_of_caller_do_not_fill_the_memory() -> None:
    listings = Listings(definitions(), limit=10)
    for number in range(1000):
        listings.at(b"%d" % number)
    assert len(listings._by_key) == 10
