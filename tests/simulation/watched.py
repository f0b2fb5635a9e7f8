"""The store as a proxy of the simulation sees it: slow at times, down at times, and gone once that proxy has died."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.table import Cell
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Entry, Lapsed, Store
from fuseboard.state import Snapshot, Write
from simulation.chance import Chance


class Observer(Protocol):
    """Whoever looks at each commit that was made."""

    def committed(self, writes: Sequence[Write], entry: Entry | None, at: float) -> None: ...


class ToldStore(MemoryStore):
    """A store of which the observer hears: of what proxies commit, and of what the reaper does."""

    exact = True
    """Whether accounts hold what was granted, to the call."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(keep=1)
        self._observer = observer

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        done = await super().commit(writes, read, entry, at=at, durable=durable)
        if done:
            self._observer.committed(writes, entry, at)
        return done

    def cell(self, key: str) -> Cell | None:
        return self._table.cell(key)

    def died(self) -> None:
        """It outlives the proxy, as a database of its own would."""

    def shut(self) -> None:
        return None


class WatchedStore:
    """``kept`` outlives the proxies. ``dies`` says, just before and after each commit, whether the proxy ends there."""

    def __init__(self, kept: Store, chance: Chance, dies: Callable[[], bool]) -> None:
        self._kept = kept
        self._chance = chance
        self._dies = dies
        self.down = False
        self.gone = False

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        await self._reached()
        found = await self._kept.read(keys, at=at)
        await self._chance.lag()
        self._alive()
        return found

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        await self._reached()
        if self._dies():
            self._alive()
        done = await self._kept.commit(writes, read, entry, at=at, durable=durable)
        if self._dies():
            self._alive()
        await self._chance.lag()
        self._alive()
        return done

    async def changed(self, keys: Sequence[str], read: Snapshot, *, at: float, timeout_s: float) -> bool:
        await self._reached()
        return await self._kept.changed(keys, read, at=at, timeout_s=timeout_s)

    async def reap(self, *, at: float) -> Sequence[Lapsed]:
        await self._reached()
        return await self._kept.reap(at=at)

    async def last_seq(self, run: str) -> int:
        await self._reached()
        return await self._kept.last_seq(run)

    async def close(self) -> None:
        self.gone = True

    async def _reached(self) -> None:
        self._alive()
        await self._chance.lag()
        self._alive()
        if self.down:
            raise StoreUnavailable("the disk is full")

    def _alive(self) -> None:
        if self.gone:
            raise StoreUnavailable("this proxy has died")
