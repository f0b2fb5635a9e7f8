"""The vault as a file of its own beside the ledger (0600), which any number of processes may share.

Whoever reads the ledger need not read megabytes past, and who may see the one need not see the other. It is used on
rare roads alone, so each use is a transaction in a worker thread; nothing of it is in memory. Not before the first use
is the file made.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import anyio.to_thread
import msgspec

from fuseboard.adapters.stores.vault_memory import turned
from fuseboard.errors import StoreUnavailable
from fuseboard.vault import DROPPED, GIVEN, QUARANTINE, RANKS, WITHHELD, Held, Kept, handle_of

_log = logging.getLogger("fuseboard.quarantine")

_QUARANTINED: Final = handle_of(QUARANTINE, "")
_VERSION: Final = 1
_TABLE: Final = """CREATE TABLE IF NOT EXISTS kept (
    handle TEXT PRIMARY KEY, kind TEXT NOT NULL, rank INTEGER NOT NULL, at REAL NOT NULL, expires_at REAL NOT NULL,
    status TEXT NOT NULL, size_bytes INTEGER NOT NULL, words TEXT NOT NULL, raw BLOB NOT NULL
)"""

T = TypeVar("T")


class FileVault:
    """Implements :class:`fuseboard.vault.Vault`. ``most_bytes`` is of all that lies there together."""

    def __init__(self, path: Path, *, most_bytes: int, most: int = 10_000, lock_timeout_s: float = 5.0) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._most = most
        self._lock_timeout_s = lock_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._one = threading.Lock()
        self._closed = False

    async def put(self, kept: Kept, raw: bytes) -> bool:
        return await self._done(lambda connection: self._put(connection, kept, raw))

    async def get(self, handle: str, *, at: float) -> Held | None:
        def got(connection: sqlite3.Connection) -> Held | None:
            sql = "SELECT words, raw FROM kept WHERE handle = ? AND expires_at > ? AND status != ?"
            row = connection.execute(sql, (handle, at, DROPPED)).fetchone()
            return Held(_read(row[0]), bytes(row[1])) if row is not None else None

        return await self._done(got) if self._is_there() else None

    async def listed(self, kind: str, *, at: float) -> Sequence[Kept]:
        def found(connection: sqlite3.Connection) -> Sequence[Kept]:
            sql = "SELECT words FROM kept WHERE kind = ? AND expires_at > ? ORDER BY at, handle"
            return [_read(words) for (words,) in connection.execute(sql, (kind, at))]

        return await self._done(found) if self._is_there() else ()

    async def turn(self, handle: str, froms: Sequence[str], to: str, *, by: str, at: float) -> Kept | None:
        def turn(connection: sqlite3.Connection) -> Kept | None:
            row = connection.execute("SELECT words, expires_at FROM kept WHERE handle = ?", (handle,)).fetchone()
            if row is None or row[1] <= at or (kept := _read(row[0])).status not in froms:
                return None
            now = turned(kept, to, by=by, at=at)
            sql = "UPDATE kept SET words = ?, status = ? WHERE handle = ?"
            connection.execute(sql, (_written(now), to, handle))
            if to == DROPPED:
                connection.execute("UPDATE kept SET raw = x'', size_bytes = 0 WHERE handle = ?", (handle,))
            return now

        return await self._done(turn) if self._is_there() else None

    async def close(self) -> None:
        def close() -> None:
            with self._one:
                self._closed = True
                connection, self._connection = self._connection, None
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()

        await anyio.to_thread.run_sync(close)

    def _is_there(self) -> bool:
        return self._id() is not None

    def _id(self) -> tuple[int, int] | None:
        """Which file it is, ``None`` where there is none.

        Raises:
            StoreUnavailable: nobody can say.
        """
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise StoreUnavailable(f"the vault {self._path} cannot be used: {fault}") from fault
        return found.st_dev, found.st_ino

    async def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await anyio.to_thread.run_sync(self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """In one transaction, in a thread of its own.

        Raises:
            StoreUnavailable: the file cannot be used.
        """
        try:
            with self._one:
                if self._closed:
                    raise StoreUnavailable("the vault is closed")
                connection = self._connected()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    done = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
                return done
        except (OSError, sqlite3.Error, msgspec.MsgspecError) as fault:
            raise StoreUnavailable(f"the vault {self._path} cannot be used: {fault}") from fault

    def _connected(self) -> sqlite3.Connection:
        """To the file that lies there now. SQLite would go on with one that was removed, and what it keeps there is
        nowhere.
        """
        if self._connection is not None and self._id() != self._file:
            _log.error("the vault %s was removed or replaced: what it held is gone", self._path)
            connection, self._connection = self._connection, None
            connection.close()
        if self._connection is None:
            self._connection = self._opened()
            self._file = self._id()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its other files the mode of this one.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=self._lock_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            # A rollback journal: use is rare, and no log of withheld bytes lies beside the file for days.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise sqlite3.DatabaseError(f"it has version {version}, and this Fuseboard knows up to {_VERSION}")
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _put(self, connection: sqlite3.Connection, kept: Kept, raw: bytes) -> bool:
        connection.execute("DELETE FROM kept WHERE expires_at <= ?", (kept.at,))
        if connection.execute("SELECT 1 FROM kept WHERE handle = ?", (kept.handle,)).fetchone() is not None:
            return True
        goes = self._goes(connection, kept, len(raw))
        if goes is None:
            return False
        connection.executemany("DELETE FROM kept WHERE handle = ?", [(handle,) for handle in goes])
        kept = msgspec.structs.replace(kept, size_bytes=len(raw))
        row = (kept.handle, kept.kind, RANKS[kept.kind], kept.at, kept.expires_at, kept.status, len(raw))
        connection.execute("INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _written(kept), raw))
        return True

    def _goes(self, connection: sqlite3.Connection, kept: Kept, size_bytes: int) -> Sequence[str] | None:
        """What has to go for it, ``None`` where that is not enough."""
        held = "SELECT coalesce(sum(size_bytes), 0), count(*) FROM kept"
        held_bytes, count = connection.execute(held).fetchone()
        excess, many = held_bytes + size_bytes - self._most_bytes, count + 1 - self._most
        goes: list[str] = []
        if excess > 0 or many > 0:
            lesser = "SELECT handle, size_bytes, status FROM kept WHERE rank <= ? ORDER BY rank, status != ?, at"
            unseen = 0
            for handle, length, status in connection.execute(lesser, (RANKS[kept.kind], GIVEN)):
                if excess <= 0 and many <= 0:
                    break
                goes.append(handle)
                unseen += handle.startswith(_QUARANTINED) and status == WITHHELD
                excess -= length
                many -= 1
            if unseen and excess <= 0 and many <= 0:
                _log.error(
                    "the vault is full: %d withheld results went for %s, and nobody saw them", unseen, kept.handle
                )
        return goes if excess <= 0 and many <= 0 else None


def _written(kept: Kept) -> str:
    return msgspec.json.encode(kept).decode()


def _read(words: str) -> Kept:
    return msgspec.json.decode(words, type=Kept)
