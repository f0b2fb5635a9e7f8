"""The ledger file: made, opened, checked, upgraded. Anyone may read it with ``sqlite3`` or ``datasette``."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from fuseboard.adapters.stores.records import ADDED, ADDED_INDEX, APPLICATION_ID, DDL, SCHEMA_VERSION
from fuseboard.adapters.stores.table import Cell
from fuseboard.errors import ConfigError

_log = logging.getLogger("fuseboard.stores")
_CACHED_STATEMENTS = 64


def open_database(path: Path, *, lock_timeout_s: float) -> sqlite3.Connection:
    """Open the ledger for writing, making it where it is missing (file 0600, folder 0700).

    Several processes may do this at once. The connection may be handed to another thread, which then owns it.

    Raises:
        ConfigError: the place cannot be used, or the file is not a ledger that this version can write.
    """
    try:
        _make_private(path)
        connection = sqlite3.connect(
            path,
            timeout=lock_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"cannot open the ledger {path}: {error}") from error
    try:
        _prepare(connection, path, lock_timeout_s)
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(f"cannot use the ledger {path}: {error}") from error
    except ConfigError:
        connection.close()
        raise
    return connection


def load_state(connection: sqlite3.Connection) -> dict[str, Cell]:
    """Every cell on file, those past their time too: only who asks knows what time it is."""
    rows = connection.execute("SELECT key, value, version, expires_at FROM state")
    return {key: Cell(json.loads(value), version, expires_at) for key, value, version, expires_at in rows}


def cells_of(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Cell]:
    """The cells of these keys that are on file, those past their time too."""
    sql = "SELECT value, version, expires_at FROM state WHERE key = ?"
    cells = {}
    for key in keys:
        row = connection.execute(sql, (key,)).fetchone()
        if row is not None:
            cells[key] = Cell(json.loads(row[0]), row[1], row[2])
    return cells


def admitted(connection: sqlite3.Connection, call: str) -> bool:
    """Whether the call was let through, and charged."""
    return connection.execute("SELECT 1 FROM calls WHERE id = ? AND NOT final", (call,)).fetchone() is not None


def newest_at(connection: sqlite3.Connection) -> float:
    """When the newest call on record began (Unix seconds), -inf where there is none."""
    newest = connection.execute("SELECT max(at) FROM calls").fetchone()[0]
    return float("-inf") if newest is None else float(newest)


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version, 0 for an empty file.

    Raises:
        ConfigError: another program's file, or a newer Fuseboard's.
    """
    # In this order: another process may be making the tables just now, and they come together with their marks.
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and not empty:
        raise ConfigError(f"{path} is a database of another program, not a Fuseboard ledger")
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"the ledger {path} has version {version} and this Fuseboard knows up to {SCHEMA_VERSION}: "
            "upgrade Fuseboard, or name another folder with --state"
        )
    return version


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database itself.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _prepare(connection: sqlite3.Connection, path: Path, lock_timeout_s: float) -> None:
    # A power cut must not take what a durable commit promised; macOS syncs to the disk's own cache otherwise.
    connection.execute("PRAGMA fullfsync = ON")
    version = check_version(connection, path)
    _use_wal(connection, lock_timeout_s)
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    # Looked at again under the lock: another process may have made or upgraded the tables meanwhile.
    version = check_version(connection, path)
    if version == 0:
        for statement in DDL.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        # A process of an older version that still runs may have set its mark on a ledger that was upgraded already.
        for column, statement in ADDED:
            if not _has_column(connection, column):
                connection.execute(statement)
        connection.execute(ADDED_INDEX)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _has_column(connection: sqlite3.Connection, name: str) -> bool:
    return any(row[1] == name for row in connection.execute("PRAGMA table_info(calls)"))


def _use_wal(connection: sqlite3.Connection, lock_timeout_s: float) -> None:
    """Switch to the write-ahead log.

    SQLite does not wait for a lock here, so two processes that make the file together would fail each other.
    """
    deadline = time.monotonic() + lock_timeout_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            break
    if mode != "wal":
        _log.warning("the ledger's file system has no write-ahead log (mode %s): commits are slower", mode)
