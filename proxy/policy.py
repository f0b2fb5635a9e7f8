"""The shape of every policy: one question, pure."""

from __future__ import annotations

from typing import Protocol

from fuseboard.events import Event
from fuseboard.state import Snapshot
from fuseboard.verdicts import Verdict


class Policy(Protocol):
    """One question about an event.

    A policy reads no clock (the event carries ``at``), does no I/O, keeps nothing between calls and refuses by
    returning ``Deny``, never by raising: the pipeline turns an exception into a ``Deny`` of its own. One that has an
    attribute ``judges`` (a tuple of event types) is not asked about any others. ``keyed_by_call = False`` says that its
    keys are the same for all calls of one tool in one run by one caller, whatever their arguments, and
    ``keyed_by_read = False`` that they are where that tool only reads (see :mod:`fuseboard.keying`): it is asked once.
    """

    @property
    def name(self) -> str:
        """How the ledger and ``_meta["fuseboard/decision"]`` call it."""
        ...

    def keys(self, event: Event) -> tuple[str, ...]:
        """The state that ``decide`` will read, named beforehand so that one read serves the whole pipeline."""
        ...

    def decide(self, event: Event, state: Snapshot) -> Verdict: ...
