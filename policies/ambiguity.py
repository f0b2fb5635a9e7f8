"""Is it clear enough what this call does that no person has to look at it first?"""

from __future__ import annotations

from typing import Final

from fuseboard import familiarity, readings
from fuseboard.accounts import standing
from fuseboard.ambiguity import Evidence, Score, score
from fuseboard.budgets import WORDS, RunLimitsLike, ceilings, milestones_key, number, run_key
from fuseboard.cedar.rules import DEFAULT_ID, RuleSet
from fuseboard.cleaning import phrases
from fuseboard.events import CallProposed, CallReturned, Effect, Event
from fuseboard.familiarity import Seen
from fuseboard.reviews import RunState, due, state_key
from fuseboard.state import Snapshot
from fuseboard.stated import NOTHING_STATED
from fuseboard.verdicts import Allow, Hold, Verdict

RULE: Final = "ambiguity"

PRESSED_AT: Final = 0.5
"""The share of a budget from which a run is under pressure."""

_TOLD: Final = 3
_TOOL_CALL: Final = "tools/call"


class AmbiguityPolicy:
    """Holds what scores ``ask_above`` or more (``None``: nothing), and writes down what anything with effects scored.

    Only a call that worked makes its tool, its arguments and whom they name familiar: an agent that tries things until
    one of them is let through learns nothing by it. Reads are not scored, and cost nothing.
    """

    name = "ambiguity"
    judges = (CallProposed, CallReturned)
    tells_callers_apart = False
    keyed_by_read = False

    def __init__(self, ask_above: int | None, run: RunLimitsLike, rules: RuleSet, *, phrased: bool = False) -> None:
        self._phrased = phrased
        self._ask_above = ask_above
        self._ceilings = ceilings(run)
        self._rules = None if rules.empty else rules

    def keys(self, event: Event) -> tuple[str, ...]:
        if isinstance(event, CallProposed) and _asks(event):
            return self.evidence_keys(event)
        if isinstance(event, CallReturned) and _teaches(event):
            return familiarity.keys(event.proposal)
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed) and _asks(event):
            return self._proposed(event, self.scored(event, state))
        if isinstance(event, CallReturned) and _teaches(event):
            call = event.proposal
            reading, seen = readings.read(call.arguments), Seen.of(call, state)
            return Allow(writes=familiarity.remembered(call, reading, seen, at=event.at))
        return Allow()

    def evidence_keys(self, event: CallProposed) -> tuple[str, ...]:
        """What :meth:`scored` reads."""
        keys = (*familiarity.keys(event), run_key(event.run), state_key(event.run), milestones_key(event.run))
        return (*keys, phrases.key(event.run)) if self._phrased else keys

    def scored(self, event: CallProposed, state: Snapshot) -> Score:
        """The score of any call, a read too."""
        return score(
            Evidence(
                event.tool.effect,
                readings.read(event.arguments),
                Seen.of(event, state),
                event.tool.known,
                self._unruled(event),
                self._pressed(event, state),
                int(state.get(phrases.key(event.run), 0)) if self._phrased else 0,
            )
        )

    def _proposed(self, event: CallProposed, found: Score) -> Verdict:
        facts = found.to_json()
        if self._ask_above is None or found.total < self._ask_above:
            return Allow(facts=facts)
        why = "; ".join(f"{one.reason} ({one.points})" for one in found.top(_TOLD))
        reason = f"A person has to approve calling {event.tool.exposed}, {found.total} of 100 points: {why}."
        return Hold(RULE, reason, {**facts, "ask_above": self._ask_above})

    def _unruled(self, event: CallProposed) -> bool:
        """Whether only the default decided. Asked anew, since no policy knows what another said; the rules remember."""
        if self._rules is None:
            return False
        held = self._rules.slice(event.caller, event.method, event.tool)
        return held.decide(held.canonical(event.arguments)).rule == DEFAULT_ID

    def _pressed(self, event: CallProposed, state: Snapshot) -> str | None:
        now = RunState.of(state.get(state_key(event.run)))
        used = standing(state.get(run_key(event.run)), at=event.at).used
        limits = now.raised((event.stated or NOTHING_STATED).over(self._ceilings))
        reached = int(state.get(milestones_key(event.run), 0))
        unit = due(now, used, limits, PRESSED_AT, milestones=reached)
        return None if unit is None else f"{number(used[unit])} of {number(limits[unit])} {WORDS[unit]} used"


def _counts(event: CallProposed) -> bool:
    return event.method == _TOOL_CALL and event.tool.effect is not Effect.READ


def _asks(event: CallProposed) -> bool:
    """The later rounds of a call are the call that was judged, bound to its arguments."""
    return _counts(event) and event.continues is None


def _teaches(event: CallReturned) -> bool:
    """What no listing showed is not remembered: callers could fill the store with names that they make up."""
    return event.truth == "ok" and event.proposal.tool.known and _counts(event.proposal)
