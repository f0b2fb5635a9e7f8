"""Leases: what the file charges in advance, so that a commit on an account need not wait for the file.

Each process takes a part of a budget beforehand and spends it in memory (facts, mechanisms 3.3: hot counters). The
file's copy of an account holds more than the memory's: a hold by the name of a lease, as if one more call were under
way. A commit that keeps what is used and held within that is answered at once, one that would pass it waits until it is
in the file, and from then on the file lends anew.

After kill -9 the lease is found where the reservations of calls are found, and is charged as they are: in full, when
its time is over, and marked as lapsed. So an account is never charged too little, and too much by one lease at most:
four calls, twice as many each time that they were not enough, up to two hundredths of each ceiling where that is more,
but never more than an eighth and never beyond the ceiling. Where what is used counts for a window only, what a lease
stood for counts from the lease's end, and not from when the calls' own holds would have been over.
A budget of a few calls has no lease, and waits each time. A second without a commit gives the lease back, and so does
an orderly end: what nobody uses a crash does not charge.

Lent is every unit that has a ceiling, but for those that need none: calls under way end with the process, and active
time is counted from the last commit in the file to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, Final, NamedTuple

from fuseboard.accounts import SLOTS, TIME, reserve, standing
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.state import Expire, Reserve, Settle, Write

LEASE_S: Final = 60.0
"""How long one is good for. No longer than a silence that counts as active time (:data:`fuseboard.budgets.IDLE_S`)."""

QUIET_S: Final = 1.0
"""How long after the last commit on an account its lease is given back."""

PREFIX: Final = "lease-"
"""How the names of leases begin; no call is named so."""

_PART: Final = 0.02
_CALLS: Final = 4
_MOST: Final = 1 / 8

_NOTHING: Final[Mapping[str, Any]] = {}


class Grant(NamedTuple):
    """What the file vouches for: ``bounds`` by unit of what is used and held, until ``until`` (Unix seconds).

    ``since`` is when the oldest slice began that counts: what leaves a window makes no room under a bound.
    """

    bounds: Mapping[str, float]
    until: float
    since: float | None


class Lease:
    """One account's. ``at`` is the time of its newest commit.

    Something is lent once it is ``wanted``: calls with effects, which wait for the disk in any case, want nothing. It
    is given back once it is ``quiet``. ``calls`` is how many are lent, ``short`` says that they were not enough.

    ``newest_s`` is when it was last written (on the monotonic clock), ``version`` what was written then, and ``bare``
    whether that went without a lease.
    """

    __slots__ = (
        "amounts",
        "at",
        "bare",
        "calls",
        "ceilings",
        "grant",
        "limits",
        "most",
        "newest_s",
        "quiet",
        "short",
        "version",
        "wanted",
        "window_s",
    )

    def __init__(self) -> None:
        self.ceilings: Mapping[str, float] = _NOTHING
        self.limits: Mapping[str, float] = _NOTHING
        self.amounts: Mapping[str, float] = _NOTHING
        self.most: Mapping[str, float] = _NOTHING
        self.calls = _CALLS
        self.window_s: float | None = None
        self.at = float("-inf")
        self.grant: Grant | None = None
        self.quiet = self.wanted = self.short = False
        self.newest_s = time.monotonic()
        self.version, self.bare = 0, False

    def renewed(self, write: Reserve) -> None:
        """Take over ceilings that are new. What the file vouches for says nothing of a unit that had none."""
        self.ceilings, self.window_s = write.ceilings, write.window_s
        limits = {
            unit: ceiling for unit, ceiling in write.ceilings.items() if unit != TIME and not unit.startswith(SLOTS)
        }
        if limits != self.limits:
            self.grant = self.grant if limits.keys() <= self.limits.keys() else None
            self.limits = limits
            self.amounts = write.amounts
            self.most = {unit: most(ceiling, write.amounts.get(unit, 0)) for unit, ceiling in limits.items()}

    def chunk(self, unit: str) -> float:
        """What is lent: as many calls as came between two batches lately, no more than the most."""
        amount = self.amounts.get(unit, 0)
        return min(self.most[unit], self.calls * amount) if amount > 0 else self.most[unit]

    def covers(self, account: Mapping[str, Any], at: float) -> bool:
        """Whether the file vouches for the account as it is in memory now."""
        grant, slices = self.grant, account.get("slices")
        if grant is None or at >= grant.until or (slices[0][0] if slices else None) != grant.since:
            return not self.limits
        used, holding = account.get("used", _NOTHING), account.get("holding", _NOTHING)
        for unit, bound in grant.bounds.items():
            if used.get(unit, 0) + holding.get(unit, 0) > bound:
                if not self.short and self.chunk(unit) < self.most[unit]:
                    self.short = True
                    self.calls *= 2
                return False
        return True


class Loan(NamedTuple):
    """What the batch being written will vouch for once it is in the file. ``last``: the lease is over then."""

    key: str
    lease: Lease
    grant: Grant
    version: int
    bare: bool
    last: bool


class Leases:
    """The leases of a process that is alone. ``lock`` is the table's: under it the memory does not change."""

    def __init__(self, lock: Lock, name: str) -> None:
        self._lock = lock
        self._name = name
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    # The event loop's side, under the lock

    def passed(self, writes: Sequence[Write], cells: Mapping[str, Cell], at: float, *, waits: bool = False) -> bool:
        """Whether the commit that changed ``cells`` has to wait for the file. ``waits``: it does so in any case."""
        leases, wait = self._leases, False
        for write in writes:
            lease = leases.get(write.key)
            if isinstance(write, Reserve):
                if lease is None:
                    lease = leases[write.key] = Lease()
                lease.quiet = False
                if lease.ceilings is not write.ceilings and lease.ceilings != write.ceilings:
                    lease.renewed(write)
            elif isinstance(write, Settle):
                if lease is None:
                    wait = True
                    continue
            else:
                if lease is not None and isinstance(write, Expire):
                    self._hush(lease)
                continue
            if at > lease.at:
                lease.at = at
            if not waits and not lease.covers(cells[write.key].value, at):
                wait = lease.wanted = True
        return wait

    # The writer's side

    def lend(self, cells: dict[str, Cell], table: Table) -> list[Loan]:
        """Put leases into the cells that are about to be written. ``table`` is the memory, which may be ahead of them.

        Until it is known which copy is in the file, nothing counts but what both vouch for.
        """
        loans = []
        for key in [key for key in cells if key in self._leases] if self._leases else ():
            with self._lock:
                loans.append(self._lent(key, cells, table.cell(key) or cells[key]))
        return loans

    def granted(self, loans: Sequence[Loan]) -> None:
        """They are in the file."""
        for key, lease, grant, version, bare, last in loans:
            with self._lock:
                lease.newest_s, lease.version, lease.bare = time.monotonic(), version, bare
                if last and lease.quiet and self._leases.get(key) is lease:
                    del self._leases[key]
                elif lease.limits.keys() == grant.bounds.keys() and not lease.quiet:
                    lease.grant, lease.short = grant, False

    def quiet(self, table: Table, put: Callable[[dict[str, Cell]], None]) -> None:
        """Have the true cells written of the accounts of which nobody wanted anything lately: that gives leases back.

        ``put`` is called under the lock, or a commit in between would come before what it made out of date.
        """
        before_s = time.monotonic() - QUIET_S
        with self._lock:
            idle = [key for key, lease in self._leases.items() if lease.newest_s < before_s]
            for key in idle:
                lease, cell = self._leases[key], table.cell(key)
                if lease.bare and cell is not None and cell.version == lease.version:
                    del self._leases[key]  # there is nothing to give back
            if cells := dict(self._true(table, [key for key in idle if key in self._leases])):
                put(cells)

    def all(self, table: Table) -> dict[str, Cell]:
        """The true cells of all accounts. Has to be called under the lock."""
        return dict(self._true(table, [*self._leases]))

    def forget(self) -> None:
        """The file holds the true cells of all of them."""
        self._leases.clear()

    def _true(self, table: Table, keys: Sequence[str]) -> Iterator[tuple[str, Cell]]:
        for key in keys:
            self._hush(self._leases[key])
            if (cell := table.cell(key)) is not None:
                yield key, cell
            else:  # past its time, in the file too
                del self._leases[key]

    def _hush(self, lease: Lease) -> None:
        lease.quiet, lease.wanted, lease.grant, lease.newest_s = True, False, None, time.monotonic()
        lease.calls = _CALLS

    def _lent(self, key: str, cells: dict[str, Cell], newest: Cell) -> Loan:
        lease, cell = self._leases[key], cells[key]
        on_file = standing(cell.value, at=lease.at, window_s=lease.window_s)
        in_memory = on_file if newest is cell else standing(newest.value, at=lease.at, window_s=lease.window_s)
        amounts, bounds = {}, {}
        for unit, ceiling in lease.limits.items():
            taken = on_file.taken(unit)
            # What memory is ahead was promised under the lease before this one.
            ahead = max(0, in_memory.taken(unit) - taken)
            chunk = 0 if not lease.wanted else max(0, min(lease.chunk(unit), ceiling - taken - ahead))
            bounds[unit] = taken + ahead + chunk
            if ahead + chunk > 0:
                amounts[unit] = ahead + chunk
        grant = Grant(bounds, lease.at + LEASE_S, _since(newest.value))
        if amounts:
            hold = Reserve(key, self._name, amounts, _NOTHING, LEASE_S, LEASE_S, lease.window_s)
            account = reserve(cell.value, hold, at=lease.at)
            # Memory goes on renewing the cell: the file's copy must not be past its time before.
            cells[key] = Cell(account, cell.version, max(cell.expires_at, newest.expires_at) + LEASE_S)
        lease.grant = _both(lease.grant, grant)
        last = lease.quiet and cell.version == newest.version
        return Loan(key, lease, grant, cell.version, not amounts, last)


def without(account: Any, *, at: float) -> Any:
    """The account without the leases that are good at ``at``, for a reader of the file: nobody used them."""
    held = account.get("held") if isinstance(account, Mapping) else None
    for name, (until, amounts) in held.items() if held else ():
        if name.startswith(PREFIX) and until > at:
            left = {unit: amount - amounts.get(unit, 0) for unit, amount in account["holding"].items()}
            rest = {call: hold for call, hold in account["held"].items() if call != name}
            account = {**account, "held": rest, "holding": left if rest else {}}
    return account


def _both(one: Grant | None, other: Grant) -> Grant | None:
    """What both vouch for."""
    if one is None or one.since != other.since:
        return None
    bounds = {unit: min(bound, one.bounds[unit]) for unit, bound in other.bounds.items() if unit in one.bounds}
    return Grant(bounds, min(one.until, other.until), one.since) if len(bounds) == len(other.bounds) else None


def _since(account: Mapping[str, Any]) -> float | None:
    slices = account.get("slices")
    return slices[0][0] if slices else None


def most(ceiling: float, amount: float) -> float:
    """The most that is lent of one unit: as many whole calls as it comes to, where it is known what one asks for."""
    chunk = min(max(ceiling * _PART, amount * _CALLS), ceiling * _MOST)
    return chunk // amount * amount if amount > 0 else chunk
