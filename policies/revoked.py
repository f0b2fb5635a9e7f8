"""Did this run take in what a person took back since?"""

from __future__ import annotations

from typing import Final

import msgspec

from fuseboard import revocation
from fuseboard.events import CallProposed, CallReturned, Effect, Event
from fuseboard.reviews import RUNNING, RunState, state_key
from fuseboard.revocation import GATE, Mark, Marks, Standing, mark_key, marked
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Hold, Verdict

PAUSED: Final = "run.paused"
"""The review's own rule: a run that is paused for this is paused like any other, and goes on like any other."""

UPSTREAM: Final = "revoked.upstream"
RESULT: Final = "revoked.result"
KNOWN: Final = "revoked.known"

_NOTHING_AGAINST_IT: Final = Allow()
_REMEMBERED: Final = Allow(facts={"memory": True})
_GATE: Final = (GATE,)


class RevokedPolicy:
    """Pauses a run that saw something poisoned at its next call with effects, once for each revocation.

    Reads go on: they make nothing worse, and a person who reviews the run may want them. A result of a server that is
    revoked until further notice is withheld, and a call with effects is not made there at all, since nobody would
    learn what it did. Of a tool that is a memory the record says so: ``fuseboard revoke`` follows the data by that.
    """

    name = "revoked"
    tells_callers_apart = False
    keyed_by_read = False
    judges = (CallProposed, CallReturned)

    def keys(self, event: Event) -> tuple[str, ...]:
        if isinstance(event, CallReturned):
            return _GATE
        if not isinstance(event, CallProposed) or not _has_effect(event):
            return ()
        keys = (GATE, mark_key(event.run), state_key(event.run))
        return keys if event.root is None else (*keys, mark_key(event.root), state_key(event.root))

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallReturned):
            return _NOTHING_AGAINST_IT if GATE not in state.values else _returned(event, state)
        if not isinstance(event, CallProposed):
            return _NOTHING_AGAINST_IT
        said = _proposed(event, state) if _has_effect(event) else None
        return said or (_REMEMBERED if event.tool.memory else _NOTHING_AGAINST_IT)


def _returned(event: CallReturned, state: Snapshot) -> Verdict:
    tool = event.proposal.tool
    found = revocation.at_gate(state.get(GATE), tool.source, tool.origin or tool.qualified)
    if found is None:
        return _NOTHING_AGAINST_IT
    reason = (
        f"{tool.exposed} was called, but its result is withheld: what it returns was {found.said}, and a person "
        "reviews it. Go on without it, or tell the user."
    )
    return Deny(RESULT, reason, _facts(found))


def _proposed(event: CallProposed, state: Snapshot) -> Verdict | None:
    tool = event.tool
    found = revocation.at_gate(state.get(GATE), tool.upstream, tool.qualified)
    if found is not None:
        reason = (
            f"{tool.exposed} was not called: what it returns was {found.said}, so nobody would learn what the call "
            "did. A person reviews it; go on without it, or tell the user."
        )
        return Deny(UPSTREAM, reason, _facts(found))
    now = RunState.of(state.get(state_key(event.run)))
    if now.state != RUNNING:  # the review says so already, and what is new here is asked when it goes on
        return None
    own = revocation.marks(state.get(mark_key(event.run)))
    seen = {**_inherited(event, own, state), **own}
    fresh = {id: mark for id, mark in seen.items() if mark.asked_at is None}
    if fresh:
        return _paused(event, now, own, fresh)
    return Allow(KNOWN, {"revocations": sorted(own), "by": now.by, "at": now.at, "why": now.why}) if own else None


def _inherited(event: CallProposed, own: Marks, state: Snapshot) -> Marks:
    """What the run at the bottom saw and nobody has let pass: what it called may act for it."""
    if event.root is None:
        return {}
    below = revocation.marks(state.get(mark_key(event.root)))
    goes_on = RunState.of(state.get(state_key(event.root))).state == RUNNING
    left = {id: mark for id, mark in below.items() if id not in own and not (goes_on and mark.asked_at is not None)}
    return {id: msgspec.structs.replace(mark, asked_at=None) for id, mark in left.items()}


def _paused(event: CallProposed, now: RunState, own: Marks, fresh: Marks) -> Hold:
    first = min(fresh.values(), key=lambda mark: (mark.since, mark.id))
    why = f"it took in {first.said} [{first.seen}]"
    if len(fresh) > 1:
        why += f", and {len(fresh) - 1} more that were revoked"
    pause = now.paused(at=event.at, by=first.by, why=why)
    asked = {id: msgspec.structs.replace(mark, asked_at=event.at) for id, mark in fresh.items()}
    facts = {"revocations": sorted(fresh), "seen": [_of(mark) for mark in fresh.values()], "by": first.by}
    reason = f"This run is paused, for {why}; a person reviews what it does from here."
    return Hold(PAUSED, reason, facts, (pause.written(event.run), marked(event.run, {**own, **asked})))


def _of(mark: Mark) -> dict[str, object]:
    return {"revocation": mark.id, "result": mark.seen, "since": mark.since}


def _facts(found: Standing) -> dict[str, object]:
    return {"revocation": found.id, "by": found.by}


def _has_effect(event: CallProposed) -> bool:
    return event.tool.effect is not Effect.READ and event.method == "tools/call"
