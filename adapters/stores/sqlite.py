"""The default store: state and ledger in one SQLite file, run state served from memory while no other process is there.

**Alone** (an exclusive lock, :mod:`fuseboard.adapters.stores.door`): a commit changes the memory at once, and the file
follows in the order of the commits. **Together**: a commit that writes state is decided within the transaction that
writes it, and its caller waits for that; reads come from the file. A newcomer knocks and is let in within 0.25 s. When
the others have gone, it takes about a second until the state is served from memory again.

What a kill -9 leaves: all that was durable, which every call with effects is, and of each account at least what was
used and held of it as far as anybody was told (:mod:`fuseboard.adapters.stores.leases`): no budget is overspent, and
a lease is charged too much at most. What may be lost is the newest 20 ms of everything else: records of reads, and ends
of calls, whose reservations are then charged in full. To wait for the file with each read costs a lone caller 110 us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuseboard.adapters.stores import reaping
from fuseboard.adapters.stores.database import load_state, newest_at, open_database
from fuseboard.adapters.stores.door import Door
from fuseboard.adapters.stores.jobs import Ask, Job
from fuseboard.adapters.stores.lookup import Lookup
from fuseboard.adapters.stores.reaping import Overdue, is_admission
from fuseboard.adapters.stores.sole import Admitted, Sole
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.adapters.stores.watchers import LOOK_S, Watchers
from fuseboard.adapters.stores.writer import Writer, unavailable
from fuseboard.errors import ConfigError, StoreUnavailable
from fuseboard.ports import Entry, Lapsed, Proposed
from fuseboard.state import EMPTY, Snapshot, Write

_LOCK_TIMEOUT_S: Final = 5.0
_PATIENCE_S: Final = 5.0
_QUEUE_LIMIT: Final = 8192
_PRUNE_EVERY_S: Final = 3600.0


class SqliteStore:
    """State and ledger in one file, readable by anyone who may read it; any number of processes may write it.

    After a durable commit that raised, the memory keeps what it was charged: refusing later is safe, forgetting is not.
    """

    def __init__(self, sole: Sole, writer: Writer, lookup: Lookup) -> None:
        self._sole = sole
        self._writer = writer
        self._lookup = lookup
        self._watchers = Watchers()
        self._keep_s: float | None = None
        self._prune_at = 0.0

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        lock_timeout_s: float = _LOCK_TIMEOUT_S,
        queue_limit: int = _QUEUE_LIMIT,
        patience_s: float = _PATIENCE_S,
    ) -> SqliteStore:
        """Open the ledger, or make it, and load the run state that survived.

        ``lock_timeout_s`` is how long a write waits for another process, ``patience_s`` how long we wait to be let in.
        Past ``queue_limit`` commits on their way all callers wait, durable or not: nothing is dropped. Blocks.

        Raises:
            ConfigError: the place cannot be used, the file is not a ledger that this version can write, or another
                process does not share it.
        """
        connection = open_database(path, lock_timeout_s=lock_timeout_s)
        door = None
        try:
            door = Door(path)
            door.enter(patience_s=patience_s)
            table = Table(load_state(connection)) if door.alone else None
            sole = Sole(table, Admitted(newest_at(connection)))
        except Exception as error:
            connection.close()
            if door is not None:
                door.leave()
            raise ConfigError(f"cannot use the ledger {path}: {error}") from error
        lookup = Lookup(path, sole, lock_timeout_s=lock_timeout_s)
        return cls(sole, Writer(connection, door, sole, limit=queue_limit, patience_s=patience_s), lookup)

    @property
    def alone(self) -> bool:
        """Whether run state is served from memory just now."""
        return self._sole.table is not None

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        if self._writer.closed:
            raise StoreUnavailable("the store is closed")
        table = self._sole.table
        if table is not None:
            return table.read(keys, at=at)
        return Table(await self._lookup.cells(keys)).read(keys, at=at) if keys else EMPTY

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        writer = self._writer
        if writer.crowded:
            await writer.room()
        if writer.fault or writer.closed:
            self._refuse()
        if self._keep_s is not None and at >= self._prune_at:
            self.retain(self._keep_s, at=at)
        if not writes:
            return await self._hand_over(Job(entry, None, _waited_for() if durable else None, durable))
        ask, admitted = Ask(writes, read, at), self._sole.admitted
        if is_admission(entry) and (
            entry.id in admitted or (entry.at <= admitted.before and await self._admitted_earlier(entry))
        ):
            return await self._hand_over(Job(entry, {}, _waited_for(), durable, ask))
        return await self._decide(ask, entry, durable)

    async def _admitted_earlier(self, entry: Proposed) -> bool:
        return self._sole.table is not None and await self._lookup.admitted(entry.id)

    async def _decide(self, ask: Ask, entry: Entry | None, durable: bool) -> bool:
        sole, admission = self._sole, entry if is_admission(entry) else None
        cells: dict[str, Cell] | None = None
        with sole.lock:
            if (table := sole.table) is None:
                wait = True
            elif admission is not None and admission.id in sole.admitted:
                cells, wait = {}, durable
            elif (cells := table.apply(ask.writes, ask.read, at=ask.at)) is None:
                return False
            else:
                wait = sole.leases.passed(ask.writes, cells, ask.at, waits=durable) or durable
                if admission is not None:
                    sole.admitted.add(admission.id, admission.at)
            job = Job(entry, cells, _waited_for() if wait else None, durable, ask)
            self._writer.put(job)
        if cells and self._watchers:
            self._watchers.wake(cells)
        if job.done is None:
            return True
        allowed = await job.done
        if allowed and self._watchers:
            self._watchers.wake(write.key for write in ask.writes)
        return allowed

    async def _hand_over(self, job: Job) -> bool:
        self._writer.put(job)
        return job.done is None or await job.done

    async def changed(self, keys: Sequence[str], read: Snapshot, *, at: float, timeout_s: float) -> bool:
        return await self._watchers.changed(
            lambda: self.read(keys, at=at), keys, read, timeout_s=timeout_s, look_s=LOOK_S
        )

    async def reap(self, *, at: float) -> Sequence[Lapsed]:
        await self._written()
        found = await self._lookup.overdue(at=at)
        closed = [await self._close_without_end(overdue, at) for overdue in found]
        return [one for overdue, mine in zip(found, closed, strict=True) if mine for one in reaping.lapsed(overdue)]

    async def _close_without_end(self, overdue: Overdue, at: float) -> bool:
        """Whether it was we who closed it. The accounts are first: a record that says so must be true."""
        await self.commit([*reaping.lapses(overdue)], EMPTY, None, at=at)
        return await self._hand_over(Job(reaping.without_end(overdue, at=at), done=_waited_for(), if_open=True))

    async def last_seq(self, run: str) -> int:
        await self._written()
        return await self._lookup.last_seq(run)

    async def _written(self) -> None:
        """Wait until the file holds what was committed until now."""
        if self._writer.fault or self._writer.closed:
            self._refuse()
        await self._hand_over(Job(None, done=_waited_for()))

    def retain(self, keep_s: float, *, at: float) -> None:
        """Keep no call for longer than ``keep_s`` seconds: now, at ``at`` (Unix seconds), and from now on.

        What is older is deleted in the background, at once and then each hour in which there are commits, by whose
        time: a store that gets nothing to write has nothing new to forget, and is pruned at its next start.
        """
        self._keep_s = keep_s
        self._prune_at = at + _PRUNE_EVERY_S
        self._writer.prune(at - keep_s, at=at)

    async def close(self) -> None:
        await self._writer.close()
        await self._lookup.close()

    def _refuse(self) -> None:
        if self._writer.closed:
            raise StoreUnavailable("the store is closed")
        # Whoever asks again also makes the writer try again.
        self._writer.hurry()
        raise unavailable(self._writer.fault or "no reason given")


def _waited_for() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()
