"""The one thread that writes the ledger: the event loop hands jobs over and never waits for the disk itself.

Group commit: the thread takes everything that waits and writes it as one transaction, so that sixteen callers share
one fsync. A batch with a durable job is written at once under ``synchronous=FULL`` (the log is synced before COMMIT
returns). One without lingers first, so that a busy proxy commits some tens of times a second and not once a call,
and is written under ``NORMAL``: it survives a crash of the process but the tail may be lost in a power cut.

When the disk fails, every durable job of the batch fails, new jobs are refused, and the rest is kept and tried again
each second, and whenever somebody asks.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from fuseboard.adapters.stores.ledger_file import LedgerFile, is_disk_fault
from fuseboard.adapters.stores.records import Batch
from fuseboard.adapters.stores.table import Cell
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Entry, Proposed

_log = logging.getLogger("fuseboard.stores")

_LINGER_S = 0.02
_RETRY_S = 1.0
_BATCH = 2048


class Job(NamedTuple):
    """One commit on its way. ``done`` is set where someone waits for the disk; it belongs to the loop that waits."""

    entry: Entry | None
    cells: Mapping[str, Cell] | None
    done: asyncio.Future[None] | None


class Writer:
    """Owns the connection from the moment it is made. What is public is for the event loop's thread."""

    def __init__(self, connection: sqlite3.Connection, *, limit: int, linger_s: float = _LINGER_S) -> None:
        self.fault: str | None = None
        """Why the disk cannot be written just now."""
        self.closed = False
        self._file = LedgerFile(connection)
        self._limit = limit
        self._linger_s = linger_s
        self._jobs: deque[Job] = deque()
        self._crowd: deque[asyncio.Future[None]] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._kept: list[Job] = []
        self._asleep = False
        self._urgent = False
        self._prune: tuple[float, float] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="fuseboard-ledger", daemon=True)
        self._thread.start()

    # The event loop's side

    @property
    def crowded(self) -> bool:
        return len(self._jobs) >= self._limit

    def put(self, job: Job) -> None:
        """Hand over a job; never waits. A durable one wakes the thread, another only where it sleeps."""
        self._jobs.append(job)
        if job.done is not None:
            self._loop = job.done.get_loop()
            self.hurry()
        elif self._asleep:
            self._asleep = False
            self._bell.put(None)

    def hurry(self) -> None:
        """End the lingering, or the pause after a fault."""
        if not self._urgent:
            self._urgent = True
            self._bell.put(None)

    async def room(self) -> None:
        """Wait until the queue is below its limit: nothing is dropped, whoever comes too fast waits."""
        self._loop = asyncio.get_running_loop()
        while self.crowded and not self.fault and not self.closed:
            waiter = self._loop.create_future()
            self._crowd.append(waiter)
            self.hurry()
            # Looked at again after queueing up: the thread drains first and looks at the crowd second.
            if self.crowded:
                await waiter

    def prune(self, before: float, *, at: float) -> None:
        """Delete calls that began before ``before``, and state that has expired at ``at`` (both Unix seconds).

        Goes a slice at a time between batches, until none is left.
        """
        self._prune = (before, at)
        self.hurry()

    async def close(self) -> None:
        """Write what waits, end the thread, close the file."""
        self.closed = True
        loop = asyncio.get_running_loop()
        self.hurry()
        await loop.run_in_executor(None, self._thread.join)
        self._settle((), None)

    # The thread's side

    def _run(self) -> None:
        while not self.closed:
            self._wait()
            self._cycle()
        # Once closed nothing new comes: what still waits is written, and after a fault it has one more try.
        self._cycle()
        while self._jobs and not self.fault:
            self._cycle()
        lost = len(self._kept) + len(self._jobs)
        if lost:
            _log.critical("%d commits on their way to the ledger are lost: %s", lost, self.fault)
        self._file.close()

    def _cycle(self) -> None:
        """Write one batch."""
        # Before draining: what is put from here on rings again.
        self._urgent = False
        jobs = self._kept + [self._jobs.popleft() for _ in range(min(len(self._jobs), _BATCH))]
        self._kept = []
        if self._jobs:
            self._urgent = True
        try:
            if self._prune and not self._file.prune(*self._prune):
                self._prune = None
            if jobs or self.fault:
                self._write(jobs)
        except Exception as error:  # A thread's root: whatever happens, who waits is told and the thread lives on.
            if is_disk_fault(error):
                self._fail(jobs, error)
            else:
                self._sift(jobs)
        else:
            self._succeed(jobs)

    def _wait(self) -> None:
        """Sleep until there is work, then linger for more, unless someone waits for the disk.

        The bell may ring for what was taken already, so each wait looks again at what it waits for. It is always rung
        after ``_urgent`` was set, and ``_urgent`` is taken back by the next cycle alone: no ring is missed.
        """
        if not self.fault:
            self._asleep = True
            # A job put before the flag was seen rings no bell, so look once more before sleeping.
            while not self._jobs and not self._urgent and not self._prune:
                self._bell.get()
            self._asleep = False
        patience_s = _RETRY_S if self.fault else self._linger_s
        with suppress(Empty):
            while not self._urgent:
                self._bell.get(timeout=patience_s)

    def _write(self, jobs: Sequence[Job]) -> None:
        batch = Batch()
        for job in jobs:
            batch.add(job.entry, job.cells)
        self._file.write(batch, durable=any(job.done for job in jobs))

    def _sift(self, jobs: Sequence[Job]) -> None:
        """Write the jobs one by one: a mistake in one of them costs no other its record."""
        for n, job in enumerate(jobs):
            try:
                self._write([job])
            except Exception as error:
                if is_disk_fault(error):
                    self._fail(jobs[n:], error)
                    return
                _log.exception("call %s cannot be written to the ledger and is lost", job.entry and job.entry.id)
                self._signal([job], repr(error))
            else:
                self._succeed([job])

    def _succeed(self, jobs: Sequence[Job]) -> None:
        if self.fault:
            self.fault = None
            _log.warning("the ledger can be written again")
        self._signal(jobs, None)

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        """Tell who waits, and keep what must still be written."""
        if self.fault != str(error):
            _log.error("the ledger cannot be written, commits are refused: %s", error)
        self.fault = str(error)
        self._kept += map(_again, jobs)
        self._signal(jobs, self.fault)

    def _signal(self, jobs: Sequence[Job], fault: str | None) -> None:
        """One call into the loop for the whole batch."""
        done = [job.done for job in jobs if job.done]
        if (not done and not self._crowd) or self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._settle, done, fault)
        except RuntimeError:
            _log.debug("the event loop has gone, nobody waits any more")

    def _settle(self, done: Sequence[asyncio.Future[None]], fault: str | None) -> None:
        for future in done:
            if future.done():
                continue
            if fault is None:
                future.set_result(None)
            else:
                future.set_exception(unavailable(fault))
        while self._crowd:
            waiter = self._crowd.popleft()
            if not waiter.done():
                waiter.set_result(None)


def unavailable(fault: str) -> StoreUnavailable:
    return StoreUnavailable(f"the ledger cannot be written: {fault}")


def _again(job: Job) -> Job:
    """The job as it is tried again, with nobody waiting.

    A proposal that was to be durable is left out: its call is refused now, and a late record would say otherwise.
    """
    entry = None if job.done and isinstance(job.entry, Proposed) else job.entry
    return Job(entry, job.cells, None)
