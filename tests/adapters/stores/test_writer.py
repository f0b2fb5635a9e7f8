import asyncio
import sqlite3
from pathlib import Path

import anyio
import msgspec
import pytest

from fuseboard.adapters.stores.database import open_database
from fuseboard.adapters.stores.door import Door
from fuseboard.adapters.stores.jobs import Job
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sole import Admitted, Sole
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.adapters.stores.writer import Writer
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Entry
from support.ledger_entries import proposed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def writer_at(path: Path, *, limit: int = 100, linger_s: float = 0.001) -> tuple[Writer, sqlite3.Connection]:
    connection = open_database(path, lock_timeout_s=5)
    return alone(connection, path, limit=limit, linger_s=linger_s), connection


def alone(connection: sqlite3.Connection, path: Path, *, limit: int = 100, linger_s: float = 0.02) -> Writer:
    door = Door(path)
    door.enter(patience_s=0)
    return Writer(connection, door, Sole(Table(), Admitted(0)), limit=limit, linger_s=linger_s)


def durable(entry: Entry | None) -> Job:
    return Job(entry, None, asyncio.get_running_loop().create_future(), durable=True)


def written(path: Path) -> list[str]:
    with LedgerReader(path) as ledger:
        return [call.id for call in ledger.calls()]


async def test_a_durable_job_does_not_wait_for_the_lingering(path: Path) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    job = durable(proposed("d-2"))
    assert job.done is not None
    writer.put(Job(proposed("d-1")))
    writer.put(job)
    with anyio.fail_after(10):
        await job.done
    assert written(path) == ["d-1", "d-2"]
    await writer.close()


async def test_closing_does_not_wait_for_the_lingering(path: Path) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    writer.put(Job(proposed("d-1")))
    with anyio.fail_after(10):
        await writer.close()
    assert written(path) == ["d-1"]


async def test_a_full_disk_fails_who_waits_and_is_heard_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection = open_database(path, lock_timeout_s=5)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    writer = alone(connection, path)
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
    writer = alone(connection, path)
    writer.put(Job(proposed(arguments='"' + "x" * 50_000 + '"')))
    await writer.close()
    assert "1 commits on their way to the ledger are lost" in caplog.text


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"seq": 2**80}, "OverflowError"), ({"tool": None}, "NOT NULL"), ({"tool": object()}, "not supported")],
    ids=["a number too large", "nothing where something must be", "a value of no kind"],
)
async def test_a_mistake_in_one_job_costs_no_other_its_record(
    path: Path, changes: dict[str, object], complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    broken, sound = durable(proposed("d-2", **changes)), durable(proposed("d-3"))
    assert broken.done is not None
    assert sound.done is not None
    for job in (Job(proposed("d-1")), broken, sound):
        writer.put(job)
    with anyio.fail_after(10):
        with pytest.raises(StoreUnavailable, match=complaint):
            await broken.done
        await sound.done
    assert writer.fault is None
    assert written(path) == ["d-1", "d-3"]
    assert "is lost" in caplog.text
    await writer.close()


async def test_of_a_key_that_was_written_often_only_the_newest_cell_waits(path: Path) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    first, second = {"a": Cell(1, 1, 9e9), "b": Cell(1, 1, 9e9)}, {"a": Cell(2, 2, 9e9)}
    writer.put(Job(proposed("d-1"), first))
    writer.put(Job(proposed("d-2"), second))
    assert (first.keys(), second.keys()) == ({"b"}, {"a"})
    await writer.close()
    assert written(path) == ["d-1", "d-2"]
    with LedgerReader(path) as ledger:
        assert ledger.state(["a", "b"], at=1.0).values == {"a": 2, "b": 1}


async def test_a_mistake_in_one_job_costs_no_account_what_an_earlier_one_was_charged(path: Path) -> None:
    writer, _ = writer_at(path, linger_s=3600)
    broken = durable(proposed("d-2", seq=2**80))
    assert broken.done is not None
    writer.put(Job(proposed("d-1"), {"a": Cell(1, 1, 9e9)}))
    writer.put(msgspec.structs.replace(broken, cells={"a": Cell(2, 2, 9e9)}))
    with anyio.fail_after(10), pytest.raises(StoreUnavailable, match="OverflowError"):
        await broken.done
    with LedgerReader(path) as ledger:
        assert ledger.state(["a"], at=1.0).values == {"a": 2}
    await writer.close()
