"""Does a person have to look at this run before it goes on?"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, Protocol

from fuseboard.accounts import standing
from fuseboard.budgets import WORDS, RunLimitsLike, ceilings, milestones_key, number, run_key
from fuseboard.checkpoint import is_checkpoint
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.reviews import PAUSED, STOPPED, RunState, due, state_key
from fuseboard.state import Add, Snapshot
from fuseboard.stated import NOTHING_STATED
from fuseboard.truth import meets
from fuseboard.verdicts import Allow, Deny, Hold, Verdict

STOPPED_RULE: Final = "run.stopped"
PAUSED_RULE: Final = "run.paused"


class Goal(Protocol):
    """One of ``milestones:``."""

    @property
    def tool(self) -> str: ...
    @property
    def truth(self) -> str: ...


class ReviewPolicy:
    """Stops what is stopped, holds what is paused, and pauses a run that used much and reached nothing.

    A milestone is an observable result: a tool of ``milestones:`` that returned what was asked of it. Our own
    ``checkpoint`` tool is none, whatever a glob covers, where it is ``offered``: it returns what it was told.
    """

    name = "review"
    tells_callers_apart = False
    keyed_by_call = False

    def __init__(self, run: RunLimitsLike, milestones: Sequence[Goal], *, offered: bool = False) -> None:
        self._ceilings = ceilings(run)
        self._share = run.pause_at
        self._milestones = tuple(milestones)
        self.judges = (CallProposed, CallReturned) if milestones else (CallProposed,)
        self._offered = offered

    def keys(self, event: Event) -> tuple[str, ...]:
        if not isinstance(event, CallProposed):
            return ()
        if self._share is None and event.stated is None:
            return (state_key(event.run),)
        return (state_key(event.run), run_key(event.run), milestones_key(event.run))

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return self._proposed(event, state)
        if isinstance(event, CallReturned) and self._reached(event):
            return Allow(
                rule="milestone",
                facts={"milestone": event.proposal.tool.qualified},
                writes=(Add(milestones_key(event.proposal.run), 1, None, event.proposal.kept_s),),
            )
        return Allow()

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        now = RunState.of(state.get(state_key(event.run)))
        if now.state == STOPPED:
            return Deny(STOPPED_RULE, _stopped(event, now), {"by": now.by, "why": now.why})
        if now.state == PAUSED:
            return Hold(PAUSED_RULE, f"This run is paused for review: {now.why}.", {"by": now.by, "why": now.why})
        stated = event.stated or NOTHING_STATED
        share = stated.pause_at or self._share
        if share is None or event.continues is not None:
            return Allow()
        account = standing(state.get(run_key(event.run)), at=event.at)
        limits = now.raised(stated.over(self._ceilings))
        reached = int(state.get(milestones_key(event.run), 0))
        unit = due(now, account.used, limits, share, milestones=reached)
        if unit is None:
            return Allow()
        used, limit = account.used[unit], limits[unit]
        why = f"{number(used)} of {number(limit)} {WORDS[unit]} used and no milestone reached"
        facts = {"unit": unit, "used": used, "limit": limit, "share": share, "milestones": reached}
        pause = now.paused(at=event.at, by="fuseboard", why=why)
        return Hold(PAUSED_RULE, f"This run is paused for review: {why}.", facts, (pause.written(event.run),))

    def _reached(self, event: CallReturned) -> bool:
        if self._offered and is_checkpoint(event.proposal):
            return False
        name = event.proposal.tool.qualified
        return any(meets(event.truth, goal.truth) and fnmatchcase(name, goal.tool) for goal in self._milestones)


def _stopped(event: CallProposed, now: RunState) -> str:
    why = f": {now.why}" if now.why else ""
    return (
        f"{event.tool.exposed} was not called: {now.by or 'a person'} stopped this run{why}. "
        "Do not call any more tools; tell the user."
    )
