"""Is the tool shown at all? What the operator's ``expose`` leaves out is neither listed nor called."""

from __future__ import annotations

from fuseboard.events import CallProposed, CallReturned, Event, ToolListed
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Verdict


class ExposurePolicy:
    """Denies what ``servers.<alias>.expose`` leaves out, at the call as well as in the list.

    A gateway that asks only at the listing is passed by calling the name unseen.
    """

    name = "exposure"
    judges = (ToolListed, CallProposed)
    tells_callers_apart = False
    keyed_by_call = False

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallReturned) or not event.tool.hidden:
            return Allow()
        return Deny(
            "exposure.hidden",
            f"Unknown tool: {event.tool.exposed}. Use one of the tools in the list.",
            facts={"tool": event.tool.qualified},
        )
