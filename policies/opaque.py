"""Does every handle among the arguments stand for something here?"""

from __future__ import annotations

from typing import Final

from fuseboard.events import CallProposed, Event
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Verdict

RULE: Final = "opaque.unknown"

_PASS: Final = Allow()


class OpaquePolicy:
    """Refuses what would go out as a mere name. What a handle stands for was put in its place before: whoever judges
    after this one judges that.
    """

    name = "opaque"
    tells_callers_apart = False
    judges = (CallProposed,)

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallProposed) or not event.handles:
            return _PASS
        facts = {
            "handles": [
                {"path": one.path, "handle": one.handle, "from": one.decision or None, "fault": one.fault or None}
                for one in event.handles
            ]
        }
        if faults := [one for one in event.handles if one.fault]:
            lines = [f"- {one.path}: {one.handle} {one.fault}" for one in faults]
            head = f"{event.tool.exposed} was not called: {len(faults)} of its arguments are handles of nothing here."
            then = "Make the call that gave the handle once more, and use the new one."
            return Deny(RULE, "\n".join((head, *lines, then)), facts)
        return Allow(None, facts)
