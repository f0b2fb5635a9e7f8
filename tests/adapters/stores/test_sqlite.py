import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.errors import ConfigError, StoreUnavailable
from fuseboard.state import EMPTY, Add, Put
from support.ledger_entries import BEGAN, concluded, proposed

_TESTS = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(path, lock_timeout_s=0.02)
    yield opened
    await opened.close()


def child(path: Path, prefix: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(_TESTS / "support" / "ledger_child.py"), str(path), prefix, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """While another process would be writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def truths(path: Path) -> dict[str, str]:
    with LedgerReader(path) as ledger:
        return {call.id: call.truth for call in ledger.calls()}


async def test_what_was_durable_can_be_read_at_once(store: SqliteStore, path: Path) -> None:
    await store.commit((), EMPTY, proposed("d-1"), at=BEGAN, durable=True)
    assert truths(path) == {"d-1": "unknown"}


async def test_state_survives_a_restart(path: Path) -> None:
    first = SqliteStore.open(path)
    await first.commit([Add("count", 3, None, 60), Put("open", {"since": 1.5}, 60)], EMPTY, None, at=BEGAN)
    await first.close()
    second = SqliteStore.open(path)
    seen = await second.read(["count", "open"], at=BEGAN)
    assert seen.values == {"count": 3, "open": {"since": 1.5}}
    assert await second.commit([Put("open", None, 60)], seen, None, at=BEGAN)
    await second.close()


def test_killed_after_it_was_told_loses_nothing(path: Path) -> None:
    with child(path, "d", 0) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(200)]
        process.kill()
        told += process.stdout.read().split()
    on_record = truths(path)
    assert set(told) <= on_record.keys()
    assert set(on_record.values()) <= {"ok", "unknown"}


async def test_state_that_was_durable_survives_a_kill(path: Path) -> None:
    with child(path, "d", 0) as process:
        assert process.stdout is not None
        for _ in range(50):
            process.stdout.readline()
        process.kill()
        told = 50 + len(process.stdout.read().split())
    store = SqliteStore.open(path)
    assert (await store.read(["count"], at=BEGAN)).get("count") >= told
    await store.close()


def test_several_processes_write_one_ledger(path: Path) -> None:
    children = [child(path, f"r{n}", 100) for n in range(3)]
    for process in children:
        with process:
            process.communicate()
        assert process.returncode == 0
    with LedgerReader(path) as ledger:
        assert {run.run: (run.calls, run.failed) for run in ledger.runs()} == {f"r{n}": (100, 0) for n in range(3)}


async def test_the_event_loop_never_waits_for_the_disk(path: Path) -> None:
    store = SqliteStore.open(path, lock_timeout_s=30)
    done = anyio.Event()

    async def commit() -> None:
        await store.commit((), EMPTY, proposed(), at=BEGAN, durable=True)
        done.set()

    async with anyio.create_task_group() as tasks:
        with locked(path):
            tasks.start_soon(commit)
            for _ in range(100):
                await store.commit([Add("count", 1, None, 60)], EMPTY, None, at=BEGAN)
                await anyio.lowlevel.checkpoint()
            assert (await store.read(["count"], at=BEGAN)).get("count") == 100
            assert not done.is_set()
        with anyio.fail_after(10):
            await done.wait()
    await store.close()


async def test_a_ledger_that_cannot_be_written_fails_loudly_and_heals(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(path):
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.commit((), EMPTY, proposed("d-lost"), at=BEGAN, durable=True)
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.commit((), EMPTY, proposed("d-later"), at=BEGAN)
    assert "commits are refused" in caplog.text
    with anyio.fail_after(10):
        while True:
            try:
                await store.commit((), EMPTY, proposed("d-healed"), at=BEGAN, durable=True)
                break
            except StoreUnavailable:
                await anyio.lowlevel.checkpoint()
    assert "can be written again" in caplog.text
    assert list(truths(path)) == ["d-healed"]


async def test_what_was_promised_before_a_fault_is_written_after_it(store: SqliteStore, path: Path) -> None:
    with locked(path):
        await store.commit([Add("count", 1, None, 60)], EMPTY, proposed("d-promised"), at=BEGAN)
        await store.commit((), EMPTY, concluded("d-promised"), at=BEGAN)
        with pytest.raises(StoreUnavailable):
            await store.commit((), EMPTY, proposed("d-lost"), at=BEGAN, durable=True)
    await store.close()
    assert truths(path) == {"d-promised": "ok"}


async def test_a_queue_that_is_full_makes_callers_wait_and_loses_nothing(path: Path) -> None:
    store = SqliteStore.open(path, queue_limit=4)

    async def commit(n: int) -> None:
        assert await store.commit((), EMPTY, proposed(f"d-{n}"), at=BEGAN, durable=n % 3 == 0)

    async with anyio.create_task_group() as tasks:
        for n in range(200):
            tasks.start_soon(commit, n)
    await store.close()
    assert len(truths(path)) == 200


async def test_a_caller_that_gives_up_takes_no_record_with_it(path: Path) -> None:
    store = SqliteStore.open(path, lock_timeout_s=30)
    with locked(path), anyio.move_on_after(0.01) as scope:
        await store.commit((), EMPTY, proposed("d-1"), at=BEGAN, durable=True)
    assert scope.cancelled_caught
    await store.close()
    assert truths(path) == {"d-1": "unknown"}


async def test_pruning_takes_what_is_older_and_nothing_else(path: Path) -> None:
    store = SqliteStore.open(path)
    for n in range(10):
        await store.commit((), EMPTY, proposed(f"d-{n}", at=BEGAN + n), at=BEGAN + n)
    await store.commit((), EMPTY, None, at=BEGAN, durable=True)
    store.retain(4.0, at=BEGAN + 9)
    await store.commit((), EMPTY, None, at=BEGAN, durable=True)
    assert list(truths(path)) == [f"d-{n}" for n in range(5, 10)]
    await store.close()


async def test_what_grows_too_old_is_forgotten_hour_by_hour(path: Path) -> None:
    store = SqliteStore.open(path)
    store.retain(60.0, at=BEGAN)
    hour = 3600.0
    for n, at in enumerate([BEGAN + 1, BEGAN + hour - 1, BEGAN + hour, BEGAN + 2 * hour - 1]):
        await store.commit((), EMPTY, proposed(f"d-{n}", at=at), at=at, durable=True)
    await store.commit((), EMPTY, None, at=BEGAN + hour, durable=True)
    assert list(truths(path)) == ["d-1", "d-2", "d-3"]
    await store.commit((), EMPTY, None, at=BEGAN + 2 * hour, durable=True)
    assert list(truths(path)) == ["d-3"]
    await store.close()


async def test_strange_text_costs_no_record(store: SqliteStore, path: Path) -> None:
    await store.commit((), EMPTY, proposed("d-1", reason="lone \ud800", tool="nul \x00"), at=BEGAN, durable=True)
    with LedgerReader(path) as ledger:
        (call,) = ledger.calls()
    assert (call.reason, call.tool) == ("lone \\ud800", "nul \x00")


def test_a_place_that_cannot_be_used_is_the_operators_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot open the ledger"):
        SqliteStore.open(tmp_path / "file" / "ledger.db")
