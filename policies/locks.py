"""Does anybody else work on what this call would work on, and does the call wait for itself?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fuseboard import effects, locks, waits
from fuseboard.events import CallProposed, CallReturned, Effect, Event
from fuseboard.lock_names import Missing, Rule, Wanted, wanted
from fuseboard.locks import Holder
from fuseboard.state import Lock, Push, Snapshot, Unlock, Write
from fuseboard.truth import Truth
from fuseboard.verdicts import Allow, Deny, Verdict, Waits

_TOOL_CALL: Final = "tools/call"
_PASS: Final = Allow()

_SOON_S: Final = 1.0
_LATE_S: Final = 30.0
"""Between these a refused call is told to come back: nobody knows when a call under way ends."""

_REMEMBERED: Final = 64
"""So many of the things that a run has locked are remembered, to be given back with its end."""


class Need(NamedTuple):
    """One lock of one call, as things stand. ``ahead`` waits for it longer and has not got it yet."""

    name: str
    key: str
    owner: str
    rule: Rule
    fence: int
    held_by: tuple[Holder, ...]
    ahead: waits.Waiting | None


class LocksPolicy:
    """Takes all locks of a call in one admission, or none, and gives back those that end with the call.

    ``rules`` are given by ``<server>__<tool>``; ``agents`` are the servers that call tools through us themselves.
    ``process`` is given where a repeat of a call with effects waits for that call's result, and so needs no lock.
    """

    name = "locks"
    tells_callers_apart = False
    judges = (CallProposed, CallReturned)

    def __init__(
        self, rules: Mapping[str, Sequence[Rule]], agents: Collection[str] = (), process: str | None = None
    ) -> None:
        self._rules = {tool: tuple(each) for tool, each in rules.items() if each}
        self._agents = frozenset(agents)
        self._process = process

    def keys(self, event: Event) -> tuple[str, ...]:
        call = _call_of(event)
        if call is None or (rules := self._of(call)) is None:
            return ()
        try:
            named = [locks.lock_key(one.name) for one in _wanted(rules, call)]
        except Missing:
            return ()
        if event is not call:
            return (*named,)
        twin = (effects.effect_key(call),) if self._process is not None and effects.counts(call) else ()
        return (*named, locks.WAITS, locks.held_key(call.run), *twin)

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        match event:
            case CallProposed():
                return self._proposed(event, state)
            case CallReturned():
                return self._returned(event, state)
        return _PASS

    def _of(self, call: CallProposed) -> Sequence[Rule] | None:
        return self._rules.get(call.tool.qualified) if call.method == _TOOL_CALL else None

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        if event.ancestors and (closed := self._closes(event)) is not None:
            return closed
        if (rules := self._of(event)) is None:
            return _PASS
        if self._attaches(event, state):
            return Allow("locks.attached")
        try:
            needs = [_need(one, event, state) for one in _wanted(rules, event)]
        except Missing as missing:
            return _unnamed(event, missing)
        if any(one.held_by or one.ahead is not None for one in needs):
            return _taken(event, needs)
        facts = {"locks": [_said(one) for one in needs]}
        return Allow("locks.taken", facts, (*_writes(event, needs),))

    def _attaches(self, event: CallProposed, state: Snapshot) -> bool:
        """Whether it is not made at all: it gets the result of the same call that is under way, with its lock."""
        process = self._process
        if process is None or not effects.counts(event):
            return False
        sent = effects.entries(state.get(effects.effect_key(event)), at=event.at, unknown_for_s=0.0)
        return any(effects.joins(one, event, process) for one in sent)

    def _closes(self, event: CallProposed) -> Deny | None:
        """An agent that waits for an answer cannot give one."""
        if event.tool.upstream not in self._agents:
            return None
        at = next((n for n, one in enumerate(event.ancestors) if one.upstream == event.tool.upstream), None)
        if at is None:
            return None
        ring = [*reversed(event.ancestors[: at + 1])]
        path = " -> ".join([*(one.tool for one in ring), event.tool.qualified])
        reason = (
            f"{event.tool.exposed} was not called: {event.tool.upstream} waits for this very answer already "
            f"({path}), so that nobody in the circle could go on. Answer with what you have."
        )
        facts = {"cycle": [*(one.tool for one in ring), event.tool.qualified], "calls": [one.decision for one in ring]}
        return Deny("locks.call_cycle", reason, facts)

    def _returned(self, event: CallReturned, state: Snapshot) -> Verdict:
        call = event.proposal
        if (rules := self._of(call)) is None or (not event.late and _goes_on(event)):
            return _PASS
        if event.shared:
            return _PASS  # it waited for another's result and held nothing
        try:
            named = [locks.lock_key(one.name) for one in _wanted(rules, call)]
        except Missing:
            return _PASS  # in mode observe it was sent all the same
        given = tuple(Unlock(key, call.id, locks.KEPT_S) for key in named)
        lost = [locks.name_of(key) for key in named if not _still(state.get(key), call, at=event.at)]
        if not lost or event.late:
            return Allow(writes=given)
        reason = (
            f"While {call.tool.exposed} ran its lock ran out ({_listed(lost)}). Check what it did before you go on."
        )
        return Allow("locks.lost", {"locks": lost}, given, reason)


def _call_of(event: Event) -> CallProposed | None:
    if isinstance(event, CallProposed):
        return event
    return event.proposal if isinstance(event, CallReturned) else None


def _goes_on(event: CallReturned) -> bool:
    """Whether the upstream may still be at work: then the lease has its own time, or ends with what comes late."""
    if event.truth == Truth.TASK or event.goes_on:
        return True
    return event.truth in (Truth.TIMEOUT, Truth.LOST) and event.proposal.tool.effect is not Effect.READ


def _wanted(rules: Sequence[Rule], call: CallProposed) -> tuple[Wanted, ...]:
    return wanted(rules, call.arguments, principal=call.caller.principal, run=call.run)


def _still(lock: Any, call: CallProposed, *, at: float) -> bool:
    owners = (call.id, locks.run_owner(call.run))
    return any(locks.holder(lock, owner, at=at) is not None for owner in owners)


def _need(one: Wanted, event: CallProposed, state: Snapshot) -> Need:
    key, rule, by_run = locks.lock_key(one.name), one.rule, locks.run_owner(event.run)
    lock = state.get(key)
    # What the run holds its calls need not wait for.
    owner = by_run if rule.by_run or locks.holder(lock, by_run, at=event.at) is not None else event.id
    held_by = locks.in_the_way(lock, owner, exclusive=rule.exclusive, at=event.at)
    ahead = None
    if not held_by and not event.ancestors and not state.get(locks.held_key(event.run)):
        # Who holds something, or is waited for, never queues: others may be waiting for just that.
        queue = waits.waiting(state.get(locks.WAITS), at=event.at)
        ahead = waits.ahead_of(event.id, key, queue, exclusive=rule.exclusive)
    fence = locks.next_fence(lock, owner, exclusive=rule.exclusive, at=event.at)
    return Need(one.name, key, owner, rule, fence, held_by, ahead)


def _writes(event: CallProposed, needs: Sequence[Need]) -> Iterator[Write]:
    tool = event.tool.qualified
    for one in needs:
        rule = one.rule
        yield Lock(one.key, one.owner, event.id, event.run, tool, rule.exclusive, one.fence, rule.hold_s, locks.KEPT_S)
        if rule.by_run:
            yield Push(locks.held_key(event.run), one.key, _REMEMBERED, locks.KEPT_S)


def _said(one: Need) -> dict[str, Any]:
    mode, hold = ("exclusive" if one.rule.exclusive else "shared"), ("run" if one.rule.by_run else "call")
    return {"lock": one.name, "mode": mode, "hold": hold, "fence": one.fence}


def _unnamed(event: CallProposed, missing: Missing) -> Deny:
    reason = f"{event.tool.exposed} was not called: it has to be known what it works on, and {missing}."
    return Deny("locks.unnamed", reason, {"why": str(missing)})


def _taken(event: CallProposed, needs: Sequence[Need]) -> Deny:
    """Refused for now; where one can wait for it, that is done before anybody is told."""
    busy = [one for one in needs if one.held_by or one.ahead is not None]
    first = busy[0]
    facts: dict[str, Any] = {"locks": [_said(one) for one in needs], "lock": first.name}
    until = [one.until - event.at for need in busy for one in need.held_by]
    retry_s = round(min(max([*until, _SOON_S]), _LATE_S), 3)
    if first.held_by:
        holder = first.held_by[0]
        facts["holder"] = {"run": holder.run, "call": holder.call, "tool": holder.tool, "since": holder.since}
        who = f"run {holder.run} holds it with {holder.tool}, for {event.at - holder.since:.1f} s now"
        who += ", and keeps it beyond that call" if holder.by_run else ""
    else:
        assert first.ahead is not None
        facts["ahead"] = {"run": first.ahead.run, "call": first.ahead.call, "tool": first.ahead.tool}
        who = f"run {first.ahead.run} waits for it longer"
    reason = (
        f"{event.tool.exposed} was not called: {first.name} is in use ({who}). Do something else first, and call it "
        f"again in {retry_s:g} s."
    )
    wait = Waits(
        {one.key: one.rule.exclusive for one in needs},
        min(one.rule.wait_s for one in needs),
        any(one.ahead for one in needs),
    )
    return Deny("locks.held", reason, facts, retry_after_s=retry_s, waits=wait)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
