"""Run state in memory, for as long as this process is alone with it."""

from __future__ import annotations

import os
import threading
from typing import Final

from fuseboard.adapters.stores.leases import PREFIX, Leases
from fuseboard.adapters.stores.table import Table

_REMEMBERED: Final = 4096


class Sole:
    """``table`` is there while we are alone, ``None`` while the state is shared and the file is the truth.

    The event loop changes the table and hands the change over under ``lock``, the writer's thread takes the table away
    or brings one under it too: so each commit falls before or after the change, whole. Nobody waits for anything while
    holding it.
    """

    def __init__(self, table: Table | None, admitted: Admitted) -> None:
        self.lock = threading.Lock()
        self.table = table
        self.admitted = admitted
        # A lease of an earlier life may stand in an account still, and is charged by its own name.
        self.leases = Leases(self.lock, f"{PREFIX}{os.urandom(4).hex()}")
        self.on_file = threading.Event()
        """Set while the file holds all that was ever in the table."""
        self.on_file.set()


class Admitted:
    """Which calls were admitted, as far as memory knows, so that none is charged twice.

    What is not remembered here may be on file, but only where it began no later than ``before`` (Unix seconds).
    """

    def __init__(self, before: float, *, remembered: int = _REMEMBERED) -> None:
        self.before = before
        # Two generations: to drop one call at a time from the front of a dictionary costs more with each.
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._remembered = remembered

    def __contains__(self, call: str) -> bool:
        return call in self._young or call in self._old

    def add(self, call: str, at: float) -> None:
        self._young[call] = at
        if len(self._young) >= self._remembered:
            self.before = max(self.before, *self._old.values()) if self._old else self.before
            self._old, self._young = self._young, {}
