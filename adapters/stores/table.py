"""Run state as a table of cells, pure: every store serves reads and applies writes through this one room.

A cell lives ``ttl_s`` from its last write. Versions come from one counter that never goes back, so a cell that
expired and was made anew never looks unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from fuseboard import accounts, buckets, locks
from fuseboard.state import (
    EMPTY,
    Add,
    Draw,
    Expire,
    Lock,
    Push,
    Put,
    Reserve,
    Settle,
    Snapshot,
    Throttle,
    Unlock,
    Write,
)

REFUSED: Final = object()
_Valued: TypeAlias = Add | Push | Put | Reserve | Settle | Throttle | Draw | Lock | Unlock
_SWEEP_EVERY = 1024


class Cell(msgspec.Struct, frozen=True):
    """One key's value (JSON), its version (from 1), and when it ends (Unix seconds)."""

    value: Any
    version: int
    expires_at: float


class Table:
    """The live cells. Not shared between threads: one owner reads and applies."""

    def __init__(self, cells: Mapping[str, Cell] | None = None) -> None:
        self._cells = dict(cells or {})
        self._version = max((cell.version for cell in self._cells.values()), default=0)
        self._sweep_in = _SWEEP_EVERY

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def version(self) -> int:
        """The version of the newest write."""
        return self._version

    def take(self, cells: Mapping[str, Cell]) -> None:
        """Take over cells that were written elsewhere."""
        self._cells.update(cells)
        self._version = max(self._version, *(cell.version for cell in cells.values())) if cells else self._version

    def cell(self, key: str) -> Cell | None:
        """The cell as it was written last, past its time or not."""
        return self._cells.get(key)

    def read(self, keys: Iterable[str], *, at: float) -> Snapshot:
        """What is alive at ``at``. An absent key has version 0, so that a ``Put`` can ask that it still be absent."""
        values: dict[str, Any] = {}
        versions: dict[str, int] = {}
        cells = self._cells
        for key in keys:
            cell = cells.get(key)
            if cell is not None and at < cell.expires_at:
                values[key], versions[key] = cell.value, cell.version
            else:
                versions[key] = 0
        return Snapshot(values, versions) if versions else EMPTY

    def apply(self, writes: Sequence[Write], read: Snapshot, *, at: float) -> dict[str, Cell] | None:
        """Apply all the writes, or none and return ``None``; returns the cells that changed.

        Raises:
            TypeError: a write does not fit the value that it meets (an ``Add`` to a text): a policy's mistake.
        """
        version, cells = self._version + 1, self._cells
        changed: dict[str, Cell] = {}
        for write in writes:
            key = write.key
            if type(write) is Put and self._changed_since(read, key, at):
                return None
            cell = changed.get(key) or cells.get(key)
            if cell is not None and at >= cell.expires_at:
                cell = None
            if isinstance(write, Expire):
                if cell is not None:
                    changed[key] = Cell(cell.value, version, min(cell.expires_at, at + write.ttl_s))
                continue
            value = _written(cell.value if cell is not None else None, write, at)
            if value is REFUSED:
                return None
            changed[key] = Cell(value, version, at + write.ttl_s)
        self._version = version
        for key, cell in changed.items():
            if at < cell.expires_at:
                cells[key] = cell
            else:  # asked to end at once
                cells.pop(key, None)
        self._sweep(len(changed), at)
        return changed

    def _live(self, key: str, at: float) -> Cell | None:
        cell = self._cells.get(key)
        return cell if cell is not None and at < cell.expires_at else None

    def _changed_since(self, read: Snapshot, key: str, at: float) -> bool:
        """Whether ``key`` is not as ``read`` saw it; a key that was never read counts as seen absent."""
        cell = self._live(key, at)
        return (cell.version if cell else 0) != read.versions.get(key, 0)

    def _sweep(self, writes: int, at: float) -> None:
        """Drop the expired, at a cost of O(1) a write: a sweep of n cells comes at the earliest after n writes."""
        self._sweep_in -= writes
        if self._sweep_in <= 0:
            self._cells = {key: cell for key, cell in self._cells.items() if at < cell.expires_at}
            self._sweep_in = max(_SWEEP_EVERY, len(self._cells))


def _written(before: Any, write: _Valued, at: float) -> Any:
    """The value after a write, :data:`REFUSED` where a ceiling or a rate does not let it be written."""
    match write:  # what each call writes is asked for first
        case Settle():
            return accounts.settle(before, write, at=at)
        case Reserve():
            account = accounts.reserve(before, write, at=at)
            return REFUSED if account is None else account
        case Push():
            return _tail([] if before is None else before, write)
        case Put(value=value):
            return value
        case Add(amount=amount, ceiling=ceiling):
            after = (0 if before is None else before) + amount
            # A refund is never refused, not even above a ceiling that was lowered meanwhile.
            return REFUSED if amount > 0 and ceiling is not None and after > ceiling else after
        case Throttle():
            arrival = accounts.throttle(before, write, at=at)
            return REFUSED if arrival is None else arrival
        case Draw():
            bucket = buckets.drawn(before, write, at=at)
            return REFUSED if bucket is None else bucket
        case Lock():
            lock = locks.taken(before, write, at=at)
            return REFUSED if lock is None else lock
        case Unlock():
            return locks.released(before, write)


def _tail(items: Any, push: Push) -> list[Any]:
    if not isinstance(items, list):
        raise TypeError(f"{push.key} holds no tail to push to")
    # A new list each time: snapshots and the writer thread still hold the old one.
    return [*items, push.item][-push.keep :] if push.keep > 0 else []
