"""What does the agent say of its progress, and is that a milestone?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuseboard.budgets import milestones_key
from fuseboard.checkpoint import Note, is_checkpoint
from fuseboard.events import CallReturned, Event
from fuseboard.state import Add, Snapshot, Write
from fuseboard.verdicts import Allow, Verdict

NOTED: Final = "checkpoint.noted"
COUNTED: Final = "checkpoint.counted"


class CheckpointPolicy:
    """Keeps what the agent said last, for whoever reviews the run. Only where the tool is offered is it in the list.

    An agent that wants to go on says that it gets on: its word is a milestone only where the operator takes it for one.
    ``redact`` takes our own secrets out of what is kept.
    """

    name = "checkpoint"
    judges = (CallReturned,)
    tells_callers_apart = False
    keyed_by_call = False

    def __init__(self, *, counts: bool, redact: Callable[[str], str]) -> None:
        self._counts = counts
        self._redact = redact

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallReturned) or event.truth != "ok" or not is_checkpoint(event.proposal):
            return Allow()
        call = event.proposal
        note = Note.read(call.arguments, at=event.at)
        if note is None:  # with `mode: observe` only
            return Allow()
        writes: tuple[Write, ...] = (self._clean(note).written(call.run, ttl_s=call.kept_s),)
        if not self._counts:
            return Allow(NOTED, writes=writes)
        return Allow(COUNTED, writes=(*writes, Add(milestones_key(call.run), 1, None, call.kept_s)))

    def _clean(self, note: Note) -> Note:
        done, left = tuple(map(self._redact, note.done)), tuple(map(self._redact, note.left))
        return Note(note.at, self._redact(note.summary), done, left)
