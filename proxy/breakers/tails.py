"""The tails that the shared breakers are judged by: of each tool, and of each upstream. Pure.

That of an upstream gets an entry only where it says something new: one that works leaves one for each of its tools
every few minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fuseboard.events import CallReturned
from fuseboard.state import Push
from fuseboard.truth import Truth

KEPT_S: Final = 14 * 86400.0
"""How long what is shared is remembered after its last change."""

OUTCOMES: Final = 32
"""Entries in the tail of a tool."""

SIGNS: Final = 64
"""Entries in the tail of an upstream."""

HARD: Final = 1.0
"""What weighs less is a suspicion: that may take a tool from the run that has it, but not from all."""

TRANSPORT: Final = frozenset({Truth.OUTAGE, Truth.TIMEOUT, Truth.LOST})
"""Nothing got through, or nothing came back."""


class Outcome(NamedTuple):
    """One entry in the tail of a tool over all runs. Stands in the store as an array, in this order."""

    at: float
    run: str
    fingerprint: str
    digest: str
    truth: str
    weight: float
    whose: str
    empty: bool
    retry_after_s: float | None
    decision: str
    shape: str = ""
    """Of the result, see :class:`fuseboard.events.Finding`."""


_HARM: Final = Outcome._fields.index("weight")
_WHOSE: Final = Outcome._fields.index("whose")


class Sign(NamedTuple):
    """One entry in the tail of an upstream. Stands in the store as an array, in this order."""

    at: float
    run: str
    tool: str
    decision: str
    truth: str


def outcome(event: CallReturned) -> Outcome:
    call, found = event.proposal, event.finding
    assert found is not None
    empty, truth = found.truth == Truth.EMPTY, str(found.truth)
    return Outcome(
        event.at,
        call.run,
        call.fingerprint,
        found.digest,
        truth,
        found.weight,
        found.whose,
        empty,
        found.retry_after_s,
        call.id,
        found.shape,
    )


def outcome_pushed(event: CallReturned) -> Push:
    """The write that adds a result to the tail of its tool."""
    item: Any = tuple(outcome(event))  # a plain one is read twice as fast
    return Push(tool_key(event.proposal.tool.qualified), item, OUTCOMES, KEPT_S)


def fails(tail: Sequence[Any]) -> bool:
    """Whether the newest result speaks against the tool. Without that nothing new can have tripped its breaker."""
    return bool(tail) and tail[-1][_HARM] >= HARD and tail[-1][_WHOSE] == "upstream"


def tool_key(tool: str) -> str:
    return f"tool/{tool}"


def active(signs: Sequence[Any], *, at: float, within_s: float) -> set[str]:
    """The tools of an upstream that were called lately, as far as its tail goes back."""
    return {sign[2] for sign in signs if sign[0] > at - within_s}


def signs_key(upstream: str) -> str:
    return f"breakers/signs/{upstream}"


def sign_of(event: CallReturned) -> Sign:
    call = event.proposal
    return Sign(event.at, call.run, call.tool.qualified, call.id, str(event.truth))


def sign(event: CallReturned, signs: Sequence[Any], within_s: float) -> Push | None:
    """The write that adds a result to the tail of its upstream, where it says something new."""
    call, truth = event.proposal, event.truth
    if truth == Truth.CANCELLED or _cut_short(event):
        return None
    if not (truth in TRANSPORT or _is_news(call.tool.qualified, event.at, signs, within_s)):
        return None
    item: Any = sign_of(event)
    return Push(signs_key(call.tool.upstream), item, SIGNS, KEPT_S)


def _cut_short(event: CallReturned) -> bool:
    """Whether it was given up before its upstream had had its time."""
    return event.truth == Truth.TIMEOUT and event.finding is not None and event.finding.whose == "caller"


def _is_news(tool: str, at: float, signs: Sequence[Any], within_s: float) -> bool:
    """The first answer after silence, or the first in a while of this tool."""
    if signs and signs[-1][4] in TRANSPORT:
        return True
    for seen in reversed(signs):
        if seen[0] <= at - within_s / 2:
            return True
        if seen[2] == tool:
            return False
    return True
