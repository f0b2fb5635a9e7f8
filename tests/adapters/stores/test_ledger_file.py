import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuseboard.adapters.stores.database import load_state, open_database
from fuseboard.adapters.stores.ledger_file import LedgerFile, is_disk_fault
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.records import Batch
from fuseboard.adapters.stores.table import Cell
from fuseboard.ports import Entry
from support.ledger_entries import BEGAN, concluded, proposed

NORMAL, FULL = 1, 2


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(tmp_path / "ledger.db", lock_timeout_s=5)
    yield opened
    opened.close()


def batch(*entries: Entry) -> Batch:
    made = Batch()
    for entry in entries:
        made.add(entry, None)
    return made


def written(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    return connection.execute("SELECT id, truth FROM calls ORDER BY rowid").fetchall()


@pytest.mark.parametrize("count", [1, 2, 8, 33, 100])
def test_batches_of_every_size_are_written_whole_and_in_order(connection: sqlite3.Connection, count: int) -> None:
    ids = [f"d-{n:03}" for n in range(count)]
    LedgerFile(connection).write(batch(*map(proposed, ids), *map(concluded, ids[::2])), durable=False)
    assert written(connection) == [(id, None if n % 2 else "ok") for n, id in enumerate(ids)]


def test_what_is_durable_is_synced_and_what_is_not_is_not(connection: sqlite3.Connection) -> None:
    file = LedgerFile(connection)
    levels = []
    for n, durable in enumerate([False, True, True, False, True]):
        file.write(batch(proposed(f"d-{n}")), durable=durable)
        levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])
    assert levels == [NORMAL, FULL, FULL, NORMAL, FULL]


def test_a_batch_that_fails_leaves_nothing(connection: sqlite3.Connection) -> None:
    file = LedgerFile(connection)
    with pytest.raises(sqlite3.IntegrityError):
        file.write(batch(proposed("d-1"), proposed("d-2", tool=None)), durable=True)
    file.write(batch(proposed("d-3")), durable=False)
    assert written(connection) == [("d-3", None)]


def test_an_empty_batch_still_tries_the_disk(connection: sqlite3.Connection, tmp_path: Path) -> None:
    wal = tmp_path / "ledger.db-wal"
    before = wal.stat().st_size
    LedgerFile(connection).write(Batch(), durable=True)
    assert wal.stat().st_size > before
    with LedgerReader(tmp_path / "ledger.db") as ledger:
        assert ledger.runs() == []


def test_the_end_of_an_unknown_call_is_heard_of(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    LedgerFile(connection).write(batch(concluded("d-unknown")), durable=False)
    assert "no beginning of a call that ended" in caplog.text


def test_pruning_goes_slice_by_slice(connection: sqlite3.Connection) -> None:
    file = LedgerFile(connection)
    file.write(batch(*(proposed(f"d-{n:04}", at=BEGAN + n) for n in range(1203))), durable=False)
    assert [file.prune(BEGAN + 1200, BEGAN) for _ in range(3)] == [True, True, False]
    assert written(connection) == [(f"d-{n}", None) for n in (1200, 1201, 1202)]


def test_pruning_takes_the_state_that_has_expired(connection: sqlite3.Connection) -> None:
    file, made = LedgerFile(connection), Batch()
    made.add(None, {"past": Cell(1, 1, BEGAN), "alive": Cell(1, 1, BEGAN + 1)})
    file.write(made, durable=False)
    assert not file.prune(0, BEGAN)
    assert load_state(connection).keys() == {"alive"}


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(sqlite3.OperationalError("database or disk is full"), True, id="a full disk"),
        pytest.param(sqlite3.DatabaseError("malformed"), True, id="a damaged file"),
        pytest.param(sqlite3.IntegrityError("NOT NULL"), False, id="an incomplete row"),
        pytest.param(sqlite3.ProgrammingError("not supported"), False, id="a value of no kind"),
        pytest.param(OverflowError(), False, id="a number too large"),
    ],
)
def test_is_disk_fault(error: Exception, fault: bool) -> None:
    assert is_disk_fault(error) is fault
