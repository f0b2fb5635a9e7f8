"""The children of one proxy together."""

from __future__ import annotations

import sys

import anyio
import anyio.lowlevel
import pytest

from fuseboard.adapters.upstream.children import Children
from fuseboard.adapters.upstream.stdio import EXIT_GRACE_S, StdioLink
from fuseboard.era import Era
from fuseboard.errors import UpstreamUnreachable
from fuseboard.ports import Inbound, Link
from support.links import Inbound as Heard
from support.system import alive, eventually

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


async def connect(era: Era, inbound: Inbound) -> Link:
    argv = [sys.executable, "-c", STUBBORN]
    return await StdioLink.start("child", argv, env={}, cwd=None, inbound=inbound, limit_bytes=1000)


async def started(children: Children, count: int) -> list[StdioLink]:
    guarded = children.guarded("child", connect)
    links = [await guarded(Era.HANDSHAKE, Heard()) for _ in range(count)]
    return [link for link in links if isinstance(link, StdioLink)]


async def test_they_end_side_by_side_and_none_is_started_any_more() -> None:
    children = Children()
    links = await started(children, 5)
    began = anyio.current_time()
    await children.close()
    assert anyio.current_time() - began < 1.8
    assert not any(link.runs for link in links)
    with pytest.raises(UpstreamUnreachable, match="stopping"):
        await started(children, 1)


async def test_who_is_on_the_way_out_already_is_waited_for() -> None:
    children = Children()
    (link,) = await started(children, 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.close)
        await anyio.lowlevel.checkpoint()
        began = anyio.current_time()
        await children.close()
    assert anyio.current_time() - began > EXIT_GRACE_S
    assert not link.runs


async def test_they_can_be_killed_at_once() -> None:
    children = Children()
    links = await started(children, 2)
    children.kill()
    await eventually(lambda: not any(alive(link.pid) for link in links))
    await children.close()
