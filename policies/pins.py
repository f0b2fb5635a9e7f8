"""Is the tool still what was accepted? A definition that changed is read by a person before it is used again."""

from __future__ import annotations

from typing import Final, Protocol

from fuseboard.events import CallReturned, Event, Standing, Tool, ToolListed, Unpinned
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Facts, Hold, Verdict

_ACCEPTED: Final = Allow()


class PinsLike(Protocol):
    """The section ``pins`` of the configuration."""

    @property
    def on_change(self) -> str: ...
    @property
    def first_use(self) -> str: ...


class PinsPolicy:
    """Judges by what stands on the tool: it was compared when it was listed (facts, security 3.3).

    What is denied is not shown either: a poisoned description does its work by being read (rug pull), long before
    anything is called. What is held is shown, or nobody would ever be asked.
    """

    name = "pins"
    judges = (ToolListed, Unpinned)  # of calls those alone that anything stands against
    tells_callers_apart = False

    def __init__(self, settings: PinsLike) -> None:
        # Where definitions are accepted at first use, one is new only if there are more than anybody could accept.
        self._by = {
            Standing.NEW: "deny" if settings.first_use == "accept" else settings.first_use,
            Standing.CHANGED: settings.on_change,
            Standing.MISNAMED: "deny",
        }

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallReturned) or (against := event.tool.unpinned) is None:
            return _ACCEPTED
        rule, facts = f"pins.{against.standing}", _facts(event.tool, against)
        match self._by[against.standing]:
            case "deny":
                return Deny(rule, _refusal(event.tool, against), facts)
            case "ask":
                return Hold(rule, _question(event.tool, against), facts)
            case _:
                return Allow(rule, facts)


def _facts(tool: Tool, against: Unpinned) -> Facts:
    return {
        "tool": tool.qualified,
        "standing": str(against.standing),
        "changed": against.what,
        "sha256": against.digest,
    }


def _refusal(tool: Tool, against: Unpinned) -> str:
    then = "A person has to read it first. Use another tool, or tell the user."
    if against.standing is Standing.MISNAMED:
        return f"Unknown {against.word}: this name is not what it looks like ({against.what}). Use one from the list."
    if against.standing is Standing.NEW:
        return f"{tool.exposed} was not called: the definition of this {against.word} was never accepted. {then}"
    return (
        f"{tool.exposed} was not called: the definition of this {against.word} is not the one that was accepted "
        f"({against.what}). {then}"
    )


def _question(tool: Tool, against: Unpinned) -> str:
    if against.standing is Standing.NEW:
        return f"Nobody has accepted the definition of the {against.word} {tool.exposed} yet. Use it this once?"
    return (
        f"The definition of the {against.word} {tool.exposed} changed since it was accepted ({against.what}). "
        "Use it this once?"
    )
