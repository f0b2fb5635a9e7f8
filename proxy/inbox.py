"""The operator's hand on the store: what waits for a person, and what that person says. Every channel ends here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fuseboard import approvals, locks
from fuseboard.accounts import standing
from fuseboard.approvals import INDEX, Approval, Index, Unsettled, approval_key, keys_to_decide
from fuseboard.breakers import machine
from fuseboard.breakers.machine import Breaker
from fuseboard.breakers.standing import Target, acted
from fuseboard.budgets import milestones_key, run_key
from fuseboard.checkpoint import Note, checkpoint_key
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Store
from fuseboard.reviews import PAUSED, STOPPED, RunState, state_key
from fuseboard.state import Put, Snapshot, Write

_ATTEMPTS: Final = 16
"""How often a change is tried while others change the same."""


class Inbox:
    """``clock`` gives Unix seconds.

    Every method may raise :class:`fuseboard.errors.StoreUnavailable`.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def pending(self) -> tuple[Approval, ...]:
        """The questions that wait, the oldest first."""
        at = self._clock()
        index = Index.of(await self._store.read((INDEX,), at=at), at=at)
        keys = [approval_key(entry[0]) for entry in index.entries]
        found = await self._store.read(keys, at=at) if keys else Snapshot()
        waiting = [Approval.of(found.get(key)) for key in keys]
        return tuple(one for one in waiting if one is not None and one.status == approvals.PENDING)

    async def find(self, id: str) -> Approval | None:
        return Approval.of((await self._store.read((approval_key(id),), at=self._clock())).get(approval_key(id)))

    async def checkpoint(self, run: str) -> Note | None:
        """What the agent said last of its progress, ``None`` where it said nothing. Its own word, and no more."""
        key = checkpoint_key(run)
        return Note.last(run, await self._store.read((key,), at=self._clock()))

    async def decide(
        self, id: str, *, approve: bool, by: str, through: str, say: str = "", serial: int | None = None
    ) -> Approval:
        """Answer one question. Returns it as it is then.

        Raises:
            Unsettled: there is nothing to answer, or not any more.
        """

        def puts(read: Snapshot, at: float) -> Sequence[Put]:
            return approvals.decided(id, read, approve=approve, by=by, through=through, say=say, serial=serial, at=at)

        known = await self.find(id)
        keys = keys_to_decide(known.binding, id) if known is not None else (approval_key(id), INDEX)
        await self._change(keys, puts)
        decided = await self.find(id)
        if decided is None:
            raise StoreUnavailable(f"{id} was decided and is gone")
        return decided

    async def pause(self, run: str, *, by: str, why: str = "") -> None:
        """Let nothing new of a run be sent.

        Raises:
            Unsettled: the run is not known, or was stopped.
        """

        def puts(read: Snapshot, at: float) -> Sequence[Put]:
            now = _known(run, read)
            if now.state in (PAUSED, STOPPED):
                raise Unsettled(f"run {run} was {now.state} already by {now.by}")
            return (now.paused(at=at, by=by, why=why or f"{by} wants to look at it").written(run),)

        await self._change(_run_keys(run), puts)

    async def resume(self, run: str, *, by: str, why: str = "", more: Mapping[str, float] | None = None) -> None:
        """Let a paused run go on, or give a running one more. ``more`` is added to its limits, by unit.

        Raises:
            Unsettled: the run is not known, was stopped, or runs already and would get nothing more.
        """
        at = self._clock()
        before = RunState.of((await self._store.read((state_key(run),), at=at)).get(state_key(run)))
        asked = approvals.of_pause(run, before).id

        def puts(read: Snapshot, at: float) -> Sequence[Put]:
            now = _known(run, read)
            if now.state == STOPPED:
                raise Unsettled(f"run {run} was stopped by {now.by}: that is for good")
            if now.state != PAUSED and not more:
                raise Unsettled(f"run {run} is not paused")
            goes_on = approvals.resumed(run, read, by=by, why=why, more=dict(more or {}), at=at)
            return (*goes_on, *_moot(asked, read, by=by, say=why, at=at))

        await self._change((*_run_keys(run), approval_key(asked), INDEX), puts)

    async def stop(self, run: str, *, by: str, why: str = "") -> None:
        """End a run for good.

        What it has locked for itself is free with that. While calls of it are under way it stays locked, until its time
        is over: they go on, and would else work side by side with others.

        Raises:
            Unsettled: the run is not known, or was stopped before.
        """

        def puts(read: Snapshot, at: float) -> Sequence[Write]:
            now = _known(run, read)
            if now.state == STOPPED:
                raise Unsettled(f"run {run} was stopped already by {now.by}")
            works = standing(read.get(run_key(run)), at=at).held
            free = () if works else locks.given_back(run, read.get(locks.held_key(run)))
            return (now.stopped(at=at, by=by, why=why).written(run), *free)

        await self._change((*_run_keys(run), locks.held_key(run)), puts)

    async def breaker(self, which: Target, *, open: bool, by: str, why: str = "", for_s: float = 0.0) -> Breaker:
        """Take a tool or a server off the board for ``for_s``, or put it back. Returns its breaker as it is then."""

        def puts(read: Snapshot, at: float) -> Sequence[Write]:
            cell = read.get(which.key)
            now = machine.read(cell, which.name)
            turn = machine.forced_open if open else machine.reset
            after = turn(now, by=by, why=why, at=at, for_s=for_s)
            return (machine.written(which.key, cell, {which.name: after}), acted(which, after))

        await self._change((which.key,), puts)
        return machine.read((await self._store.read((which.key,), at=self._clock())).get(which.key), which.name)

    async def _change(self, keys: Sequence[str], puts: Callable[[Snapshot, float], Sequence[Write]]) -> None:
        for _ in range(_ATTEMPTS):
            at = self._clock()
            read = await self._store.read(keys, at=at)
            if await self._store.commit(puts(read, at), read, None, at=at, durable=True):
                return
        raise StoreUnavailable("others kept changing the same: try again")


def _run_keys(run: str) -> tuple[str, ...]:
    return state_key(run), run_key(run), milestones_key(run)


def _known(run: str, read: Snapshot) -> RunState:
    if read.get(state_key(run)) is None and read.get(run_key(run)) is None:
        raise Unsettled(f"run {run} is not known here; `fuseboard trace ls` lists the runs")
    return RunState.of(read.get(state_key(run)))


def _moot(id: str, read: Snapshot, *, by: str, say: str, at: float) -> tuple[Put, ...]:
    """What was asked about a pause that is over is answered by that."""
    asked = Approval.of(read.get(approval_key(id)))
    if asked is None or asked.status != approvals.PENDING or at >= asked.expires_at:
        return ()
    return approvals.answered(asked, read, approve=True, by=by, through="resume", say=say, at=at)
