"""The board as its edges see it: sessions, health, and an orderly end."""

from __future__ import annotations

import logging

import anyio
import pytest

from fuseboard.era import Era
from fuseboard.ports import Origin
from support.fake_server import FakeServer, FakeTool
from support.playbook import playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


async def test_a_stateless_client_comes_back_to_its_own_session_and_to_no_other() -> None:
    async with playing(FakeServer("one")) as play:
        ada, bob = Origin("ada", "http"), Origin("bob", "http")
        assert play.board.stateless(ada) is play.board.stateless(Origin("ada", "http"))
        assert play.board.stateless(ada) is not play.board.stateless(bob)


async def test_it_is_ready_once_everybody_is_known_and_one_is_up() -> None:
    up, slow = FakeServer("up", FakeTool("look")), FakeServer("slow")
    slow.gate = anyio.Event()
    async with playing(up, slow) as play, anyio.create_task_group() as tasks:
        tasks.start_soon(play.board.probe)
        await anyio.sleep(1)
        assert play.board.status()["ready"] is False
        assert play.board.health()["up"] == {
            "state": "up",
            "error": None,
            "server": {"name": "up", "version": "1"},
            "stateless": True,
        }
        slow.gate.set()
        await anyio.sleep(1)
        assert play.board.status()["ready"] is True


async def test_with_nobody_up_it_is_not_ready_and_says_why() -> None:
    server = FakeServer("one")
    server.down = "is not there"
    async with playing(server) as play, anyio.create_task_group() as tasks:
        tasks.start_soon(play.board.probe)
        await anyio.sleep(1)
        status = play.board.status()
        assert status["ready"] is False
        assert status["upstreams"]["one"]["state"] == "down"
        assert "is not there" in status["upstreams"]["one"]["error"]
        tasks.cancel_scope.cancel()


async def test_probing_goes_on_until_the_server_is_up_and_then_ends() -> None:
    server = FakeServer("one", eras=[Era.HANDSHAKE])
    server.down = "is not there"
    async with playing(server) as play, anyio.create_task_group() as tasks:
        tasks.start_soon(play.board.probe)
        await anyio.sleep(10)
        server.down = None
        await anyio.sleep(120)
        assert play.board.health()["one"]["state"] == "up"
        assert play.board.health()["one"]["stateless"] is False
        assert all(link.closed for link in server.links)


async def test_the_log_says_once_that_a_server_is_down_and_once_that_it_is_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = FakeServer("one")
    server.down = "is not there"
    async with playing(server) as play, anyio.create_task_group() as tasks:
        tasks.start_soon(play.board.probe)
        await anyio.sleep(300)
        server.down = None
        await anyio.sleep(120)
    said = [record.getMessage() for record in caplog.records if record.name == "fuseboard.upstream"]
    assert said == ["upstream one is down: one is not there", "upstream one is up"]


async def test_the_end_closes_every_link_of_both_eras() -> None:
    one, two = FakeServer("one", FakeTool("look")), FakeServer("two", FakeTool("look"), eras=[Era.HANDSHAKE])
    async with playing(one, two) as play:
        for era in Era:
            await (await play.connect(era)).listed()
        assert not any(link.closed for server in (one, two) for link in server.links if link.open)
    assert all(link.closed for server in (one, two) for link in server.links)
    assert len(one.links) == 2
