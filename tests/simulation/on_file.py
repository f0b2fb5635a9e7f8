"""A simulated world on a real file: the store has its thread and its disk, the world waits for it without time passing.

Each commit waits for the disk, so that a death of the proxy loses nothing that the books know of. What such a death
does to the file, and what is found in it afterwards, is the real thing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fuseboard.adapters.stores import reaping
from fuseboard.adapters.stores.reaping import Held, Overdue
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.adapters.stores.table import Cell
from fuseboard.adapters.stores.watchers import Watchers
from fuseboard.ports import Entry, Lapsed, Proposed
from fuseboard.state import Snapshot, Write
from simulation.watched import Observer
from support.crash import kill

_Given = TypeVar("_Given")


class FileStore:
    """What :class:`simulation.watched.ToldStore` is in memory. ``died`` is what a proxy's end does to its store."""

    exact = False
    """A store that died has charged more than was used: what it had in advance is charged in full."""

    def __init__(self, observer: Observer, path: Path) -> None:
        self._observer = observer
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._watchers = Watchers()
        self._began: dict[str, float] = {}
        self._store = SqliteStore.open(path)

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        return self._done(self._store.read(keys, at=at))

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        done = self._done(self._store.commit(writes, read, entry, at=at, durable=True))
        if done:
            if isinstance(entry, Proposed):
                self._began[entry.id] = entry.at
            self._observer.committed(writes, entry, at)
            self._watchers.wake(write.key for write in writes)
        return done

    async def changed(self, keys: Sequence[str], read: Snapshot, *, at: float, timeout_s: float) -> bool:
        return await self._watchers.changed(lambda: self.read(keys, at=at), keys, read, timeout_s=timeout_s)

    async def reap(self, *, at: float) -> Sequence[Lapsed]:
        found = self._done(self._store.reap(at=at))
        for call in dict.fromkeys(one.call for one in found):
            self._observer.committed([], reaping.without_end(Overdue(call, self._began[call], Held(at, {})), at=at), at)
        return found

    async def last_seq(self, run: str) -> int:
        return self._done(self._store.last_seq(run))

    async def close(self) -> None:
        return None

    def cell(self, key: str) -> Cell | None:
        table = self._store._sole.table
        assert table is not None
        return table.cell(key)

    def died(self) -> None:
        kill(self._store)
        self._store = SqliteStore.open(self._path)

    def shut(self) -> None:
        self._done(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _done(self, work: Coroutine[Any, Any, _Given]) -> _Given:
        """Run on the store's own loop; the world stands still meanwhile."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
