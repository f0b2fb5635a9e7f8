"""What the file charges in advance: after a crash never too little, and never more than a lease too much."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fuseboard.accounts import SLICES, standing
from fuseboard.adapters.stores.leases import LEASE_S, Leases, most, without
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.records import to_json
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.state import EMPTY, Expire, Reserve, Settle, Write
from support.crash import kill
from support.ledger_entries import BEGAN, concluded, proposed

_EXAMPLES = int(os.environ.get("FUSEBOARD_EXAMPLES", "30"))
_KEPT_S, _WINDOW_S, _HOLD_S = 1e6, 60.0, 120.0
_WINDOWS: dict[str, float | None] = {"run": None, "principal": _WINDOW_S}
_HOLDS = {"calls": 1, "bytes": 100}
AT = BEGAN


class Job(NamedTuple):
    """A commit on its way to the file. ``call`` is told when it is there, where it waits for that."""

    cells: dict[str, Cell]
    call: "Call | None" = None
    settled: bool = False


class Call:
    """What one call was told, and what that has to be charged at least."""

    def __init__(self, id: str, at: float) -> None:
        self.id = id
        self.began_at = at
        self.until = at + _HOLD_S
        self.granted = False
        self.took: dict[str, float] | None = None
        self.exact: dict[str, float] = {}
        self.ended_at = 0.0

    def least(self, key: str, unit: str, at: float) -> float:
        window_s = _WINDOWS[key]
        # What a lease stood for is charged as soon as the lease is over, which is after the call began.
        ended_at = self.began_at if self.took is None else self.ended_at
        if not self.granted or (window_s is not None and not _counts(ended_at, at, window_s)):
            return 0
        return _HOLDS[unit] if self.took is None else self.took[unit]


def _counts(ended_at: float, at: float, window_s: float) -> bool:
    width_s = window_s / SLICES
    return ended_at > at or ended_at // width_s * width_s + width_s > at - window_s


def _on_disk(cell: Cell) -> Cell:
    return Cell(json.loads(to_json(cell.value)), cell.version, cell.expires_at)


class Lending(RuleBasedStateMachine):
    """Memory, its way to the file and the file itself, with a crash at any point of that way."""

    def __init__(self) -> None:
        super().__init__()
        self.at, self.ids, self.lives = AT, 0, 0
        self.file: dict[str, Cell] = {}
        self.ceilings: dict[str, float] = {}
        self.begin_life()

    @initialize(calls=st.sampled_from([3, 80, 400]), kbytes=st.sampled_from([1, 20, 10_000]))
    def limits(self, calls: int, kbytes: int) -> None:
        self.ceilings = {"calls": calls, "bytes": kbytes * 1000}

    def begin_life(self) -> None:
        self.lives += 1
        self.lock = threading.Lock()
        self.table, self.leases = Table(self.file), Leases(self.lock, f"lease-{self.lives}")
        self.queue: list[Job] = []
        self.taken_jobs: list[Job] = []
        self.calls: list[Call] = []
        self.under_way: list[Call] = []
        self.found = dict(self.file)
        """What was charged in earlier lives, which stays."""
        self.sharing = False
        self.taken: dict[tuple[str, int], dict[str, float]] = {}
        """What memory said at each version, by account."""
        for key in self.file:
            self.note(key)

    def note(self, key: str) -> None:
        cell = self.table.cell(key)
        assert cell is not None
        now = standing(cell.value, at=self.at, window_s=_WINDOWS[key])
        self.taken[key, cell.version] = {unit: now.taken(unit) for unit in _HOLDS}

    def commit(self, writes: list[Write], durable: bool, call: Call, *, settled: bool = False) -> bool | None:
        """Whether it was told at once; ``None`` where it was refused."""
        with self.lock:
            cells = self.table.apply(writes, EMPTY, at=self.at)
            if cells is None:
                return None
            wait = self.leases.passed(writes, cells, self.at, waits=durable) or durable
        self.queue.append(Job(dict(cells), call if wait else None, settled))
        for key in cells:
            self.note(key)
        return not wait

    @precondition(lambda self: not self.sharing)
    @rule(durable=st.sampled_from([False, False, True]), slot=st.integers(0, 1), times=st.integers(1, 6))
    def admit(self, durable: bool, slot: int, times: int) -> None:
        for _ in range(times):
            self.ids += 1
            call = Call(f"d-{self.ids}", self.at)
            limits = {**self.ceilings, f"slots:{slot}": 8}
            amounts = {**_HOLDS, f"slots:{slot}": 1}
            told = self.commit(
                [
                    Reserve("run", call.id, amounts, limits, _HOLD_S, _KEPT_S),
                    Reserve("principal", call.id, _HOLDS, self.ceilings, _HOLD_S, _KEPT_S, _WINDOW_S),
                ],
                durable,
                call,
            )
            if told is not None:
                call.granted = told
                self.calls.append(call)
                self.under_way.append(call)

    @precondition(lambda self: not self.sharing and any(call.granted for call in self.under_way))
    @rule(calls=st.integers(0, 1), size=st.sampled_from([0, 7, 100, 150, 900, 5000]), times=st.integers(1, 6))
    def settle(self, calls: int, size: int, times: int) -> None:
        for call in [call for call in self.under_way if call.granted][-times:]:
            self.end(call, calls, size)

    def end(self, call: Call, calls: int, size: int) -> None:
        self.under_way.remove(call)
        took = {"calls": calls, "bytes": size}
        late = self.at >= call.until
        writes: list[Write] = [Settle("run", call.id, took, _KEPT_S)]
        writes.append(Settle("principal", call.id, took, _KEPT_S, _WINDOW_S))
        told = self.commit(writes, False, call, settled=True)
        if late:
            return  # charged in full already
        # Not told yet, it may be charged as held or as settled.
        call.took = took if told else {unit: min(_HOLDS[unit], took[unit]) for unit in took}
        call.ended_at, call.exact = self.at, took

    @precondition(lambda self: not self.taken_jobs and self.queue)
    @rule(count=st.sampled_from([1, 2, 3, 9]))
    def the_writer_takes(self, count: int) -> None:
        self.taken_jobs, self.queue = self.queue[:count], self.queue[count:]
        self.batch: dict[str, Cell] = {}
        for job in self.taken_jobs:
            self.batch.update(job.cells)
        self.loans = self.leases.lend(self.batch, self.table)

    @precondition(lambda self: self.taken_jobs)
    @rule()
    def the_writer_commits(self) -> None:
        self.file |= {key: _on_disk(cell) for key, cell in self.batch.items()}
        self.leases.granted(self.loans)
        for job in self.taken_jobs:
            if job.call is not None:
                job.call.granted = True
                job.call.took = job.call.exact if job.settled and job.call.took is not None else job.call.took
        self.taken_jobs = []
        if self.sharing and not self.queue:
            for key, cell in self.file.items():
                mine = self.table.cell(key)
                assert mine is not None
                assert cell == _on_disk(mine)
            self.leases.forget()
            self.sharing = False

    @precondition(lambda self: self.taken_jobs)
    @rule()
    def the_writer_fails(self) -> None:
        self.queue = [*self.taken_jobs, *self.queue]
        self.taken_jobs = []

    @precondition(lambda self: not self.sharing)
    @rule()
    def it_is_quiet(self) -> None:
        for lease in self.leases._leases.values():
            lease.newest_s = float("-inf")
        self.leases.quiet(self.table, lambda cells: self.queue.append(Job(cells)))

    @precondition(lambda self: not self.sharing)
    @rule()
    def another_knocks(self) -> None:
        with self.lock:
            self.queue.append(Job(self.leases.all(self.table)))
        self.sharing = True

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 70.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.at += seconds

    @rule(late=st.booleans())
    def crash(self, late: bool) -> None:
        if late and self.taken_jobs:  # the transaction went through, and nobody was told
            self.file |= {key: _on_disk(cell) for key, cell in self.batch.items()}
        self.nothing_is_forgotten_and_little_is_charged_too_much()
        self.begin_life()

    @invariant()
    def nothing_is_forgotten_and_little_is_charged_too_much(self) -> None:
        """Were it to crash now."""
        for key, window_s in _WINDOWS.items():
            cell = self.file.get(key)
            now = standing(cell.value if cell else None, at=self.at, window_s=window_s)
            found = self.found.get(key)
            before = standing(found.value if found else None, at=self.at, window_s=window_s)
            for unit in _HOLDS:
                told = sum(call.least(key, unit, self.at) for call in self.calls)
                assert now.taken(unit) >= before.taken(unit) + told
                if cell is not None:
                    since = [taken[unit] for (k, v), taken in self.taken.items() if k == key and v >= cell.version]
                    assert now.taken(unit) <= max(since) + most(self.ceilings[unit], _HOLDS[unit])
            if cell is not None:
                assert now.taken("calls") <= self.ceilings["calls"]


def test_no_crash_at_any_point_forgets_what_was_told_or_charges_more_than_a_lease() -> None:
    checked = settings(max_examples=_EXAMPLES * 10, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(Lending, settings=checked)


# One after the other


def hold(call: str, ceiling: float = 100, **more: Any) -> Reserve:
    return Reserve("run", call, {"calls": 1}, {"calls": ceiling}, _HOLD_S, _KEPT_S, **more)


def end(call: str, calls: float = 1) -> Settle:
    return Settle("run", call, {"calls": calls}, _KEPT_S)


class Memory:
    """A table with its leases, and a file that is written when it is told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.table, self.leases = Table(), Leases(self.lock, "lease-1")
        self.file: dict[str, Cell] = {}
        self.batch: dict[str, Cell] = {}

    def waits(self, *writes: Write, at: float = AT) -> bool:
        with self.lock:
            cells = self.table.apply(writes, EMPTY, at=at)
            assert cells is not None
            self.batch |= cells
            return self.leases.passed(writes, cells, at)

    def write(self, *, meanwhile: Any = lambda: None) -> None:
        batch, self.batch = self.batch, {}
        loans = self.leases.lend(batch, self.table)
        meanwhile()
        self.file |= batch
        self.leases.granted(loans)

    def charged(self) -> float:
        return standing(self.file["run"].value, at=AT).taken("calls")


def test_a_lease_is_spent_without_waiting_and_no_more_than_it() -> None:
    memory = Memory()
    assert memory.waits(hold("a"))
    memory.write()
    assert [memory.waits(hold(f"b-{n}")) for n in range(6)] == [False] * 4 + [True] * 2
    assert memory.charged() == 5


def test_a_lease_grows_where_it_is_not_enough_and_is_small_again_after_a_rest() -> None:
    memory, lent = Memory(), []
    for turn in range(5):
        for n in range(40):
            memory.waits(hold(f"{turn}-{n}", 1000))
        memory.write()
        memory.waits(*(end(f"{turn}-{n}", 0) for n in range(40)))
        memory.write()
        lent.append(memory.charged())
    assert lent == sorted(lent)
    assert lent[0] < lent[-1] == most(1000, 1) == 20
    memory.leases.all(memory.table)
    memory.waits(hold("last", 1000))
    memory.write()
    assert memory.charged() == 5


def test_what_memory_is_ahead_of_the_file_stays_charged() -> None:
    memory = Memory()
    memory.waits(*(hold(f"a-{n}") for n in range(4)))
    memory.write()
    memory.waits(*(end(f"a-{n}", 0) for n in range(4)))
    early, memory.batch = memory.batch, {}
    assert not memory.waits(*(hold(f"b-{n}") for n in range(8)))  # still within what was lent before
    memory.batch = early
    memory.write()
    assert memory.charged() >= 8


def test_until_the_copy_is_in_the_file_only_what_both_vouch_for_counts() -> None:
    memory = Memory()
    memory.waits(*(hold(f"a-{n}") for n in range(4)))
    memory.write()
    memory.waits(*(end(f"a-{n}", 0) for n in range(4)))
    told: list[bool] = []
    memory.write(meanwhile=lambda: told.extend(not memory.waits(hold(f"b-{n}")) for n in range(8)))
    assert memory.charged() >= sum(told) == 4


@pytest.mark.parametrize("ceiling", [1, 3, 7])
def test_of_a_budget_of_few_calls_nothing_is_lent(ceiling: int) -> None:
    memory = Memory()
    for n in range(ceiling):
        assert memory.waits(hold(f"a-{n}", ceiling))
        memory.write()
        assert memory.charged() == n + 1


def test_an_end_that_took_what_it_held_waits_for_nothing() -> None:
    memory = Memory()
    memory.waits(hold("a", 3))
    memory.write()
    assert not memory.waits(end("a"))


def test_without_a_ceiling_nothing_is_lent_and_nothing_waits() -> None:
    memory = Memory()
    write = Reserve("run", "a", {"calls": 1, "slots:0": 1}, {"slots:0": 8, "time_s": 60}, _HOLD_S, _KEPT_S)
    assert not memory.waits(write)
    memory.write()
    assert memory.file["run"].value == memory.table.read(["run"], at=AT).get("run")


def test_a_lease_ends_with_its_time_and_the_file_s_copy_outlives_it() -> None:
    memory = Memory()
    memory.waits(hold("a"))
    memory.write()
    assert memory.waits(hold("b"), at=AT + LEASE_S)
    assert memory.file["run"].expires_at >= AT + LEASE_S + _KEPT_S


def test_what_leaves_a_window_makes_no_room_under_a_lease() -> None:
    memory = Memory()
    memory.waits(hold("a", window_s=15.0), Settle("run", "a", {"calls": 1}, _KEPT_S, 15.0))
    memory.write()
    assert not memory.waits(hold("b", window_s=15.0), at=AT + 14)
    assert memory.waits(hold("c", window_s=15.0), at=AT + 17)


def test_a_ceiling_that_is_new_waits_once() -> None:
    memory = Memory()
    memory.waits(hold("a"))
    memory.write()
    both = Reserve("run", "b", {"calls": 1, "bytes": 9}, {"calls": 100, "bytes": 900}, _HOLD_S, _KEPT_S)
    assert memory.waits(both)
    memory.write()
    assert not memory.waits(again(both, call="c"))


def again(write: Reserve, *, call: str) -> Reserve:
    return Reserve(write.key, call, write.amounts, write.ceilings, write.hold_s, write.ttl_s)


def test_an_account_that_nobody_comes_back_to_lends_no_more() -> None:
    memory = Memory()
    memory.waits(hold("a"))
    memory.write()
    memory.waits(Expire("run", 5))
    memory.write()
    assert memory.file["run"] == memory.table.cell("run")
    assert len(memory.leases) == 0


def test_a_reader_sees_no_lease_that_is_good_still() -> None:
    memory = Memory()
    memory.waits(hold("a"))
    memory.write()
    plain = memory.table.read(["run"], at=AT).get("run")
    shown = without(memory.file["run"].value, at=AT)
    assert (shown["held"], shown["holding"]) == (plain["held"], plain["holding"])
    assert without(memory.file["run"].value, at=AT + LEASE_S) == memory.file["run"].value
    assert [without(other, at=AT) for other in (None, 3, [], {"used": {}})] == [None, 3, [], {"used": {}}]


# In the store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """It writes nothing before somebody waits for it."""
    opened = SqliteStore.open(path)
    opened._writer._linger_s = 3600
    yield opened
    if opened._writer._thread.is_alive():
        await opened.close()


async def admit(store: SqliteStore, call: str, *, durable: bool = False) -> None:
    assert await store.commit([hold(call)], EMPTY, proposed(call, at=AT), at=AT, durable=durable)


async def settle(store: SqliteStore, call: str) -> None:
    assert await store.commit([end(call)], EMPTY, concluded(call), at=AT)


async def test_a_crash_charges_the_lease_in_full_and_marks_it(store: SqliteStore, path: Path) -> None:
    for call in ("a", "b", "c"):
        await admit(store, call)
        await settle(store, call)
    assert standing((await store.read(["run"], at=AT)).get("run"), at=AT).used == {"calls": 3}
    kill(store)
    after = SqliteStore.open(path)
    account = (await after.read(["run"], at=AT)).get("run")
    await after.close()
    assert standing(account, at=AT).taken("calls") == 5  # the first in the file, and four lent
    later = standing(account, at=AT + _HOLD_S)
    assert (later.used, later.held, later.lapsed) == ({"calls": 5}, {}, {"calls": 5})


async def test_an_orderly_end_leaves_no_lease(store: SqliteStore, path: Path) -> None:
    await admit(store, "a")
    await settle(store, "a")
    await store.close()
    after = SqliteStore.open(path)
    now = standing((await after.read(["run"], at=AT)).get("run"), at=AT)
    await after.close()
    assert (now.used, now.held, now.lapsed) == ({"calls": 1}, {}, {})


async def test_a_newcomer_finds_no_lease(store: SqliteStore, path: Path) -> None:
    await admit(store, "a")
    store._writer._linger_s = 0.001
    store._writer.hurry()
    newcomer = await asyncio.to_thread(SqliteStore.open, path)
    now = standing((await newcomer.read(["run"], at=AT)).get("run"), at=AT)
    await newcomer.close()
    assert (now.used, now.held) == ({}, {"calls": 1})


async def test_calls_with_effects_alone_want_no_lease(store: SqliteStore, path: Path) -> None:
    for call in ("a", "b"):
        await admit(store, call, durable=True)
    kill(store)
    after = SqliteStore.open(path)
    now = standing((await after.read(["run"], at=AT)).get("run"), at=AT)
    await after.close()
    assert now.taken("calls") == 2


async def test_a_lease_is_given_back_when_nobody_wants_it(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._writer._linger_s = 0.001
    monkeypatch.setattr("fuseboard.adapters.stores.leases.QUIET_S", 0.0)
    await admit(store, "a")
    async with asyncio.timeout(10):
        while len(store._sole.leases):  # noqa: ASYNC110 - the writer's thread rings no bell for it
            await asyncio.sleep(0.02)
    kill(store)
    with LedgerReader(path) as ledger:
        assert ledger.state(["run"], at=AT + _HOLD_S / 2).get("run")["holding"] == {"calls": 1}
    after = SqliteStore.open(path)
    assert standing((await after.read(["run"], at=AT)).get("run"), at=AT).taken("calls") == 1
    await after.close()
