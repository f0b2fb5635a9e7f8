"""Writing transactions to the ledger file. Blocks: belongs to the writer's thread."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from itertools import chain, groupby

from fuseboard.adapters.stores import records
from fuseboard.adapters.stores.database import admitted, cells_of, load_state, newest_at
from fuseboard.adapters.stores.records import Batch, Row
from fuseboard.adapters.stores.table import Cell

_log = logging.getLogger("fuseboard.stores")

_PRUNE_ROWS = 500
# Few sizes of statement, each prepared once. SQLite runs one statement without the interpreter's lock, so many rows
# in one statement mean few times that the thread and the event loop contend for it.
_SIZES = (32, 8, 2, 1)


class LedgerFile:
    """Owns a connection of :func:`open_database`. Every method may raise ``sqlite3.Error``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._synced: bool | None = None

    def write(self, batch: Batch | Callable[[], Batch], *, durable: bool, touch: bool = True) -> None:
        """Write the batch as one transaction, or nothing; ``durable``: return once it would survive a power cut.

        A function is asked for the batch within the transaction, where what it reads is what it writes upon; it may be
        asked twice. With ``touch`` an empty batch writes what is there already, which shows whether the disk takes
        anything.
        """
        self._sync(durable)
        ask = batch if callable(batch) else lambda: batch
        try:
            self._transact(ask, list, touch)
        except UnicodeEncodeError:
            self._transact(ask, lambda rows: list(records.scrubbed(rows)), touch)

    def cells(self, keys: Iterable[str]) -> dict[str, Cell]:
        """The cells of these keys that are on file, those past their time too."""
        return cells_of(self._connection, keys)

    def all_cells(self) -> dict[str, Cell]:
        return load_state(self._connection)

    def admitted(self, call: str) -> bool:
        """Whether the call was let through, and charged."""
        return admitted(self._connection, call)

    def is_open(self, call: str) -> bool:
        """Whether the call was let through and has no end yet."""
        sql = "SELECT 1 FROM calls WHERE id = ? AND NOT final AND truth IS NULL"
        return self._connection.execute(sql, (call,)).fetchone() is not None

    def newest_at(self) -> float:
        """When the newest call on record began (Unix seconds)."""
        return newest_at(self._connection)

    def prune(self, before: float, at: float) -> bool:
        """Delete state that has expired at ``at``, and some of the calls that began before ``before`` (Unix seconds).

        Returns whether there may be more of them.
        """
        self._sync(False)
        self._connection.execute("DELETE FROM state WHERE expires_at <= ?", (at,))
        oldest = "SELECT rowid FROM calls WHERE at < ? ORDER BY at LIMIT ?"
        deleted = self._connection.execute(f"DELETE FROM calls WHERE rowid IN ({oldest})", (before, _PRUNE_ROWS))
        return deleted.rowcount == _PRUNE_ROWS

    def close(self) -> None:
        self._connection.close()

    def _transact(self, ask: Callable[[], Batch], clean: Callable[[list[Row]], list[Row]], touch: bool) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            batch = ask()
            if touch and not batch:
                execute(f"PRAGMA user_version = {records.SCHEMA_VERSION}")
            self._rows(records.insert_calls, clean(batch.inserts()))
            ends = clean(batch.updates())
            if self._rows(records.update_calls, ends) < len(ends):
                _log.warning("the ledger holds no beginning of a call that ended: pruned, or never written")
            self._rows(records.upsert_state, clean(batch.upserts()))
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _rows(self, sql: Callable[[int, int], str], rows: list[Row]) -> int:
        """Write the rows in their order, as many of one width in one statement as fit; returns how many changed."""
        changed = 0
        for width, group in groupby(rows, key=len):
            left = list(group)
            while left:
                size = next(size for size in _SIZES if size <= len(left))
                values = [*chain.from_iterable(left[:size])]
                changed += self._connection.execute(sql(size, width), values).rowcount
                del left[:size]
        return changed

    def _sync(self, full: bool) -> None:
        """In WAL mode ``FULL`` syncs the log at each COMMIT, ``NORMAL`` only when the log is folded into the file."""
        if full is not self._synced:
            # Not execute(): this pragma acts while it is compiled, so a cached statement would do nothing.
            self._connection.executescript(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._synced = full


def is_disk_fault(error: Exception) -> bool:
    """Whether trying again later may help: full, locked, unreadable; not what is wrong with the rows themselves."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
