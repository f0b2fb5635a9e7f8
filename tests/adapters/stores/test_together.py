"""Several proxies on one state folder: one after the other, side by side, and killed at any moment."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from fuseboard.accounts import standing
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.errors import ConfigError
from fuseboard.state import EMPTY, Add, Put, Reserve
from support.crash import kill
from support.ledger_entries import BEGAN, concluded, proposed

_TESTS = Path(__file__).parents[2]
AT = BEGAN
Opener = Callable[[], Awaitable[SqliteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[Opener]:
    stores: list[SqliteStore] = []

    async def _open() -> SqliteStore:
        stores.append(await anyio.to_thread.run_sync(lambda: SqliteStore.open(path)))
        return stores[-1]

    yield _open
    for store in stores:
        if store._writer._thread.is_alive():
            await store.close()


async def until_alone(store: SqliteStore) -> None:
    with anyio.fail_after(10):
        while not await store.changed([], EMPTY, at=AT, timeout_s=0.01) and not store.alone:
            pass


async def count(store: SqliteStore, key: str = "k") -> object:
    return (await store.read([key], at=AT)).get(key)


async def test_a_newcomer_finds_what_was_in_memory_alone(opened: Opener) -> None:
    first = await opened()
    for _ in range(10):
        await first.commit([Add("k", 1, None, 60)], EMPTY, None, at=AT)
    second = await opened()
    assert (first.alone, second.alone) == (False, False)
    assert await count(second) == 10
    assert await second.commit([Add("k", 1, 11, 60)], EMPTY, None, at=AT)
    assert not await first.commit([Add("k", 1, 11, 60)], EMPTY, None, at=AT)
    assert await count(first) == 11


async def test_of_two_puts_on_one_reading_one_is_refused_across_processes(opened: Opener) -> None:
    first = await opened()
    await first.commit([Put("k", "new", 60)], EMPTY, None, at=AT)
    seen_alone = await first.read(["k"], at=AT)
    second = await opened()
    assert await second.commit([Put("k", "theirs", 60)], await second.read(["k"], at=AT), None, at=AT)
    assert not await first.commit([Put("k", "ours", 60)], seen_alone, None, at=AT)
    assert await count(first) == "theirs"


@pytest.mark.parametrize("how", ["closed", "killed"])
async def test_whoever_is_left_is_alone_again_and_knows_it_all(opened: Opener, how: str) -> None:
    first, second = await opened(), await opened()
    await second.commit([Add("k", 4, None, 60)], EMPTY, proposed(), at=AT)
    if how == "closed":
        await second.close()
    else:
        kill(second)
    await until_alone(first)
    assert await count(first) == 4
    # Charged by the one that has gone, and not once more by the one that is alone now.
    assert await first.commit([Add("k", 4, None, 60)], EMPTY, proposed(), at=AT)
    assert await count(first) == 4


async def test_no_commit_is_lost_or_done_twice_while_others_come_and_go(opened: Opener) -> None:
    first, over, granted = await opened(), anyio.Event(), 0

    async def work() -> None:
        nonlocal granted
        while not over.is_set():
            assert await first.commit([Add("k", 1, None, 60)], EMPTY, None, at=AT)
            granted += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(work)
        for _ in range(2):
            second = await opened()
            before = await count(second)
            assert await second.commit([Add("k", 1, None, 60)], EMPTY, None, at=AT)
            granted += 1
            assert await count(second) > before  # type: ignore[operator]
            await second.close()
            await until_alone(first)
        over.set()
    assert await count(first) == granted
    await first.close()
    assert await count(await opened()) == granted


async def test_whoever_watches_is_woken_by_another_process(opened: Opener) -> None:
    first = await opened()
    seen = await first.read(["k"], at=AT)
    woken: list[bool] = []

    async def watch() -> None:
        woken.append(await first.changed(["k"], seen, at=AT, timeout_s=60))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            second = await opened()
            assert await second.commit([Put("k", "approved", 60)], EMPTY, None, at=AT)
    assert woken == [True]


async def test_two_that_reap_at_once_close_a_call_once(opened: Opener) -> None:
    first, second = await opened(), await opened()
    for n in range(20):
        reserve = Reserve("run", f"d-{n}", {"calls": 1}, {}, 30, 1000)
        await first.commit([reserve], EMPTY, proposed(f"d-{n}"), at=AT)
    found: list[str] = []

    async def reap(store: SqliteStore) -> None:
        found.extend(one.call for one in await store.reap(at=AT + 30))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reap, first)
        tasks.start_soon(reap, second)
    assert sorted(found) == sorted(f"d-{n}" for n in range(20))
    now = standing((await first.read(["run"], at=AT)).get("run"), at=AT + 30)
    assert now.used == now.lapsed == {"calls": 20}


async def test_whoever_keeps_it_to_itself_is_named(opened: Opener, path: Path) -> None:
    first = await opened()
    first._writer._mind_the_door = lambda: None  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=f"process {os.getpid()} keeps it to itself"):
        await anyio.to_thread.run_sync(lambda: SqliteStore.open(path, patience_s=0.1))
    assert first.alone


async def test_what_memory_holds_and_the_disk_does_not_take_is_not_handed_over(opened: Opener, path: Path) -> None:
    first = await opened()
    write, disk_is_back = first._writer._file.write, anyio.Event()

    def fail(*args: object, **named: object) -> None:
        if not disk_is_back.is_set():
            raise sqlite3.OperationalError("disk I/O error")
        write(*args, **named)  # type: ignore[arg-type]

    first._writer._file.write = fail  # type: ignore[method-assign, assignment]
    await first.commit([Add("k", 5, 5, 60)], EMPTY, None, at=AT)
    with pytest.raises(ConfigError, match="keeps it to itself"):
        await anyio.to_thread.run_sync(lambda: SqliteStore.open(path, patience_s=0.6))
    disk_is_back.set()
    second = await opened()
    assert await count(second) == 5


async def test_a_durable_admission_that_was_answered_survives_a_kill(opened: Opener) -> None:
    first = await opened()
    for n in range(5):
        reserve = Reserve("run", f"d-{n}", {"calls": 1}, {"calls": 5}, 60, 1000)
        assert await first.commit([reserve], EMPTY, proposed(f"d-{n}"), at=AT, durable=True)
    kill(first)
    second = await opened()
    assert not await second.commit(
        [Reserve("run", "d-9", {"calls": 1}, {"calls": 5}, 60, 1000)], EMPTY, proposed("d-9"), at=AT
    )
    # Asked again by whoever did not hear the answer: charged once.
    again = Reserve("run", "d-4", {"calls": 1}, {"calls": 5}, 60, 1000)
    assert await second.commit([again], EMPTY, proposed("d-4"), at=AT)


async def test_a_call_of_an_earlier_life_is_not_charged_again(opened: Opener) -> None:
    first = await opened()
    await first.commit([Add("k", 1, None, 60)], EMPTY, proposed(), at=AT)
    await first.commit((), EMPTY, concluded(), at=AT)
    await first.close()
    second = await opened()
    assert await second.commit([Add("k", 1, None, 60)], EMPTY, proposed(), at=AT)
    assert await count(second) == 1


def child(path: Path, prefix: str, ceiling: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(_TESTS / "support" / "budget_child.py"), str(path), prefix, str(ceiling)]
    environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("killed", [0, 2])
async def test_processes_side_by_side_never_overspend(opened: Opener, path: Path, killed: int) -> None:
    ceiling = 500
    children = [child(path, f"p{n}", ceiling) for n in range(4)]
    told: set[str] = set()
    pipes = [(process.stdin, process.stdout) for process in children]
    for _, out in pipes:
        assert out is not None
        assert out.readline() == "up\n"
    for into, _ in pipes:
        assert into is not None
        into.write("go\n")
        into.flush()
    with LedgerReader(path) as ledger:
        while killed and len(ledger.newest(20)) < 20:
            await anyio.lowlevel.checkpoint()
    for process in children[:killed]:
        process.kill()
    for process in children:
        told |= set(process.communicate()[0].split())
    store = await opened()
    now = standing((await store.read(["run"], at=AT)).get("run"), at=AT)
    assert [process.returncode for process in children] == [-9] * killed + [0] * (4 - killed)
    with LedgerReader(path) as ledger:
        calls = {call.id: call for call in ledger.calls()}
    assert told <= calls.keys()
    used = sum(1 for call in calls.values() if call.truth == "ok" and int(call.id.split("-")[1]) % 5)
    left_open = sum(call.truth == "unknown" for call in calls.values())
    assert (now.used.get("calls", 0), now.held.get("calls", 0)) == (used, left_open)
    assert now.taken("calls") <= ceiling
    if not killed:
        assert now.taken("calls") == ceiling
    lapsed = await store.reap(at=AT + 60)
    assert len(lapsed) == left_open
    after = standing((await store.read(["run"], at=AT)).get("run"), at=AT + 60)
    assert (after.used["calls"], after.held) == (used + left_open, {})
