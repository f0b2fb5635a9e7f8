"""The one thread that writes the ledger: the event loop hands jobs over and never waits for the disk itself.

Group commit: the thread takes everything that waits and writes it as one transaction, so that sixteen callers share
one fsync. A batch with a durable job is written at once under ``synchronous=FULL`` (the log is synced before COMMIT
returns). One without lingers first, so that a busy proxy commits some tens of times a second and not once a call,
and is written under ``NORMAL``: it survives a crash of the process but the tail may be lost in a power cut.

When the disk fails, every job of the batch that is waited for fails, new jobs are refused, and the rest is kept and
tried again each second, and whenever somebody asks.

The thread also minds the door (:mod:`fuseboard.adapters.stores.door`). While we are alone the event loop decides in
memory; when somebody knocks, what it decided is written out, and from then on commits are decided here, within the
transaction that writes them. When the others have gone the state is loaded again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

import msgspec

from fuseboard.adapters.stores.door import Door
from fuseboard.adapters.stores.jobs import Job, decided, ruled
from fuseboard.adapters.stores.leases import Loan
from fuseboard.adapters.stores.ledger_file import LedgerFile, is_disk_fault
from fuseboard.adapters.stores.records import FOR_EVER, NEWEST, Batch
from fuseboard.adapters.stores.sole import Admitted, Sole
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Proposed

_log = logging.getLogger("fuseboard.stores")

_LINGER_S = 0.02
_PATIENCE_S = 5.0
_RETRY_S = 1.0
_LOOK_S = 0.25
"""How often the thread looks whether somebody knocks."""
_ALONE_AGAIN_S = 1.0
"""How often it looks whether the others have gone."""
_TAKEN_OVER_AT_ONCE = 64
"""Commits that are decided while the event loop may wait for it: well under a millisecond."""

Answer: TypeAlias = bool | Exception


class Writer:
    """Owns the connection and the door from the moment it is made. What is public is for the event loop's thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        door: Door,
        sole: Sole,
        *,
        limit: int,
        linger_s: float = _LINGER_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.fault: str | None = None
        """Why the disk cannot be written just now."""
        self.closed = False
        self._file = LedgerFile(connection)
        self._door = door
        self._sole = sole
        self._patience_s = patience_s
        self._look_at = 0.0
        self._alone_at = time.monotonic() + _ALONE_AGAIN_S
        self._handover: Job | None = None
        self._last: Table | None = None
        """What was decided in memory, until the file holds all of it."""
        self._limit = limit
        self._linger_s = linger_s
        self._jobs: deque[Job] = deque()
        self._newest: dict[str, dict[str, Cell]] = {}
        """Among the cells of which waiting job the newest of a key is."""
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
        """Hand over a job; never waits. One that is waited for wakes the thread, another only where it sleeps.

        With cells it has to be called under the table's lock.
        """
        if job.cells:
            self._supersede(job.cells)
        self._jobs.append(job)
        if job.done is not None:
            self._loop = job.done.get_loop()
            self.hurry()
        elif self._asleep:
            self._asleep = False
            self._bell.put(None)

    def _supersede(self, cells: dict[str, Cell]) -> None:
        """Take older cells of the same keys out of the jobs that wait: one transaction writes them all, the last wins.

        An account is made anew twice a call. Were all that it ever was kept until the file is written, they would push
        everything else out of the processor's cache.
        """
        newest = self._newest
        for key in cells:
            if (older := newest.get(key)) is not None:
                older.pop(key, None)
            newest[key] = cells

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
        self._settle(())

    # The thread's side

    def _run(self) -> None:
        while not self.closed:
            self._wait()
            self._cycle()
        # Once closed nothing new comes: what still waits is written, and after a fault it has one more try.
        self._end_leases()
        self._cycle()
        while self._jobs and not self.fault:
            self._cycle()
        lost = len(self._kept) + len(self._jobs)
        if lost:
            _log.critical("%d commits on their way to the ledger are lost: %s", lost, self.fault)
        self._file.close()
        self._door.leave()

    def _cycle(self) -> None:
        """Write one batch."""
        # Before draining: what is put from here on rings again.
        self._urgent = False
        jobs: list[Job] = []
        answers: Sequence[Answer] = ()
        try:
            if time.monotonic() >= self._look_at:
                self._mind_the_door()
            jobs, self._kept = self._kept + self._drained(), []
            if self._prune and not self._file.prune(*self._prune):
                self._prune = None
            if jobs or self.fault:
                answers = self._write(jobs)
        except Exception as error:  # A thread's root: whatever happens, who waits is told and the thread lives on.
            if is_disk_fault(error):
                self._fail(jobs, error)
            else:
                self._sift(jobs)
        else:
            self._succeed(jobs, answers)

    def _drained(self) -> list[Job]:
        """All that waits, for what one job was charged may stand among the cells of a later one."""
        with self._sole.lock:
            self._newest.clear()
            return [self._jobs.popleft() for _ in range(len(self._jobs))]

    def _wait(self) -> None:
        """Sleep until there is work, then linger for more, unless someone waits for the disk.

        The bell may ring for what was taken already, so each wait looks again at what it waits for. It is always rung
        after ``_urgent`` was set, and ``_urgent`` is taken back by the next cycle alone: no ring is missed.
        """
        if not self.fault:
            self._asleep = True
            # A job put before the flag was seen rings no bell, so look once more before sleeping.
            while not self._jobs and not self._urgent and not self._prune:
                if self._door.locks:
                    with suppress(Empty):
                        self._bell.get(timeout=_LOOK_S)
                    break  # a cycle looks at the door
                self._bell.get()
            self._asleep = False
        patience_s = _RETRY_S if self.fault else self._linger_s
        with suppress(Empty):
            while not self._urgent:
                self._bell.get(timeout=patience_s)

    def _write(self, jobs: Sequence[Job]) -> Sequence[Answer]:
        if not self._door.inside:
            self._door.join(patience_s=self._patience_s)
        answers: Sequence[Answer] = ()
        loans: Sequence[Loan] = ()
        leases, table = self._sole.leases, self._sole.table
        if table is None:
            table = self._last

        def ask() -> Batch:
            nonlocal answers, loans
            batch, answers = ruled(jobs, self._file)
            if table is not None:
                loans = leases.lend(batch.cells, table)
            return batch

        durable = any(job.durable for job in jobs)
        self._file.write(ask, durable=durable, touch=durable or not jobs)
        leases.granted(loans)
        return answers

    def _sift(self, jobs: Sequence[Job]) -> None:
        """Write the jobs one by one: a mistake in one of them costs no other its record, and no account its charges."""
        jobs = [Job(None, _taken_out(jobs)), *jobs]
        for n, job in enumerate(jobs):
            try:
                answers = self._write([job])
            except Exception as error:
                if is_disk_fault(error):
                    self._fail(jobs[n:], error)
                    return
                _log.exception("call %s cannot be written to the ledger and is lost", job.entry and job.entry.id)
                self._signal([job], [unavailable(repr(error))])
            else:
                self._succeed([job], answers)

    def _succeed(self, jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
        if self.fault:
            self.fault = None
            _log.warning("the ledger can be written again")
        self._signal(jobs, answers)
        if self._handover is not None and any(job is self._handover for job in jobs):
            self._handover = self._last = None
            self._sole.leases.forget()
            self._sole.on_file.set()
            try:
                self._door.let_in(patience_s=self._patience_s)
            except sqlite3.Error as error:
                _log.error("the run state was handed over, and not shared: %s", error)  # the next batch tries again

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        """Tell who waits, and keep what must still be written."""
        if self.fault != str(error):
            _log.error("the ledger cannot be written, commits are refused: %s", error)
        self.fault = str(error)
        self._kept += [again for job in jobs if (again := self._again(job)) is not None]
        self._signal(jobs, [unavailable(self.fault) for _ in jobs])

    def _again(self, job: Job) -> Job | None:
        """The job as it is tried again, with nobody waiting, or ``None`` where nothing is left of it.

        A proposal that is waited for is left out: its call is refused now, and a late record would say otherwise. What
        it changed in memory stays. So does the end of a call, even where what it writes was not decided yet.
        """
        proposed = isinstance(job.entry, Proposed)
        if job.done is None:
            return job
        if job.if_open or (job.undecided and (proposed or job.entry is None)):
            return None
        left = msgspec.structs.replace(job, entry=None if proposed else job.entry, done=None)
        if job is self._handover:
            self._handover = left
        return left

    # The door

    def _mind_the_door(self) -> None:
        """Let in who knocks, or be alone again where the others have gone."""
        now = time.monotonic()
        self._look_at = now + _LOOK_S
        door, sole = self._door, self._sole
        if sole.table is not None:
            if door.knocked():
                self._share()
            elif not self.fault:
                sole.leases.quiet(sole.table, lambda back: self._jobs.append(Job(None, back)))
        elif self._handover is None and now >= self._alone_at and door.locks and not self.fault and not self.closed:
            self._alone_at = now + _ALONE_AGAIN_S
            if door.alone or door.try_alone():
                self._take_over()
            elif not door.inside:
                door.join(patience_s=self._patience_s)

    def _share(self) -> None:
        """Decide no more in memory. The last job of that time is the sign that the file holds all of it."""
        sole = self._sole
        with sole.lock:
            assert sole.table is not None
            newest = Cell(None, sole.table.version, FOR_EVER)
            self._handover = Job(None, {**sole.leases.all(sole.table), NEWEST: newest})
            self._last, sole.table = sole.table, None
            sole.on_file.clear()
            self._jobs.append(self._handover)
        self._urgent = True

    def _end_leases(self) -> None:
        """Nothing is decided any more: what the file holds shall be what was used."""
        sole = self._sole
        with sole.lock:
            if sole.table is not None and (cells := sole.leases.all(sole.table)):
                self._jobs.append(Job(None, cells))

    def _take_over(self) -> None:
        """Decide in memory from now on; what waits is decided there already. Nobody else can write meanwhile."""
        sole = self._sole
        table, before = Table(self._file.all_cells()), self._file.newest_at()
        with sole.lock:
            if len(self._jobs) > _TAKEN_OVER_AT_ONCE:
                return
            jobs, here = [*self._jobs], set[str]()
            rulings = [job if job.if_open else decided(job, table, here, self._file) for job in jobs]
            for _ in jobs:
                self._jobs.popleft()
            sole.admitted = Admitted(before)
            for job in jobs:
                if isinstance(job.entry, Proposed) and job.entry.id in here:
                    sole.admitted.add(job.entry.id, job.entry.at)
            sole.table = table
        self._kept += [ruling for ruling in rulings if isinstance(ruling, Job)]
        for job, ruling in zip(jobs, rulings, strict=True):
            if not isinstance(ruling, Job):
                self._signal([job], [ruling])

    # Back to the event loop

    def _signal(self, jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
        """One call into the loop for the whole batch."""
        done = [(job.done, answer) for job, answer in zip(jobs, answers, strict=True) if job.done]
        if (not done and not self._crowd) or self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._settle, done)
        except RuntimeError:
            _log.debug("the event loop has gone, nobody waits any more")

    def _settle(self, done: Sequence[tuple[asyncio.Future[bool], Answer]]) -> None:
        for future, answer in done:
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        while self._crowd:
            waiter = self._crowd.popleft()
            if not waiter.done():
                waiter.set_result(None)


def _taken_out(jobs: Sequence[Job]) -> dict[str, Cell]:
    """The newest cells of all of them, which hold none any more."""
    newest: dict[str, Cell] = {}
    for job in jobs:
        if job.cells:
            newest.update(job.cells)
            job.cells.clear()
    return newest


def unavailable(fault: str) -> StoreUnavailable:
    return StoreUnavailable(f"the ledger cannot be written: {fault}")
