"""Did this very call perhaps take effect already?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fuseboard import effects
from fuseboard.effects import ATTACHED, LOST, UNSEEN, Sent, effect_key
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.retries import RetriesLike
from fuseboard.state import Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Hold, Verdict

UNKNOWN: Final = "effects.unknown"
REPLAYED: Final = "effects.replayed"

_NOTHING_AGAINST_IT: Final = Allow()


class EffectsPolicy:
    """Lets no call with effects be made twice by mistake.

    The same call once more, in the same run, while the first is under way: it waits for the first one's result. After
    the first was given up: where its result came late it is given now, and else nobody knows, so the call is refused or
    a person decides. After a result that was given the same call is a call of its own. ``process`` tells this proxy
    from others with the same store, and from its own earlier lives.
    """

    name = "effects"
    tells_callers_apart = False
    keyed_by_read = False
    judges = (CallProposed, CallReturned)

    def __init__(self, limits: RetriesLike, process: str) -> None:
        self._asks = limits.unknown == "ask"
        self._unknown_for_s = limits.unknown_for_s
        self._process = process

    def keys(self, event: Event) -> tuple[str, ...]:
        call = event if isinstance(event, CallProposed) else getattr(event, "proposal", None)
        return (effect_key(call),) if call is not None and effects.counts(call) else ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed) and effects.counts(event):
            return self._proposed(event, state)
        if isinstance(event, CallReturned) and effects.counts(event.proposal):
            return Allow(writes=self._returned(event, state))
        return _NOTHING_AGAINST_IT

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        known = self._entries(event, state, event.at)
        mine = effects.sent_by(event, self._process)
        if not known:
            return Allow(writes=(self._written(event, (mine,), event.at),))
        flying = [sent for sent in known if effects.under_way(sent, self._process, at=event.at)]
        for sent in flying:
            if effects.joins(sent, event, self._process):
                return Allow(facts={ATTACHED: sent.call})
        for sent in known:
            if sent.truth and sent.truth not in LOST:
                return _replayed(event, sent, (self._written(event, _without(known, sent.call), event.at),))
        lost = [sent for sent in known if sent not in flying]
        if not lost:
            return Allow(writes=(self._written(event, (*known, mine), event.at),))
        told = (_asked if self._asks else _refused)(event, lost, self._unknown_for_s)
        if isinstance(told, Deny):
            return told
        return Hold(told.rule, told.reason, told.facts, granted=(self._written(event, (*flying, mine), event.at),))

    def _returned(self, event: CallReturned, state: Snapshot) -> tuple[Write, ...]:
        call, known = event.proposal, self._entries(event.proposal, state, event.at)
        made = event.shared or call.id
        entry = next((sent for sent in known if sent.call == made), None)
        if event.truth in LOST:
            if event.shared or (entry is not None and entry.truth):
                return ()  # whoever made it says what became of it; and what came late is not lost any more
            lost = (entry or effects.sent_by(call, self._process))._replace(truth=str(event.truth), until=event.at)
            kept = (*_without(known, made), lost)
        elif entry is None:
            return ()
        elif event.late:
            kept = (*_without(known, made), entry._replace(truth=str(event.truth), until=event.at))
        else:
            kept = _without(known, made)
        return (self._written(call, kept, event.at),)

    def _entries(self, call: CallProposed, state: Snapshot, at: float) -> list[Sent]:
        return effects.entries(state.get(effect_key(call)), at=at, unknown_for_s=self._unknown_for_s)

    def _written(self, call: CallProposed, kept: Sequence[Sent], at: float) -> Write:
        return effects.written(effect_key(call), kept, at=at, unknown_for_s=self._unknown_for_s)


def _without(known: Sequence[Sent], call: str) -> tuple[Sent, ...]:
    return tuple(sent for sent in known if sent.call != call)


def _facts(event: CallProposed, known: Sequence[Sent]) -> dict[str, Any]:
    calls = [{"id": one.call, "run": one.run, "at": one.at, "truth": one.truth or UNSEEN} for one in known[-12:]]
    return {"calls": calls, "same_run": all(one.run == event.run for one in known)}


def _replayed(event: CallProposed, sent: Sent, writes: tuple[Write, ...]) -> Deny:
    reason = (
        f"{event.tool.exposed} was not called again: exactly this call was made before ({sent.call}) and did come to "
        f"its end ({sent.truth.replace('_', ' ')}), only after it had been given up. This is its result, where it is "
        "still kept. Go on from there."
    )
    return Deny(
        REPLAYED, reason, {"call": sent.call, "truth": sent.truth, "at": sent.at}, writes=writes, answer=sent.call
    )


def _refused(event: CallProposed, lost: Sequence[Sent], unknown_for_s: float) -> Deny:
    why, first = _why(event, lost[-1]), f"{event.tool.exposed} was not called"
    reason = (
        f"{first}: {why}. Nobody knows whether it took effect, and doing it twice may do harm. Find out first, by a "
        "tool that only reads, whether it was done; go on from there if it was, and tell the user if you cannot tell."
    )
    return Deny(UNKNOWN, reason, {**_facts(event, lost), "unknown_for_s": unknown_for_s})


def _asked(event: CallProposed, lost: Sequence[Sent], unknown_for_s: float) -> Hold:
    reason = f"A person has to decide whether {event.tool.exposed} is called again: {_why(event, lost[-1])}."
    return Hold(UNKNOWN, reason, {**_facts(event, lost), "unknown_for_s": unknown_for_s})


def _why(event: CallProposed, sent: Sent) -> str:
    whose = "" if sent.run == event.run else " in another run"
    ago_s = max(0.0, event.at - sent.at)
    became = {
        "timeout": "was sent and not answered in time",
        "lost": "was sent, and its answer was lost with the connection",
        "cancelled": "was sent and then given up before it was answered",
        "malformed": "was sent, and what came back could not be read",
        "oversize": "was sent, and what came back was too large to be read",
    }.get(sent.truth, "was sent, and its end was never seen")
    return f"exactly this call{whose} ({sent.call}, {ago_s:.0f} s ago) {became}"
