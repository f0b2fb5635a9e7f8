import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from fuseboard.adapters.stores.database import load_state, open_database
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.records import SCHEMA_VERSION
from fuseboard.adapters.stores.table import Cell
from fuseboard.errors import ConfigError
from support.ledger_entries import proposed, record


def opened(path: Path) -> "closing[sqlite3.Connection]":
    return closing(open_database(path, lock_timeout_s=5.0))


def test_the_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state" / "ledger.db"
    with opened(path) as connection:
        connection.execute("INSERT INTO state VALUES ('k', '1', 1, 1)")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_new_ledger_is_in_wal_mode_and_knows_its_version(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(path) as connection:
        connection.execute("INSERT INTO state VALUES ('k', '{\"a\":[1]}', 7, 99.5)")
    with opened(path) as connection:
        assert load_state(connection) == {"k": Cell({"a": [1]}, 7, 99.5)}


def test_opening_does_not_wait_for_whoever_writes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(path) as one:
        one.execute("BEGIN IMMEDIATE")
        with closing(open_database(path, lock_timeout_s=0.0)) as other:
            assert load_state(other) == {}
        one.execute("ROLLBACK")


def older(connection: sqlite3.Connection) -> None:
    """Without what came with version 4."""
    connection.execute("DROP INDEX calls_held")
    connection.execute("ALTER TABLE calls DROP COLUMN held")
    connection.execute("ALTER TABLE calls DROP COLUMN held_until")


def as_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        older(connection)
        connection.execute("ALTER TABLE calls DROP COLUMN continues")
        connection.execute("ALTER TABLE calls DROP COLUMN sent")
        connection.execute("PRAGMA user_version = 1")


def as_version_2(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        older(connection)
        connection.execute("ALTER TABLE calls DROP COLUMN continues")
        connection.execute("PRAGMA user_version = 2")


def test_the_ledger_of_version_2_is_upgraded_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    record(path, proposed(sent='{"n":1.10}'))
    as_version_2(path)
    with LedgerReader(path) as ledger:
        assert [(call.sent, call.continues) for call in ledger.calls()] == [('{"n":1.10}', None)]
    record(path, proposed("d-2", continues="d-1"))
    with LedgerReader(path) as ledger:
        assert [(call.sent, call.continues) for call in ledger.calls()] == [('{"n":1.10}', None), (None, "d-1")]
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_the_ledger_of_version_1_is_upgraded_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    record(path, proposed())
    as_version_1(path)
    with LedgerReader(path) as ledger:
        assert [call.sent for call in ledger.calls()] == [None]
    record(path, proposed("d-2", sent='{"n":1.10}'))
    with LedgerReader(path) as ledger:
        assert [call.sent for call in ledger.calls()] == [None, '{"n":1.10}']
        assert b'"sent":{"n":1.10}' in next(iter(ledger.newest(1))).to_json()
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_mark_that_was_set_back_by_an_older_process_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_the_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(ConfigError, match="upgrade Fuseboard"):
        open_database(path, lock_timeout_s=5.0)


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        open_database(path, lock_timeout_s=5.0)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("milk, eggs, and a database that is none " * 100)
    with pytest.raises(ConfigError, match="not a database"):
        open_database(path, lock_timeout_s=5.0)


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=str(tmp_path)):
        open_database(tmp_path / "file" / "ledger.db", lock_timeout_s=5.0)
