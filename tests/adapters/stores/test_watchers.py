import anyio
import pytest

from fuseboard.adapters.stores.watchers import Watchers
from fuseboard.state import Snapshot


class Cells:
    def __init__(self) -> None:
        self.versions = {"a": 1, "b": 1}
        self.readings = 0

    async def read(self) -> Snapshot:
        self.readings += 1
        return Snapshot({}, dict(self.versions))


@pytest.fixture
def cells() -> Cells:
    return Cells()


SEEN = Snapshot({}, {"a": 1})


async def test_what_changed_before_is_known_at_once(cells: Cells) -> None:
    cells.versions["a"] = 2
    assert await Watchers().changed(cells.read, ["a"], SEEN, timeout_s=3600)


async def test_a_change_wakes(cells: Cells) -> None:
    watchers = Watchers()

    async def change() -> None:
        while cells.readings == 0:
            await anyio.lowlevel.checkpoint()
        cells.versions["a"] = 2
        watchers.wake(["a", "c"])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(change)
            assert await watchers.changed(cells.read, ["a"], SEEN, timeout_s=3600)
    assert not watchers


async def test_without_a_change_the_time_runs_out(cells: Cells) -> None:
    watchers = Watchers()
    assert not await watchers.changed(cells.read, ["a"], SEEN, timeout_s=0.01)
    assert not watchers


async def test_a_false_alarm_ends_nothing(cells: Cells) -> None:
    watchers = Watchers()

    async def alarm() -> None:
        while cells.readings == 0:
            await anyio.lowlevel.checkpoint()
        watchers.wake(["a"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alarm)
        assert not await watchers.changed(cells.read, ["a"], SEEN, timeout_s=0.05)
    assert cells.readings == 3


async def test_it_looks_by_itself_where_it_was_told_to(cells: Cells) -> None:
    async def read() -> Snapshot:
        cells.versions["a"] += cells.readings // 3
        return await cells.read()

    with anyio.fail_after(10):
        assert await Watchers().changed(read, ["a"], SEEN, timeout_s=3600, look_s=0.001)
    assert cells.readings == 4
