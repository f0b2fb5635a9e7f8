"""The store of tests and of ``store: memory``: nothing outlives the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fuseboard.adapters.stores import reaping
from fuseboard.adapters.stores.reaping import REAPED_AT_ONCE, Overdue, held_of, is_admission
from fuseboard.adapters.stores.sole import Admitted
from fuseboard.adapters.stores.table import Table
from fuseboard.adapters.stores.watchers import Watchers
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Concluded, Entry, Lapsed, Proposed
from fuseboard.state import EMPTY, Snapshot, Write

_KEEP = 1000


class MemoryStore:
    """State and ledger in memory. ``entries`` holds the newest ``keep`` ledger entries in the order of their commits.

    ``durable`` promises nothing here: there is no disk to wait for.
    """

    def __init__(self, *, keep: int = _KEEP) -> None:
        self.entries: deque[Entry] = deque(maxlen=keep)
        self._table = Table()
        self._admitted = Admitted(float("-inf"))
        self._held: dict[str, Overdue] = {}
        self._seqs: dict[str, int] = {}
        self._watchers = Watchers()
        self._closed = False

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        self._must_be_open()
        return self._table.read(keys, at=at)

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        self._must_be_open()
        if writes and not (is_admission(entry) and entry.id in self._admitted):
            changed = self._table.apply(writes, read, at=at)
            if changed is None:
                return False
            if self._watchers:
                self._watchers.wake(changed)
            if is_admission(entry):
                self._admitted.add(entry.id, entry.at)
                if held := held_of(entry, writes, at):
                    self._held[entry.id] = Overdue(entry.id, entry.at, held)
        if entry is not None:
            self._note(entry)
        return True

    async def changed(self, keys: Sequence[str], read: Snapshot, *, at: float, timeout_s: float) -> bool:
        return await self._watchers.changed(lambda: self.read(keys, at=at), keys, read, timeout_s=timeout_s)

    async def reap(self, *, at: float) -> Sequence[Lapsed]:
        self._must_be_open()
        late = [overdue for overdue in self._held.values() if overdue.held.until <= at][:REAPED_AT_ONCE]
        for overdue in late:
            await self.commit([*reaping.lapses(overdue)], EMPTY, reaping.without_end(overdue, at=at), at=at)
        return [one for overdue in late for one in reaping.lapsed(overdue)]

    async def last_seq(self, run: str) -> int:
        self._must_be_open()
        return self._seqs.get(run, 0)

    async def close(self) -> None:
        self._closed = True

    def _note(self, entry: Entry) -> None:
        self.entries.append(entry)
        if isinstance(entry, Proposed):
            self._seqs[entry.run] = max(entry.seq, self._seqs.get(entry.run, 0))
        elif isinstance(entry, Concluded):
            self._held.pop(entry.id, None)

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
