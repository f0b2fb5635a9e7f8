"""Waiting for locks: the one place where a call waits before it is admitted, with nothing reserved meanwhile.

A call that finds a lock in use joins the list of those who wait, first come, first served, and is judged anew whenever
one of its locks or the list has changed. If its waiting would close a circle of waits it is refused at once. Nobody
waits longer than ``locks.wait``.

What is held for a call under way is renewed after a third of its lease, for as long as the call lasts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.abc
import msgspec

from fuseboard import locks, waits
from fuseboard.approvals import INDEX, Index
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed
from fuseboard.pipeline import Check, Outcome
from fuseboard.ports import Store
from fuseboard.settlement import Judgement
from fuseboard.state import EMPTY, Lock, Put, Snapshot, Write
from fuseboard.verdicts import Deny

_log = logging.getLogger("fuseboard.turns")

_TRIES: Final = 16
"""How often the list is written while other processes keep writing it."""

_TICK_S: Final = 0.005
"""The shortest wait: a lease that ends now is over by then."""

_TOLD: Final = 12
"""Nodes of a circle that the record names."""

_KEPT_S: Final = 3600.0

FENCE: Final = "fuseboard/fence"
"""The ``_meta`` key under which an upstream that is trusted gets the fencing tokens, by name of the lock."""


class Turns:
    """``clock`` gives Unix seconds; ``tasks`` runs the one task that renews leases, while there are any."""

    def __init__(self, store: Store, clock: Callable[[], float], tasks: anyio.abc.TaskGroup) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._leases: dict[str, tuple[Lock, ...]] = {}
        self._renewing = False
        self._next_s = 0.0
        self._sooner = anyio.Event()

    # Waiting

    async def taken(
        self,
        event: CallProposed,
        said: Judgement,
        judge: Callable[[CallProposed], Awaitable[Judgement]],
        *,
        spent_s: float = 0.0,
        elsewhere_s: float = 0.0,
    ) -> Judgement:
        """What is said of the call once it need not wait any longer: because it may go on, or has waited enough.

        It has waited ``spent_s`` for locks already, and ``elsewhere_s`` for something else.
        """
        most_s = min(_waits(said.outcome), event.timeout_s - elsewhere_s)
        until = event.at + most_s  # for the eyes of others; our own patience is no matter of a clock that may be set
        began_s = anyio.current_time() - spent_s
        joined = False
        try:
            while (refused := _refused(said.outcome)) is not None:
                at, waited_s = self._clock(), anyio.current_time() - began_s
                if waited_s >= most_s:
                    return await self._waited(event.run, said, refused, waited_s)
                closed = await self._join(said.outcome, refused, until, at)
                joined = True
                if closed is not None:
                    return Judgement(closed, said.read)
                await self._change(refused, said.read, most_s - waited_s)
                said = await judge(msgspec.structs.replace(event, at=self._clock()))
            if (waited_s := anyio.current_time() - began_s) > 0:
                said = _noted(said, waited_s)
            return said
        finally:
            if joined:
                with anyio.CancelScope(shield=True), suppress(StoreUnavailable):
                    await self._leave(event.id)

    async def _waited(self, run: str, said: Judgement, refused: Deny, waited_s: float) -> Judgement:
        """The refusal of who waited in vain, with how long, and whether it is a person who keeps everybody waiting."""
        facts: dict[str, Any] = {"waited_s": round(waited_s, 3)}
        reason, at = refused.reason, self._clock()
        asked = {one for _, one, _ in Index.of(await self._store.read((INDEX,), at=at), at=at).entries}
        holder = refused.facts.get("holder")
        # Of its own run the caller knows better: a question that it was refused over holds nobody up.
        if holder is not None and holder["run"] in asked and holder["run"] != run:
            facts["holder"] = {**holder, "waits_for": waits.PERSON}
            reason += f" Run {holder['run']} waits for {waits.PERSON}."
        return Judgement(_replaced(said.outcome, refused, refused.rule, reason, facts), said.read)

    async def _change(self, refused: Deny, read: Snapshot, left_s: float) -> None:
        """Wait until a lock is given back, an earlier one has gone, or a lease has run out, which nobody writes."""
        wanted, at = refused.waits, self._clock()
        assert wanted is not None
        keys = [*wanted.locks, *((locks.WAITS,) if wanted.behind else ())]
        ends = [one.until for key in wanted.locks for one in locks.holders(read.get(key), at=at)]
        ends += [one.until for one in waits.waiting(read.get(locks.WAITS), at=at) if wanted.behind]
        soon_s = max(_TICK_S, min([*(end - at for end in ends), left_s]))
        await self._store.changed(keys, read, at=at, timeout_s=soon_s)

    async def _join(self, outcome: Outcome, refused: Deny, until: float, at: float) -> Outcome | None:
        """Stand in the list. Gives the refusal where that would close a circle, or where too many stand there already,
        of its own run or of all.
        """
        event = outcome.event
        assert isinstance(event, CallProposed)
        assert refused.waits is not None
        below = tuple((one.decision, one.run, one.tool) for one in event.ancestors)
        on = dict(refused.waits.locks)
        one = waits.Waiting(event.id, event.run, event.tool.qualified, event.at, until, on, below)
        for _ in range(_TRIES):
            read = await self._store.read((locks.WAITS, INDEX, *refused.waits.locks), at=at)
            queue = waits.waiting(read.get(locks.WAITS), at=at)
            mine = next((each for each in queue if each.call == one.call), None)
            if mine is not None:
                return None  # it stands there, and was looked at when it came
            if len(queue) >= waits.MOST or sum(each.run == one.run for each in queue) >= waits.OF_ONE_RUN:
                break
            if (closed := await self._closes(outcome, refused, (*queue, one), read, at)) is not None:
                return closed
            write = Put(locks.WAITS, waits.joined(queue, one), _KEPT_S)
            if await self._store.commit([write], read, None, at=at):
                return None
        return _replaced(outcome, refused, "locks.crowded", _CROWDED.format(tool=event.tool.exposed), {})

    async def _closes(
        self, outcome: Outcome, refused: Deny, queue: Sequence[waits.Waiting], read: Snapshot, at: float
    ) -> Outcome | None:
        wanted = tuple(dict.fromkeys(key for one in queue for key in one.on))
        held = read if all(key in read.versions for key in wanted) else await self._store.read(wanted, at=at)
        asked = [run for _, run, _ in Index.of(read, at=at).entries]
        graph = waits.graph(queue, held.values, at=at, asked=asked)
        event = outcome.event
        assert isinstance(event, CallProposed)
        ring = waits.cycle(graph, waits.call_node(event.id))
        if ring is None:
            return None
        said = waits.told(ring, queue)
        reason = (
            f"{event.tool.exposed} was not called: it would wait for ever ({said}). Nobody in this circle could go on. "
            "Finish or give up what you hold first, or do without this call."
        )
        facts = {"cycle": said, "nodes": [node for node, _ in ring[:_TOLD]]}
        return _replaced(outcome, refused, "locks.cycle", reason, facts)

    async def _leave(self, call: str) -> None:
        for _ in range(_TRIES):
            at = self._clock()
            read = await self._store.read((locks.WAITS,), at=at)
            queue = waits.waiting(read.get(locks.WAITS), at=at)
            if all(one.call != call for one in queue):
                return
            if await self._store.commit([Put(locks.WAITS, waits.left(queue, call), _KEPT_S)], read, None, at=at):
                return

    # Holding

    def begun(self, call: str, writes: Sequence[Write]) -> Mapping[str, int] | None:
        """The call was admitted: renew what it holds until it is ``over``. Gives its fencing tokens, if it has any."""
        mine = tuple(one for one in writes if isinstance(one, Lock))
        if not mine:
            return None
        self._leases[call] = mine
        if not self._renewing:
            self._renewing = True
            self._tasks.start_soon(self._renew)
        elif anyio.current_time() + _third(mine) < self._next_s:
            self._sooner.set()
        return {locks.name_of(one.key): one.fence for one in mine}

    def over(self, call: str) -> None:
        self._leases.pop(call, None)

    async def _renew(self) -> None:
        """One task for all leases, while there are any."""
        due: dict[str, float] = {}
        try:
            while self._leases:
                now_s = anyio.current_time()
                due = {call: due.get(call, now_s + _third(held)) for call, held in self._leases.items()}
                late = [call for call, at_s in due.items() if at_s <= now_s]
                for call in late:
                    del due[call]
                    await self._renewed(call)
                if not late:
                    self._sooner, self._next_s = anyio.Event(), min(due.values())
                    with anyio.move_on_at(self._next_s):
                        await self._sooner.wait()
        finally:
            self._renewing = False

    async def _renewed(self, call: str) -> None:
        held = self._leases.get(call, ())
        at = self._clock()
        for one in held:
            write = msgspec.structs.replace(one, renews=True)
            try:
                if call in self._leases and not await self._store.commit([write], EMPTY, None, at=at):
                    _log.warning("call %s has lost %s while it was under way", call, locks.name_of(one.key))
            except StoreUnavailable as fault:
                _log.error("what call %s holds cannot be renewed: %s", call, fault)

    async def ended(self, run: str) -> None:
        """Nobody comes back to the run: what it holds is free.

        Raises:
            StoreUnavailable: it stays held until its leases are over.
        """
        at = self._clock()
        read = await self._store.read((locks.held_key(run),), at=at)
        if free := locks.given_back(run, read.get(locks.held_key(run))):
            await self._store.commit(free, EMPTY, None, at=at)


_CROWDED: Final = (
    "{tool} was not called: too many calls wait for locks already. Call it again in a while, and fewer at once."
)


def _third(held: Sequence[Lock]) -> float:
    return min(one.hold_s for one in held) / 3


def _refused(outcome: Outcome) -> Deny | None:
    """The refusal that need not be one, if the call waits."""
    refused = outcome.refused
    return refused if isinstance(refused, Deny) and refused.waits is not None else None


def _waits(outcome: Outcome) -> float:
    refused = _refused(outcome)
    assert refused is not None
    assert refused.waits is not None
    return refused.waits.wait_s


def _replaced(outcome: Outcome, refused: Deny, rule: str, reason: str, facts: Mapping[str, Any]) -> Outcome:
    """The same refusal by another rule, in the check of the policy that said it as well."""
    said = Deny(rule, reason, {**refused.facts, **facts}, None if rule == "locks.cycle" else refused.retry_after_s)
    checks = [*outcome.checks]
    for n, check in enumerate(checks):
        if check.policy == outcome.policy and check.rule == refused.rule:
            checks[n] = Check(check.policy, "deny", rule, said.facts)
    return msgspec.structs.replace(outcome, verdict=said, checks=tuple(checks))


def _noted(said: Judgement, waited_s: float) -> Judgement:
    """The record of a call that waited says how long."""
    checks = tuple(
        Check(one.policy, one.verdict, one.rule, {**one.facts, "waited_s": round(waited_s, 3)})
        if one.rule == "locks.taken"
        else one
        for one in said.outcome.checks
    )
    return Judgement(msgspec.structs.replace(said.outcome, checks=checks), said.read)
