import asyncio
import sqlite3
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.stores.database import open_database
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.writer import Job, Writer
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Entry
from support.ledger_entries import BEGAN, concluded, proposed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def writer_at(path: Path, *, limit: int = 100, linger_s: float = 0.001) -> tuple[Writer, sqlite3.Connection]:
    connection = open_database(path, lock_timeout_s=5)
    return Writer(connection, limit=limit, linger_s=linger_s), connection


def durable(entry: Entry | None) -> Job:
    return Job(entry, None, asyncio.get_running_loop().create_future())


def written(path: Path) -> list[str]:
    with LedgerReader(path) as ledger:
        return [call.id for call in ledger.calls()]


async def test_a_durable_job_does_not_wait_for_the_lingering(path: Path) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    job = durable(proposed("d-2"))
    assert job.done is not None
    writer.put(Job(proposed("d-1"), None, None))
    writer.put(job)
    with anyio.fail_after(10):
        await job.done
    assert written(path) == ["d-1", "d-2"]
    await writer.close()


async def test_closing_does_not_wait_for_the_lingering(path: Path) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    writer.put(Job(proposed("d-1"), None, None))
    with anyio.fail_after(10):
        await writer.close()
    assert written(path) == ["d-1"]


async def test_a_durable_batch_is_synced_and_another_is_not(path: Path) -> None:
    writer, connection = writer_at(path)
    levels = []
    for job in (Job(proposed("d-1"), None, None), durable(proposed("d-2")), Job(proposed("d-3"), None, None)):
        writer.put(job)
        with anyio.fail_after(10), LedgerReader(path) as ledger:
            while ledger.call(job.entry.id if job.entry else "") is None:
                await anyio.lowlevel.checkpoint()
        levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])
    await writer.close()
    normal, full = 1, 2
    assert levels == [normal, full, normal]


async def test_a_full_disk_fails_who_waits_and_is_heard_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection = open_database(path, lock_timeout_s=5)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    writer = Writer(connection, limit=100)
    job = durable(proposed(arguments='"' + "x" * 50_000 + '"'))
    assert job.done is not None
    writer.put(job)
    with anyio.fail_after(10), pytest.raises(StoreUnavailable, match="full"):
        await job.done
    assert writer.fault == "database or disk is full"
    await writer.close()
    assert "database or disk is full" in caplog.text


async def test_what_cannot_be_written_before_the_end_is_counted_aloud(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = open_database(path, lock_timeout_s=5)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    writer = Writer(connection, limit=100)
    writer.put(Job(proposed(arguments='"' + "x" * 50_000 + '"'), None, None))
    await writer.close()
    assert "1 commits on their way to the ledger are lost" in caplog.text


async def test_a_mistake_in_one_job_does_not_end_the_writer(path: Path) -> None:
    writer, _ = writer_at(path)
    broken, sound = durable(proposed("d-1", seq=2**80)), durable(proposed("d-2"))
    assert broken.done is not None
    assert sound.done is not None
    writer.put(broken)
    with anyio.fail_after(10), pytest.raises(StoreUnavailable, match="OverflowError"):
        await broken.done
    writer.put(sound)
    with anyio.fail_after(10):
        await sound.done
    assert written(path) == ["d-2"]
    await writer.close()


async def test_the_end_of_an_unknown_call_is_heard_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer, _ = writer_at(path)
    writer.put(Job(concluded("d-unknown"), None, None))
    await writer.close()
    assert "no beginning of a call that ended" in caplog.text


@pytest.mark.parametrize("count", [1, 2, 8, 33, 100])
async def test_batches_of_every_size_are_written_whole_and_in_order(path: Path, count: int) -> None:
    writer, _ = writer_at(path, limit=1000, linger_s=3600)
    ids = [f"d-{n:03}" for n in range(count)]
    for id in ids:
        writer.put(Job(proposed(id, at=BEGAN), None, None))
    for id in ids[::2]:
        writer.put(Job(concluded(id), None, None))
    await writer.close()
    assert sorted(written(path)) == ids
