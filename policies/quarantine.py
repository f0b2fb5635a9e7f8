"""Does a person have to look at this result before the model does?"""

from __future__ import annotations

from typing import Final

from fuseboard.events import CallReturned, Event
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Verdict

RULE: Final = "quarantine.pattern"

_PASS: Final = Allow()


class QuarantinePolicy:
    """By the operator's own patterns alone (``servers.*.tools.*.quarantine``): nobody here guesses at meaning."""

    name = "quarantine"
    tells_callers_apart = False
    judges = (CallReturned,)

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallReturned) or not event.suspect:
            return _PASS
        # which pattern it was is for the record: whoever wrote the result might read the reason, too
        reason = (
            f"{event.proposal.tool.exposed} was called, and its result is withheld: it says something that a person "
            "has to look at first."
        )
        return Deny(RULE, reason, {"pattern": event.suspect})
