"""What the model reads when a breaker refuses: what failed, what shows it, when to try again, what is left. Pure.

Of a breaker that others opened too, only words of our own are told: no id and no text of another run.
"""

from __future__ import annotations

from typing import Final

from fuseboard.breakers.machine import Breaker
from fuseboard.breakers.strikes import Strike, weight
from fuseboard.budgets import number
from fuseboard.events import CallProposed

RUN: Final = "run"
TOOL: Final = "tool"
UPSTREAM: Final = "upstream"

LINES: Final = 3
"""Strikes that are told."""

_LEFT: Final = {
    RUN: "This concerns {tool} alone: go on without it, or tell the user.",
    TOOL: "This concerns {tool} alone, for all who call it: go on without it, or tell the user.",
    UPSTREAM: "No tool of {upstream} can be called until then; other servers are not concerned. Go on without it, "
    "or tell the user.",
}
_WHAT: Final = {
    RUN: "it keeps failing in this run",
    TOOL: "it keeps failing, and not in this run alone",
    UPSTREAM: "{upstream} keeps failing, and not in this run alone",
}


def refusal(scope: str, event: CallProposed, breaker: Breaker, wait_s: float) -> str:
    """It is open."""
    if breaker.by:
        why = f" ({breaker.why})" if breaker.why else ""
        head = f"an operator took {_subject(scope, event)} off the board{why}."
        again = f"Call it again in {_span(wait_s)} at the earliest."
    else:
        head = "\n".join([_said(_WHAT[scope], event) + ":", *evidence(scope, breaker.strikes, event.at)])
        again = f"\nCall it again in {_span(wait_s)}: then one call is let through to see whether it works again."
    return f"{event.tool.exposed} was not called: {head} {again} {_said(_LEFT[scope], event)}".replace(" \n", "\n")


def busy(scope: str, event: CallProposed) -> str:
    """The one call that is let through is under way."""
    return (
        f"{event.tool.exposed} was not called: {_said(_WHAT[scope], event)}, and one call is under way to see whether "
        f"it works again. Wait for what comes of that. {_said(_LEFT[scope], event)}"
    )


def last_chance(event: CallProposed, strikes: tuple[Strike, ...], limit: float) -> str:
    """One more strike opens it, so no two calls may fail at once."""
    lines = "\n".join(evidence(RUN, strikes, event.at))
    return (
        f"{event.tool.exposed} was not called: it has {number(weight(strikes))} of {number(limit)} strikes in this run "
        f"since its last good result, and one more call of it is under way:\n{lines}\nWait for what comes of that, and "
        "call it once at a time."
    )


def evidence(scope: str, strikes: tuple[Strike, ...], at: float) -> list[str]:
    """The newest strikes, a line each."""
    return [_line(scope, strike, at) for strike in strikes[-LINES:]]


def _line(scope: str, strike: Strike, at: float) -> str:
    id = f" [{strike.decision}]" if scope == RUN else ""
    return f"- {strike.truth.replace('_', ' ')}, {_span(max(0.0, at - strike.at))} ago{id}"


def _subject(scope: str, event: CallProposed) -> str:
    return event.tool.upstream if scope == UPSTREAM else "it"


def _said(text: str, event: CallProposed) -> str:
    return text.format(tool=event.tool.exposed, upstream=event.tool.upstream)


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
