"""The one function that says what a result really was, and what it leaves behind for those that come after. Pure."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fuseboard import fingerprints, windows
from fuseboard.events import CallProposed, CallReturned, Finding
from fuseboard.ports import Reply
from fuseboard.state import Snapshot, Write
from fuseboard.truth import Truth

_WEIGHTS: Final = {
    Truth.BUSINESS_ERROR: (1.0, "caller"),
    Truth.BAD_ARGUMENTS: (1.0, "caller"),
    Truth.ERROR: (1.0, "upstream"),
    Truth.MALFORMED: (1.0, "upstream"),
    Truth.SCHEMA_VIOLATION: (1.0, "upstream"),
    Truth.TIMEOUT: (1.0, "upstream"),
    Truth.OUTAGE: (1.0, "upstream"),
    Truth.LOST: (1.0, "upstream"),
}


def keys(call: CallProposed) -> tuple[str, ...]:
    """What :func:`found` reads: what is known of the tool."""
    return ()


def found(event: CallReturned, reply: Reply | None, state: Snapshot) -> Finding:
    """What came back. ``reply`` is ``None`` where the upstream did not answer."""
    weight, whose = _WEIGHTS.get(Truth(event.truth), (0.0, ""))
    digest = fingerprints.of_text(reply.raw) if reply is not None else ""
    return Finding(event.truth, weight, whose, digest=digest, skeleton=digest)


def as_judged(event: CallReturned, said: Truth) -> CallReturned:
    """The event with what the policies made of its result: the schema may have found what nobody else could."""
    if event.finding is None or said == event.truth:
        return event
    weight, whose = _WEIGHTS.get(said, (0.0, ""))
    return replace(event, truth=said, finding=replace(event.finding, truth=said, weight=weight, whose=whose))


def learnt(event: CallReturned) -> tuple[Write, ...]:
    """What this result adds to what is known: a step of its run."""
    call = event.proposal
    if call.method != "tools/call" or event.late:
        return ()
    return (windows.pushed(event, ()),)
