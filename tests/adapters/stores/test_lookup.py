import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.stores.database import open_database
from fuseboard.adapters.stores.ledger_file import LedgerFile
from fuseboard.adapters.stores.lookup import Lookup
from fuseboard.adapters.stores.reaping import Held
from fuseboard.adapters.stores.records import Batch
from fuseboard.adapters.stores.sole import Admitted, Sole
from fuseboard.adapters.stores.table import Cell
from fuseboard.errors import StoreUnavailable
from support.ledger_entries import BEGAN, RUN, concluded, denied, proposed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def file(path: Path) -> LedgerFile:
    return LedgerFile(open_database(path, lock_timeout_s=5))


@pytest.fixture
def sole() -> Sole:
    return Sole(None, Admitted(0))


@pytest.fixture
async def lookup(path: Path, file: LedgerFile, sole: Sole) -> AsyncIterator[Lookup]:
    made = Lookup(path, sole, lock_timeout_s=0.05)
    yield made
    await made.close()
    file.close()


def batch(*cells: tuple[str, int]) -> Batch:
    made = Batch()
    made.add(None, {key: Cell(value, 1, BEGAN) for key, value in cells})
    return made


async def test_cells_are_those_on_file(file: LedgerFile, lookup: Lookup) -> None:
    file.write(batch(("a", 1), ("b", 2)), durable=False)
    assert await lookup.cells(["a", "b", "c"]) == {"a": Cell(1, 1, BEGAN), "b": Cell(2, 1, BEGAN)}
    file.write(batch(("a", 3)), durable=False)
    assert await lookup.cells(["a"]) == {"a": Cell(3, 1, BEGAN)}


async def test_what_is_late_and_open_is_overdue(file: LedgerFile, lookup: Lookup) -> None:
    made = Batch()
    held = Held(BEGAN + 60, {"run/r": {"amounts": {"calls": 1}, "ttl_s": 9, "window_s": None}})
    for entry in (proposed("d-open"), proposed("d-ended"), proposed("d-later"), proposed("d-free")):
        late = held._replace(until=BEGAN + 61) if entry.id == "d-later" else held
        made.add(entry, None, None if entry.id == "d-free" else late)
    made.add(concluded("d-ended"), None)
    file.write(made, durable=False)
    (overdue,) = await lookup.overdue(at=BEGAN + 60)
    assert overdue == ("d-open", BEGAN, held)
    assert await lookup.overdue(at=BEGAN + 59) == []


async def test_the_last_number_of_a_run(file: LedgerFile, lookup: Lookup) -> None:
    made = Batch()
    for n in (3, 12, 7):
        made.add(proposed(f"d-{n}", seq=n), None)
    file.write(made, durable=False)
    assert await lookup.last_seq(RUN) == 12
    assert await lookup.last_seq("r-other") == 0


async def test_who_was_refused_was_not_admitted(file: LedgerFile, lookup: Lookup) -> None:
    made = Batch()
    made.add(denied("d-no"), None)
    made.add(proposed("d-yes"), None)
    file.write(made, durable=False)
    assert [await lookup.admitted(id) for id in ("d-no", "d-yes", "d-never")] == [False, True, False]


async def test_nothing_is_read_before_the_file_holds_everything(sole: Sole, lookup: Lookup, file: LedgerFile) -> None:
    sole.on_file.clear()
    with pytest.raises(StoreUnavailable, match="cannot be written to it"):
        await lookup.cells(["a"])
    sole.on_file.set()
    assert await lookup.cells(["a"]) == {}


async def test_a_writer_holds_nobody_up(path: Path, file: LedgerFile, lookup: Lookup) -> None:
    file.write(batch(("a", 1)), durable=False)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE state SET value = '2'")
    with anyio.fail_after(10):
        assert await lookup.cells(["a"]) == {"a": Cell(1, 1, BEGAN)}
    other.close()
