"""What was given up is given up at the upstream too, and its answer is heard all the same, for a while."""

from __future__ import annotations

import asyncio

import pytest

from fuseboard.late import MOST, Listener, listen
from fuseboard.ports import Reply, Result
from support.peers import Side, alone, settle
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


async def given_up(side: Side, heard: list[Reply], method: str = "tools/call") -> None:
    async def ask() -> None:
        listener = Listener(60.0, heard.append)
        listen(listener)
        await side.peer.request(method, b"{}")

    task = asyncio.ensure_future(ask())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_to_what_was_given_up_is_heard_once() -> None:
    side, heard = alone(), list[Reply]()
    await given_up(side, heard)
    assert side.answers[-1] == {"method": "notifications/cancelled", "params": {"requestId": 1}}
    for _ in range(2):
        side.receive(id=1, result={"paid": True})
    assert heard == [Result(b'{"paid": true}')]


async def test_after_a_while_nobody_listens_any_more() -> None:
    side, heard = alone(), list[Reply]()
    await given_up(side, heard)
    await asyncio.sleep(61)
    side.receive(id=1, result={})
    assert heard == []


async def test_nobody_hears_what_is_no_call_or_is_not_listened_for() -> None:
    side, heard = alone(), list[Reply]()
    await given_up(side, heard, "tools/list")
    side.receive(id=1, result={})
    task = asyncio.ensure_future(side.peer.request("tools/call", None))
    await settle()
    task.cancel()
    await settle()
    side.receive(id=2, result={})
    assert heard == []


async def test_a_link_listens_for_so_many_at_most() -> None:
    side, heard = alone(), list[Reply]()
    for _ in range(MOST + 1):
        await given_up(side, heard)
    for id in range(1, MOST + 2):
        side.receive(id=id, result={})
    assert len(heard) == MOST
