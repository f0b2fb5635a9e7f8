"""Asking an upstream on the proxy's own account."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard import __version__
from fuseboard.era import CLIENT_INFO_KEY, Era
from fuseboard.ports import Result
from fuseboard.upstreams import inspection
from fuseboard.upstreams.handshake import HandshakeSeat
from fuseboard.upstreams.inspection import Probe
from fuseboard.upstreams.shared import SharedSeat
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs
from support.seating import Seating, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

AT = 1_790_000_000.0
ME = {"name": "fuseboard", "version": __version__}


async def probe(here: Seating) -> Probe:
    return await inspection.probe(here.upstream, here.shared, at=AT)


@pytest.mark.parametrize("era", Era)
async def test_it_finds_out_era_server_and_tools(era: Era) -> None:
    async with seating(FakeServer("u", FakeTool("a"), FakeTool("b"), eras={era})) as here:
        found = await probe(here)
        assert found.ok
        assert (found.alias, found.era, found.server) == ("u", era, {"name": "u", "version": "1"})
        assert [tool.name for tool in found.tools] == ["a", "b"]
        assert here.upstream.health.state == "up"


@pytest.mark.parametrize("era", Era)
async def test_all_its_definitions_come_as_they_are_written_where_they_are_wanted(era: Era) -> None:
    server = FakeServer("u", FakeTool("a"), FakeTool("b"), eras={era})
    server.page_size = 1
    server.acts["prompts/list"] = answers(Result(b'{"prompts":[{ "name":"p", "x":1.10 }]}'))
    server.acts["resources/templates/list"] = fails(-32601, "Method not found")
    async with seating(server) as here:
        assert (await probe(here)).definitions == {}
    async with seating(server) as here:
        found = await inspection.probe(here.upstream, here.shared, at=AT, whole=True)
        assert [name for name, _ in found.definitions["tools"]] == ["a", "b"]
        assert found.definitions["prompts"] == [("p", b'{ "name":"p", "x":1.10 }')]
        assert found.definitions["resourceTemplates"] == []


async def test_the_newest_era_is_taken_where_both_are_spoken() -> None:
    async with seating(FakeServer("u")) as here:
        assert (await probe(here)).era is Era.STATELESS
        assert here.server.methods == ["server/discover", "tools/list"]


async def test_a_stateless_link_stays_open_and_one_of_the_handshake_is_closed() -> None:
    async with seating(FakeServer("u")) as here:
        await probe(here)
        assert [link.open for link in here.server.links] == [True]
    async with seating(FakeServer("u", eras={Era.HANDSHAKE})) as here:
        await probe(here)
        assert [link.closed for link in here.server.links] == [True, True]


async def test_in_either_era_the_proxy_goes_by_its_own_name() -> None:
    async with seating(FakeServer("u")) as here:
        await probe(here)
        for asked in here.server.asked:
            assert asked.value["_meta"][CLIENT_INFO_KEY] == ME
    async with seating(FakeServer("u", eras={Era.HANDSHAKE})) as here:
        await probe(here)
        shaken = next(asked for asked in here.server.asked if asked.method == "initialize")
        assert shaken.value["clientInfo"] == ME
        assert here.server.notified == [("notifications/initialized", None)]


@pytest.mark.parametrize("era", Era)
async def test_every_page_of_the_list_is_read(era: Era) -> None:
    server = FakeServer("u", *(FakeTool(f"t{number}") for number in range(7)), eras={era})
    server.page_size = 3
    async with seating(server) as here:
        assert len((await probe(here)).tools) == 7
        assert server.methods.count("tools/list") == 3


async def test_a_list_that_never_ends_is_left_after_a_hundred_pages() -> None:
    server = FakeServer("u")
    server.acts["tools/list"] = answers({"tools": [{"name": "a"}], "nextCursor": "again"})
    async with seating(server) as here:
        found = await probe(here)
        assert found.error == "u has more than 100 pages of tools"
        assert server.methods.count("tools/list") == 100


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(answers(Result(b"null")), id="null"),
        pytest.param(answers(Result(b"[]")), id="a list"),
        pytest.param(answers({"tools": "none"}), id="text"),
    ],
)
@pytest.mark.parametrize("era", Era)
async def test_what_is_no_list_is_not_taken_for_an_empty_one(era: Era, listing: Any) -> None:
    server = FakeServer("u", eras={era})
    server.acts["tools/list"] = listing
    async with seating(server) as here:
        found = await probe(here)
        assert (found.error, found.era) == ("u answered tools/list with no list of tools", era)


@pytest.mark.parametrize("era", Era)
async def test_a_server_without_tools_answers_all_the_same(era: Era) -> None:
    server = FakeServer("u", eras={era})
    server.acts["tools/list"] = fails(-32601, "Method not found")
    async with seating(server) as here:
        found = await probe(here)
        assert (found.ok, found.tools) == (True, ())


async def test_one_that_is_not_there_is_said_to_be_so_and_why() -> None:
    server = FakeServer("u")
    server.down = "could not be started: no such file"
    async with seating(server) as here:
        found = await probe(here)
        assert not found.ok
        assert (found.error, found.era, found.tools) == ("u could not be started: no such file", None, ())


async def test_one_that_refuses_every_era_says_why() -> None:
    server = FakeServer("u", eras=())
    async with seating(server) as here:
        found = await probe(here)
        assert "u refused the handshake" in (found.error or "")
        assert all(link.closed for link in server.links)


async def test_one_that_dies_while_it_lists_leaves_no_link() -> None:
    server = FakeServer("u", eras={Era.HANDSHAKE})

    async def dies(asked: Asked) -> Any:
        server.crash()
        await hangs(asked)

    server.acts["tools/list"] = dies
    async with seating(server) as here:
        found = await probe(here)
        assert (found.error, found.era) == ("u ended with exit code 3", Era.HANDSHAKE)
        assert all(link.closed for link in server.links)


@pytest.mark.parametrize(("era", "kind"), [(Era.STATELESS, SharedSeat), (Era.HANDSHAKE, HandshakeSeat)])
async def test_a_seat_of_its_own_is_of_the_upstream_s_era(era: Era, kind: type) -> None:
    async with seating(FakeServer("u", eras={era})) as here:
        assert isinstance(await inspection.reach(here.upstream, here.shared), kind)
