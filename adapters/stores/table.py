"""Run state as a table of cells, pure: every store serves reads and applies writes through this one room.

A cell lives ``ttl_s`` from its last write. Versions come from one counter that never goes back, so a cell that
expired and was made anew never looks unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

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
            cell = changed.get(key) or cells.get(key)
            if cell is not None and at >= cell.expires_at:
                cell = None
            if type(write) is Expire:
                if cell is not None:
                    changed[key] = Cell(cell.value, version, min(cell.expires_at, at + write.ttl_s))
                continue
            if type(write) is Put:
                if self._changed_since(read, key, at):
                    return None
                value = write.value
            else:
                value = _AFTER[type(write)](cell.value if cell is not None else None, write, at=at)
                if value is None:
                    return None
            changed[key] = Cell(value, version, at + write.ttl_s)
        self._version = version
        for key, cell in changed.items():
            if at < cell.expires_at:
                cells[key] = cell
            else:  # asked to end at once
                cells.pop(key, None)
        self._sweep_in -= len(changed)
        if self._sweep_in <= 0:
            self._sweep(at)
        return changed

    def _live(self, key: str, at: float) -> Cell | None:
        cell = self._cells.get(key)
        return cell if cell is not None and at < cell.expires_at else None

    def _changed_since(self, read: Snapshot, key: str, at: float) -> bool:
        """Whether ``key`` is not as ``read`` saw it; a key that was never read counts as seen absent."""
        cell = self._live(key, at)
        return (cell.version if cell else 0) != read.versions.get(key, 0)

    def _sweep(self, at: float) -> None:
        """Drop the expired, at a cost of O(1) a write: a sweep of n cells comes at the earliest after n writes."""
        self._cells = {key: cell for key, cell in self._cells.items() if at < cell.expires_at}
        self._sweep_in = max(_SWEEP_EVERY, len(self._cells))


def _pushed(before: Any, write: Push, *, at: float) -> list[Any]:
    if before is None:
        before = []
    elif not isinstance(before, list):
        raise TypeError(f"{write.key} holds no tail to push to")
    # A new list each time: snapshots and the writer thread still hold the old one.
    return [*before, write.item][-write.keep :] if write.keep > 0 else []


def _added(before: Any, write: Add, *, at: float) -> Any:
    after = (0 if before is None else before) + write.amount
    # A refund is never refused, not even above a ceiling that was lowered meanwhile.
    return None if write.amount > 0 and write.ceiling is not None and after > write.ceiling else after


def _unlocked(before: Any, write: Unlock, *, at: float) -> Any:
    return locks.released(before, write)


_AFTER: Final[Mapping[type[Write], Callable[..., Any]]] = {
    Settle: accounts.settle,
    Reserve: accounts.reserve,
    Push: _pushed,
    Add: _added,
    Throttle: accounts.throttle,
    Draw: buckets.drawn,
    Lock: locks.taken,
    Unlock: _unlocked,
}
"""The value after a write, by its kind; ``None`` where a ceiling or a rate does not let it be written. A ``Put`` is its
own value, be it ``None``."""
