"""The books on locks, breakers and effects: each watches one invariant at every commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from fuseboard import locks
from fuseboard.breakers import machine
from fuseboard.breakers.machine import CLOSED, HALF_OPEN, OPEN, Breaker
from fuseboard.effects import LOST, attached_to
from fuseboard.ports import Concluded, Entry, Proposed
from fuseboard.state import Lock, Put, Unlock, Write
from simulation import scenery


class Account(Protocol):
    """What a book leans on."""

    @property
    def life(self) -> int: ...
    @property
    def smooth(self) -> bool: ...
    def under_way(self, call: str) -> bool: ...
    def broken(self, rule: str, what: str) -> None: ...
    def cell(self, key: str, at: float) -> Any: ...


class Leases:
    """I3: whoever holds a lock alone is the only one, and whoever gets it gets a higher token than all before."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._highest: dict[str, int] = {}
        self._alone: dict[str, tuple[str, int]] = {}

    def committed(self, writes: Sequence[Write], entry: Entry | None, at: float) -> None:
        for key in dict.fromkeys(write.key for write in writes if isinstance(write, Lock | Unlock)):
            self._look(key, at)
        if isinstance(entry, Concluded) and self._account.smooth:
            for _ in filter(lambda check: check["rule"] == "locks.lost", entry.checks):
                self._account.broken("I3", f"{entry.id} is told that it lost its lock, and nothing happened to any")

    def _look(self, key: str, at: float) -> None:
        lock = self._account.cell(key, at)
        held = list(locks.holders(lock, at=at))
        if len(held) > 1 and any(one.alone for one in held):
            self._account.broken("I3", f"{key} is held alone by {' and by '.join(one.owner for one in held)}")
        for one in held:
            if not one.alone or self._alone.get(key) == (one.owner, one.fence):
                continue
            if one.fence <= self._highest.get(key, 0):
                self._account.broken("I3", f"{one.owner} gets {key} by {one.fence}, after {self._highest[key]}")
            self._alone[key] = one.owner, one.fence
        fences = [one.fence for one in held]
        self._highest[key] = max(self._highest.get(key, 0), *fences) if fences else self._highest.get(key, 0)


class Probes:
    """I5: what an open breaker lets through is one probe for each generation, and one at a time."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._probe: dict[tuple[str, str, int], str] = {}
        self._last: dict[tuple[str, str], tuple[str, float]] = {}

    def committed(self, writes: Sequence[Write], entry: Entry | None, at: float) -> None:
        for write in writes:
            if isinstance(write, Put) and write.key.startswith("breakers/"):
                self._leased(write)
        if isinstance(entry, Proposed) and not entry.final and entry.method == "tools/call":
            self._let_through(entry, at)

    def _leased(self, put: Put) -> None:
        for name in put.value if isinstance(put.value, dict) else ():
            now = machine.read(put.value, name)
            if now.lease is None:
                continue
            before, until = self._last.get((put.key, name), ("", 0.0))
            if before != now.lease[0] and self._account.under_way(before) and now.since < until:
                self._account.broken("I5", f"{put.key} {name!r}: {now.lease[0]} probes beside {before}")
            self._last[put.key, name] = now.lease
            first = self._probe.setdefault((put.key, name, now.generation), now.lease[0])
            if first != now.lease[0]:
                self._account.broken("I5", f"{put.key} {name!r}: {first} and {now.lease[0]} probe one generation")

    def _let_through(self, entry: Proposed, at: float) -> None:
        """A breaker that opened after the call was judged is no bar to it."""
        tool = f"{entry.upstream}__{entry.tool}"
        shared = machine.shared_key(entry.upstream)
        for key, name in ((machine.run_key(entry.run), tool), (shared, tool), (shared, machine.UPSTREAM)):
            now: Breaker = machine.read(self._account.cell(key, at), name)
            if now.phase(at) == CLOSED or now.since >= entry.at or now.leased_to(entry.id):
                continue
            if now.phase(at) in (OPEN, HALF_OPEN) and not _waited(entry):
                self._account.broken("I5", f"{entry.id} passes {key} {name!r}, which is {now.phase(at)}")


def _waited(entry: Proposed) -> bool:
    """Whether it waits for the result of another call, and so is no call itself."""
    return attached_to(check["facts"] for check in entry.checks) is not None


class Made(NamedTuple):
    run: str
    life: int
    truth: str = ""


class Doubles:
    """I12: a call with effects of which nobody knows the end is not made again, unless a person says so."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._made: dict[tuple[str, ...], dict[str, Made]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}

    def committed(self, writes: Sequence[Write], entry: Entry | None, at: float) -> None:
        if isinstance(entry, Proposed) and not entry.final and entry.id not in self._keys:
            self._proposed(entry)
        elif isinstance(entry, Concluded) and entry.id in self._keys:
            self._concluded(entry)

    def _proposed(self, entry: Proposed) -> None:
        what = (entry.upstream, entry.tool)
        if entry.method != "tools/call" or what in scenery.READS or what in scenery.IDEMPOTENT or _waited(entry):
            return
        sent: Mapping[str, Any] = json.loads(entry.sent or entry.arguments or "{}")
        key = (entry.principal, *what, json.dumps(sent, sort_keys=True))
        made, life = self._made.setdefault(key, {}), self._account.life
        asked = any(check["facts"].get("approved") and check["policy"] == "effects" for check in entry.checks)
        for id, one in list(made.items()):
            open_ = not one.truth and (one.run == entry.run or one.life != life)
            if not open_ and one.truth not in LOST:
                continue
            if not asked:
                came = f"came to {one.truth}" if one.truth else "has no end"
                self._account.broken("I12", f"{entry.id} makes {entry.exposed} again, and {id} {came}")
            elif not open_ or one.life != life:
                del made[id]
        made[entry.id] = Made(entry.run, life)
        self._keys[entry.id] = key

    def _concluded(self, entry: Concluded) -> None:
        made = self._made[self._keys[entry.id]]
        if entry.id not in made:
            return
        if entry.truth in LOST:
            made[entry.id] = made[entry.id]._replace(truth=str(entry.truth))
        else:
            del made[entry.id]
