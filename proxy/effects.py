"""What became of calls with effects: the outcome ledger, one cell for each call that is the same to a principal. Pure.

MCP has no idempotency key, and a broken stream makes a client send its request anew (facts, mechanisms 0.3). So a call
with effects is written down with the commit that admits it, and taken out when its result has been given to somebody.
What stands there longer is a call of which nobody knows whether it took effect.

A cell is an array of entries (:class:`Sent`): the same call may be on its way for several runs, each of which means it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fuseboard import fingerprints
from fuseboard.events import CallProposed, Effect
from fuseboard.state import Put

GRACE_S: Final = 60.0
"""How long after its deadline a call's end may still be written down."""

LOST: Final = frozenset({"timeout", "lost", "cancelled", "malformed", "oversize"})
"""Truths that leave it open whether the call took effect."""

UNSEEN: Final = "unseen"
"""The truth of a call whose end nobody wrote down: its proxy was killed."""

ATTACHED: Final = "attached_to"
"""The fact that says whose result a call is to wait for instead of being made."""

_TOOL_CALL: Final = "tools/call"


class Sent(NamedTuple):
    """One call. ``until`` is when its end is due (Unix seconds); ``process`` is the proxy that made it.

    ``truth`` is empty while it is under way, one of :data:`LOST` where its end is unknown, and any other where its
    result came after it had been given up. ``exact`` tells it from calls that only mean the same
    (:func:`fuseboard.fingerprints.exact`).
    """

    call: str
    run: str
    at: float
    until: float
    process: str
    truth: str = ""
    exact: str = ""


def counts(call: CallProposed) -> bool:
    """Whether doing it twice may do harm. Only the operator's word says that it does not, never the upstream's hint."""
    tool = call.tool
    return call.method == _TOOL_CALL and tool.effect is not Effect.READ and not tool.idempotent


def effect_key(call: CallProposed) -> str:
    return f"effect/{call.caller.principal}/{call.fingerprint}"


def attached_to(facts: Iterable[Mapping[str, Any]]) -> str | None:
    """The call whose result is waited for, as the policy said so among its ``facts``."""
    return next((str(each[ATTACHED]) for each in facts if ATTACHED in each), None)


def entries(cell: Any, *, at: float, unknown_for_s: float) -> list[Sent]:
    """Those that still say anything, the oldest first."""
    return [sent for sent in (Sent(*item) for item in cell or ()) if at < sent.until + unknown_for_s]


def sent_by(call: CallProposed, process: str) -> Sent:
    exact = fingerprints.exact(call.arguments)
    return Sent(call.id, call.run, call.at, call.at + call.timeout_s + GRACE_S, process, exact=exact)


def under_way(sent: Sent, process: str, *, at: float) -> bool:
    """Whether this very proxy still waits for it. Of another's calls nobody here can tell whether it still lives."""
    return not sent.truth and sent.process == process and at < sent.until


def joins(sent: Sent, call: CallProposed, process: str) -> bool:
    """Whether the result of the one is the result of the other: the same to the letter, and meant by the same run.

    What only looks the same to whoever looks for loops (another request id) is a call that somebody wants made. So is
    what comes in a run that is inferred: another client may have sent it, whom that result is none of the business of.
    """
    return (
        sent.run == call.run
        and not call.inferred
        and under_way(sent, process, at=call.at)
        and sent.exact == fingerprints.exact(call.arguments)
    )


def written(key: str, kept: Sequence[Sent], *, at: float, unknown_for_s: float) -> Put:
    """Nothing is kept of an empty cell."""
    ttl_s = max((sent.until for sent in kept), default=at) - at + unknown_for_s if kept else 0.0
    value: Any = [list(sent) for sent in kept]
    return Put(key, value, max(0.0, ttl_s))
