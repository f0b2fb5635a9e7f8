"""Who is in a state folder: one process alone, or several together.

Two lock files beside the ledger, and no other trace of us: whatever dies, by kill -9 too, has let go of both.

- ``….lock`` is held exclusively by a process that is alone with the state, and shared by those that are together.
- ``….knock`` is held, shared, by whoever waits to be let in. Whoever is alone looks at it now and then.

A change of an flock is not atomic: the old lock is gone before the new one is there, and where the new one is refused,
the old one is gone all the same (flock(2)). So whoever changes its lock may find itself outside, and must come in again
by :meth:`Door.join` before it goes on.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock: there all are always together.
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger("fuseboard.stores")

_KNOCK_EVERY_S = 0.005


class Door:
    """Blocks: belongs to whoever opens the store, and then to the writer's thread."""

    def __init__(self, path: Path) -> None:
        """Make the lock files beside the ledger at ``path``, and hold neither."""
        self.alone = False
        self.inside = False
        self._lock = _file(path, ".lock")
        self._bell = _file(path, ".knock")
        self.locks = fcntl is not None and self._works()
        """Whether this file system has such locks at all. Where it has not, all are always together."""

    def enter(self, *, patience_s: float) -> None:
        """Come in: alone where nobody else is there, else together with the others.

        Raises:
            sqlite3.OperationalError: whoever is alone did not let us in within ``patience_s``.
        """
        if not self.try_alone():
            self.join(patience_s=patience_s)

    def join(self, *, patience_s: float) -> None:
        """Come in together with others, where we are not in yet. Whoever is alone is asked to let us in.

        Raises:
            sqlite3.OperationalError: it did not within ``patience_s``.
        """
        deadline = time.monotonic() + patience_s
        knocking = False
        try:
            while not self.inside:
                knocking = knocking or self._flock(self._bell, exclusive=False)
                self.inside = self._flock(self._lock, exclusive=False)
                if not self.inside:
                    if time.monotonic() > deadline:
                        raise sqlite3.OperationalError(f"{self._holder()} keeps it to itself and does not answer")
                    time.sleep(_KNOCK_EVERY_S)
        finally:
            self._unlock(self._bell)

    def knocked(self) -> bool:
        """Whether somebody waits to be let in."""
        if not self.locks:
            return False
        if not self._flock(self._bell, exclusive=True):
            return True
        self._unlock(self._bell)
        return False

    def let_in(self, *, patience_s: float) -> None:
        """Be together with others from now on. All that we know must be in the file.

        Raises:
            sqlite3.OperationalError: another took the lock to itself meanwhile, and does not let us in.
        """
        self.alone = False
        self.inside = self._flock(self._lock, exclusive=False)
        self.join(patience_s=patience_s)

    def try_alone(self) -> bool:
        """Be alone, where nobody else is in and nobody knocks. Where it fails, we may be outside: see :meth:`join`."""
        if not self.locks:
            self.inside = True
        elif not self.knocked():
            was_inside, self.inside = self.inside, False
            self.alone = self.inside = self._flock(self._lock, exclusive=True)
            if self.alone:
                self._sign()
            elif was_inside:
                self.inside = self._flock(self._lock, exclusive=False)
        return self.alone

    def leave(self) -> None:
        """Let go of everything. Idempotent."""
        self.alone = self.inside = False
        lock, bell, self._lock, self._bell = self._lock, self._bell, -1, -1
        for descriptor in (lock, bell):
            with suppress(OSError):
                os.close(descriptor)

    def _works(self) -> bool:
        try:
            self._flock(self._bell, exclusive=False)
            self._unlock(self._bell)
        except OSError as error:
            _log.info("no locks beside the ledger (%s): the run state is read from the file at each call", error)
            return False
        return True

    def _flock(self, descriptor: int, *, exclusive: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(self, descriptor: int) -> None:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _sign(self) -> None:
        """Write down who is alone, for the message to those who are not let in."""
        with suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _holder(self) -> str:
        with suppress(OSError):
            if pid := os.pread(self._lock, 20, 0).decode(errors="replace").strip():
                return f"process {pid}"
        return "another process"


def _file(path: Path, suffix: str) -> int:
    return os.open(path.with_name(path.name + suffix), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
