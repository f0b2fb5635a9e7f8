"""The operator's hand on what was delivered: results and servers are taken back, and the runs that saw them marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from fuseboard import influence, revocation
from fuseboard.approvals import Unsettled
from fuseboard.errors import StoreUnavailable
from fuseboard.influence import CALLED, READ, RETURNED, SAW, Influence, Passed, Reached
from fuseboard.ports import Store
from fuseboard.revocation import GATE, RECORDS, Mark, Revocation, mark_key, marked, marks
from fuseboard.state import Snapshot, Write

T = TypeVar("T")

_ATTEMPTS: Final = 16
_LOOKS: Final = 8
"""How often the ledger is looked through for runs that took it in meanwhile."""

_AT_ONCE: Final = 200
"""Runs that are marked by one commit."""

_HOW: Final = {
    SAW: "what {by} returned, {told}",
    CALLED: "the words of a run that called it, which had taken in what was {told}",
    RETURNED: "what the agent {by} gave back, which had taken in what was {told}",
    READ: "what it read from memory by {by}, written by a run that had taken in what was {told}",
}


class Ledger(Protocol):
    """Read beside the store, in which nothing is found but by its key."""

    def since(self, at: float) -> Iterable[Passed]: ...
    def call(self, id: str) -> Passed | None: ...
    def first(self, like: Passed) -> float | None: ...
    def knows(self, upstream: str, tool: str | None) -> bool: ...


class Found(NamedTuple):
    """``again``: it had been revoked before, and was only looked through anew."""

    revocation: Revocation
    influence: Influence
    again: bool


class Revoker:
    """``clock`` gives Unix seconds. ``acts`` gives what was revoked so far, by key; ``runs`` the marks, by key.

    Every method may raise :class:`fuseboard.errors.StoreUnavailable`.
    """

    def __init__(
        self, store: Store, ledger: Ledger, clock: Callable[[], float], under: Callable[[str], Mapping[str, object]]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._under = under

    def acts(self) -> list[Revocation]:
        """All that was ever revoked, the oldest first."""
        found = [msgspec.convert(value, Revocation) for value in self._under(RECORDS).values()]
        return sorted(found, key=lambda one: (one.at, one.id))

    async def revoke(self, id: str, what: str, *, by: str, why: str, since: float, until: float | None) -> Found:
        """Take back a result (``d-…``), or all that a server or tool returned since then.

        First what is still to come is withheld, then whoever took in what came before is looked for: so nothing falls
        between. ``id`` is the act's, where it is a new one.

        Raises:
            Unsettled: there is no such result, and was no such server.
        """
        asked = self._asked(Revocation(id, what, self._clock(), by, why, since, until))
        before = next((one for one in self.acts() if _is_same(one, asked)), None)
        now = before or asked
        await self._change((RECORDS + now.id, GATE), lambda read: self._opened(now))
        return Found(now, await self._marked(now), before is not None)

    async def lift(self, id: str, *, by: str, why: str) -> Revocation:
        """Say that it was no poison after all. Runs that are paused already wait for a person as before.

        Raises:
            Unsettled: there is nothing to lift, or not any more.
        """
        found = next((one for one in self.acts() if one.id == id), None)
        if found is None:
            raise Unsettled(f"{id} is not known here; `fuseboard revoke ls` lists what was revoked")
        if not found.stands:
            raise Unsettled(f"{id} was lifted already by {found.lifted_by}")
        lifted = msgspec.structs.replace(found, lifted_at=self._clock(), lifted_by=by, lifted_why=why)
        await self._change((RECORDS + id, GATE), lambda read: self._opened(lifted))
        keys = [key for key, value in self._under(revocation.MARKS).items() if id in marks(value)]
        for part in _parts(keys):
            await self._change(part, partial(_without, id, part))
        return lifted

    def _asked(self, asked: Revocation) -> Revocation:
        if not asked.of_result:
            upstream, of_tool, tool = asked.what.partition("__")
            if not self._ledger.knows(upstream, tool if of_tool else None):
                raise Unsettled(f"nothing on record was ever called at {asked.what}")
            return asked
        call = self._ledger.call(asked.what)
        if call is None:
            raise Unsettled(f"no call {asked.what} on record; `fuseboard trace ls` lists the runs")
        if not call.delivered:
            raise Unsettled(f"{asked.what} returned nothing that anybody saw ({call.truth})")
        digest = call.result_sha256 or ""
        return msgspec.structs.replace(asked, upstream=call.upstream, tool=call.tool, digest=digest)

    def _opened(self, now: Revocation) -> Sequence[Write]:
        others = [one for one in self.acts() if one.id != now.id]
        return (now.written(), revocation.gate([*others, now]))

    async def _marked(self, now: Revocation) -> Influence:
        """Mark whoever took it in, until a look at the ledger finds nobody new: its writers are a moment behind."""
        done: set[str] = set()
        for look in range(_LOOKS):
            found = influence.walked(self._ledger.since(self._from(now)), now.covers)
            fresh = [one for run, one in found.runs.items() if run not in done]
            if look and not fresh:
                return found
            for part in _parts(fresh):
                await self._change([mark_key(one.run) for one in part], partial(_with, now, part))
            done.update(one.run for one in fresh)
        raise StoreUnavailable("runs kept taking it in while they were looked for: ask again")

    def _from(self, now: Revocation) -> float:
        """When the first of it was delivered, at the earliest."""
        if not now.of_result:
            return now.since
        call = self._ledger.call(now.what)
        first = self._ledger.first(call) if call is not None else None
        return 0.0 if first is None else first

    async def _change(self, keys: Sequence[str], writes: Callable[[Snapshot], Sequence[Write]]) -> None:
        for _ in range(_ATTEMPTS):
            at = self._clock()
            read = await self._store.read(keys, at=at)
            if await self._store.commit(writes(read), read, None, at=at, durable=True):
                return
        raise StoreUnavailable("others kept changing the same: try again")


def mark_of(now: Revocation, one: Reached) -> Mark:
    return Mark(now.id, now.by, _HOW[one.how].format(by=one.by, told=now.told()), one.seen, one.since)


def _with(now: Revocation, reached: Sequence[Reached], read: Snapshot) -> list[Write]:
    """What was asked of a run before is not asked again."""
    writes: list[Write] = []
    for one in reached:
        there = marks(read.get(mark_key(one.run)))
        if now.id not in there:
            writes.append(marked(one.run, {**there, now.id: mark_of(now, one)}))
    return writes


def _without(id: str, keys: Sequence[str], read: Snapshot) -> list[Write]:
    left = {key: {name: mark for name, mark in marks(read.get(key)).items() if name != id} for key in keys}
    return [marked(key.removeprefix(revocation.MARKS), now) for key, now in left.items()]


def _is_same(one: Revocation, asked: Revocation) -> bool:
    return one.stands and (one.what, one.until) == (asked.what, asked.until) and one.since <= asked.since


def _parts(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
