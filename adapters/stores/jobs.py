"""Commits on their way to the file, and what becomes of each: blocks, belongs to the writer's thread.

A job of a process that is alone was decided in memory and brings its cells along. One of a process that shares the
state is decided here, within the transaction that writes it, by the very functions that decide in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from typing import TypeAlias

import msgspec

from fuseboard.adapters.stores.ledger_file import LedgerFile
from fuseboard.adapters.stores.reaping import held_of, is_admission
from fuseboard.adapters.stores.records import FOR_EVER, NEWEST, Batch
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.ports import Concluded, Entry
from fuseboard.state import Snapshot, Write


class Ask(msgspec.Struct, frozen=True):
    """What a commit asked to write."""

    writes: Sequence[Write]
    read: Snapshot
    at: float


class Job(msgspec.Struct, frozen=True):
    """One commit on its way. ``done`` is set where someone waits for it; it belongs to the loop that waits.

    ``durable``: it has to be on the disk, not in the file alone, before it is done. ``cells`` are what it changed where
    that is decided already, without those that a later job of the same batch brings anew. ``if_open``: the entry
    counts only where its call has no end yet.
    """

    entry: Entry | None
    cells: dict[str, Cell] | None = None
    done: asyncio.Future[bool] | None = None
    durable: bool = False
    ask: Ask | None = None
    if_open: bool = False

    @property
    def undecided(self) -> bool:
        return self.ask is not None and self.cells is None


Ruling: TypeAlias = Job | bool | Exception
"""The job as it was decided, ``False`` where it was refused, or the mistake in it."""


def ruled(jobs: Sequence[Job], file: LedgerFile) -> tuple[Batch, list[bool | Exception]]:
    """What the jobs write, in their order, each all or nothing by itself, and the answer to each.

    Has to be called within the transaction that writes it.
    """
    batch, answers = Batch(), list[bool | Exception]()
    if all((job.ask is None or job.cells is not None) and not job.if_open for job in jobs):
        ended = {job.entry.id for job in jobs if isinstance(job.entry, Concluded)}
        for job in jobs:
            _add(batch, job, ended)
        return batch, [True] * len(jobs)
    keys = {write.key for job in jobs if job.ask is not None and job.cells is None for write in job.ask.writes}
    table = Table(file.cells([*keys, NEWEST]))
    newest, here = table.version, set[str]()
    for job in jobs:
        ruling = _only_if_open(job, batch, here, file) if job.if_open else decided(job, table, here, file)
        if isinstance(ruling, Job):
            _add(batch, ruling)
            answers.append(True)
        else:
            answers.append(ruling)
    if table.version > newest:
        batch.cells[NEWEST] = Cell(None, table.version, FOR_EVER)
    return batch, answers


def decided(job: Job, table: Table, here: set[str], file: LedgerFile) -> Ruling:
    """Decide a job by the table. ``here`` are the calls that were admitted by jobs before it and may not be on file."""
    ask = job.ask
    if ask is None or job.cells is not None:
        if job.cells:
            table.take(job.cells)
        changed = job.cells
    elif (entry := job.entry) is not None and is_admission(entry) and (entry.id in here or file.admitted(entry.id)):
        changed = {}
    else:
        try:
            changed = table.apply(ask.writes, ask.read, at=ask.at)
        except Exception as mistake:
            return mistake
        if changed is None:
            return False
    if job.entry is not None and is_admission(job.entry):
        here.add(job.entry.id)
    return msgspec.structs.replace(job, cells=changed)


def _only_if_open(job: Job, batch: Batch, here: set[str], file: LedgerFile) -> Ruling:
    assert job.entry is not None
    call = job.entry.id
    return job if call not in batch.ended and (call in here or file.is_open(call)) else False


def _add(batch: Batch, job: Job, ended: Container[str] = ()) -> None:
    """``ended`` are the calls whose end is written along: what those hold is of no interest any more."""
    ask, entry = job.ask, job.entry
    holds = ask is not None and entry is not None and entry.id not in ended
    batch.add(entry, job.cells, held_of(entry, ask.writes, ask.at) if ask is not None and holds else None)
