"""A whole list is fetched once for all who want it at the same moment."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard.errors import UpstreamFault
from fuseboard.listings import TOOLS
from fuseboard.scopes import NOWHERE
from fuseboard.sessions.relists import JOIN_S, Relists
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs, result
from support.seating import Seating, seating
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


def slow(server: FakeServer) -> FakeServer:
    async def act(asked: Asked) -> Any:
        await anyio.sleep(1)
        return result({"tools": []})

    server.acts["tools/list"] = act
    return server


async def pages(here: Seating, relists: Relists, seat: Any, params: bytes | None = None) -> list[bytes]:
    return list(await relists.pages(TOOLS, seat, params, NOWHERE))


async def test_every_page_to_the_last() -> None:
    server = FakeServer("one", *(FakeTool(name) for name in "abc"))
    server.page_size = 2
    async with seating(server) as here:
        got = await pages(here, Relists(), here.handshake())
        assert [b'"%b"' % name in got[page] for name, page in ((b"a", 0), (b"b", 0), (b"c", 1))] == 3 * [True]


async def test_pages_that_grow_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseboard.sessions.relists.WHOLE_BYTES", 10_000)
    server = FakeServer("one")
    server.acts["tools/list"] = answers(result({"tools": [], "x": "x" * 3_000, "nextCursor": "on"}))
    async with seating(server) as here:
        with pytest.raises(UpstreamFault, match="one answered tools/list with more than 10,000 bytes"):
            await pages(here, Relists(), here.handshake())
    assert [asked.method for asked in server.asked].count("tools/list") == 4


async def test_who_comes_at_once_joins_and_who_comes_later_does_not() -> None:
    server = slow(FakeServer("one", FakeTool("look")))
    async with seating(server) as here, anyio.create_task_group() as tasks:
        seat, relists = here.handshake(), Relists()
        for _ in range(10):
            tasks.start_soon(pages, here, relists, seat)
        await anyio.sleep(2 * JOIN_S)
        await pages(here, relists, seat)
        await anyio.sleep(5)
        assert [asked.method for asked in server.asked].count("tools/list") == 2


async def test_who_asks_in_another_name_does_not_join() -> None:
    server = FakeServer("one", FakeTool("look"))
    async with seating(server) as here, anyio.create_task_group() as tasks:
        seat, relists = here.handshake(), Relists()
        await seat.open()
        for params in (None, b'{"_meta":{}}'):
            tasks.start_soon(pages, here, relists, seat, params)
        await anyio.sleep(1)
        assert server.methods.count("tools/list") == 2


async def test_where_the_first_gives_up_another_goes_on() -> None:
    server = slow(FakeServer("one", FakeTool("look")))
    async with seating(server) as here, anyio.create_task_group() as tasks:
        seat, relists = here.handshake(), Relists()

        async def gives_up() -> None:
            with anyio.move_on_after(0.5):
                await pages(here, relists, seat)

        tasks.start_soon(gives_up)
        await server.reached("tools/list")
        assert len(await pages(here, relists, seat)) == 1


@pytest.mark.parametrize(
    ("act", "said"),
    [(hangs, "did not answer tools/list within"), (answers({"tools": [], "nextCursor": "1"}), None)],
    ids=["too slow", "endless"],
)
async def test_no_server_keeps_us_waiting_for_ever(act: Any, said: str | None) -> None:
    server = FakeServer("one")
    server.acts["tools/list"] = act
    async with seating(server) as here:
        if said is None:
            assert len(await pages(here, Relists(), here.handshake())) == 100
        else:
            with pytest.raises(UpstreamFault, match=said):
                await pages(here, Relists(), here.handshake())


async def test_a_server_without_such_a_list_has_no_pages() -> None:
    server = FakeServer("one")
    server.acts["tools/list"] = fails(-32601, "Method not found")
    async with seating(server) as here:
        assert await pages(here, Relists(), here.handshake()) == []
