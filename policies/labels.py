"""What does this result make of the run that gets it?"""

from __future__ import annotations

from typing import Final

from fuseboard.events import CallProposed, CallReturned, Effect, Event, Sensitivity, Trust
from fuseboard.labels import (
    Label,
    Origin,
    bears,
    echo,
    echoes_key,
    echoing,
    holds,
    is_untrusted,
    label_key,
    lineage,
    memory_key,
    remembered,
)
from fuseboard.state import Snapshot, Write
from fuseboard.truth import Truth
from fuseboard.verdicts import Allow, Verdict

RAISED: Final = "labels.raised"

_NOTHING_NEW: Final = Allow()
_UNSAID: Final = frozenset({Truth.CANCELLED, Truth.TIMEOUT, Truth.LOST, Truth.TASK})
"""Words for a call of which no text came back."""


class LabelsPolicy:
    """Raises the label of the run, and of those that it acts for, by what is delivered; it never refuses.

    Written down only where something rises or comes from a new place, so a run that goes on as before pays for one
    look.
    A memory takes the label of the run that writes to it, and gives it to every run of the principal that reads it.
    Where trust is ``mixed`` a text that an untrusted tool gave is known again, whoever gives it later: it stays what it
    is. Where all are alike untrusted that would say nothing, and is not looked at.
    """

    name = "labels"
    judges = (CallReturned,)
    keyed_by_call = False
    tells_callers_apart = False

    def __init__(self, *, mixed: bool = False) -> None:
        self._mixed = mixed

    def keys(self, event: Event) -> tuple[str, ...]:
        if not isinstance(event, CallReturned):
            return ()
        call = event.proposal
        if self._mixed and not call.tool.opaque:
            return (*(_own(call) or map(label_key, lineage(call))), echoes_key(call.caller.principal))
        return _own(call)

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallReturned) or event.truth in _UNSAID:
            return _NOTHING_NEW
        call, tool = event.proposal, event.proposal.tool
        again, writes = self._echoes(event, state) if self._mixed and not tool.opaque else (None, ())
        if again is None:
            if not bears(tool):
                return _NOTHING_NEW
            if not tool.memory and call.root is None and not call.ancestors:
                stored = state.values.get(label_key(call.run))
                if stored is not None and holds(stored["origins"], tool):
                    return Allow(writes=writes) if writes else _NOTHING_NEW
        return _raised(event, Origin.of(tool, call.id, event.at), state, again, writes)

    def _echoes(self, event: CallReturned, state: Snapshot) -> tuple[Origin | None, tuple[Write, ...]]:
        """Who untrusted said this before, and, of one who says it for the first time, that it is known from now on."""
        known = state.get(echoes_key(event.proposal.caller.principal), ())
        again = echo(event, known)
        if not is_untrusted(event.proposal.tool.trust.value):
            return again, ()
        new = echoing(event) if again is None else None
        return None, () if new is None else (new,)


def _own(call: CallProposed) -> tuple[str, ...]:
    """The labels that a result of this call may raise."""
    if not bears(call.tool):
        return ()
    if call.root is None and not call.tool.memory and not call.ancestors:
        return (label_key(call.run),)
    own = tuple(label_key(run) for run in lineage(call))
    return (*own, memory_key(call.caller.principal, call.tool.upstream)) if call.tool.memory else own


def _raised(
    event: CallReturned, origin: Origin, state: Snapshot, again: Origin | None, besides: tuple[Write, ...]
) -> Verdict:
    call, tool = event.proposal, event.proposal.tool
    key = memory_key(call.caller.principal, tool.upstream)
    kept = Label.of(state.get(key)) if tool.memory else Label()
    plain = origin.trust == Trust.TRUSTED and origin.sensitivity is Sensitivity.PUBLIC  # a memory's own words
    new = [*([] if plain else [origin]), *kept.origins.values(), *([] if again is None else [again])]
    writes: list[Write] = [*besides]
    risen: Label | None = None
    for run in lineage(call):
        before = Label.of(state.get(label_key(run)))
        after = before.raised(new)
        if after is not before:
            risen = after if run == call.run else risen
            writes.append(after.written(label_key(run), call.kept_s))
    if tool.memory and tool.effect is not Effect.READ:
        given = kept.joined(Label.of(state.get(label_key(call.run))))
        if given is not kept:
            writes.append(remembered(given, key))
    if not writes:
        return _NOTHING_NEW
    if risen is None:
        return Allow(writes=tuple(writes))
    facts = {"trust": risen.trust, "sensitivity": risen.sensitivity.value, "origins": sorted(risen.origins)}
    return Allow(RAISED, facts, tuple(writes))
