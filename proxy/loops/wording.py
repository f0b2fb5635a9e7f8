"""What a model is told about a loop: what was seen, by which numbers, and what to do instead. Pure."""

from __future__ import annotations

from typing import Final

from fuseboard.events import CallProposed
from fuseboard.loops.found import Found

_SEEN: Final = {
    "repeat": "{tool} gave the same answer to the same call for the {nth} time, and nothing since then bears on it",
    "cycle": "a cycle of {period} calls comes round with the same answers; {tool} is in it for the {nth} time",
    "poll": "{tool} was asked the same {count} times, and its answer is still on the way",
    "barren": "{count} different calls of {tool} in a row {alike}",
    "stale": "{count} different calls of {tool} in a row gave the very same answer",
    "drought": "the last {count} calls of this run all came back empty or failed",
    "novelty": "the last {count} calls of this run were only {alike}, again and again",
}
_INSTEAD: Final = {
    "repeat": "Use what you have, change what you ask, or tell the user what is missing.",
    "cycle": "Leave the circle: use what these calls already said, try another way, or tell the user what is missing.",
    "poll": "Ask less often, do something else meanwhile, or tell the user that it takes longer.",
    "barren": "More of the same will not find it: question what you assume, use another tool, or ask the user.",
    "stale": "Other words will not change it: use what it says, use another tool, or ask the user.",
    "drought": "Stop and look at why nothing works before you call more, or ask the user.",
    "novelty": "Decide with what you know, try what you have not tried, or tell the user where you are stuck.",
}


_NEW_CALLS: Final = ("barren", "stale")
"""Of these the call that is refused was not made before: it only is like those that were."""


def nudged(call: CallProposed, found: Found) -> str:
    """The sentence beside a result."""
    return f"Note: {_seen(call, found)}. {_INSTEAD[found.kind]}"


def denied(call: CallProposed, found: Found, stop: int, retry_after_s: float | None) -> str:
    """The refusal. ``stop`` is the number at which such calls are made no more."""
    wait = "" if retry_after_s is None else f" It may be tried again in {retry_after_s:g} s."
    again = "" if found.kind in _NEW_CALLS else " again"
    seen = f"{_seen(call, found)} (stopped at {stop})"
    return f"{call.tool.exposed} was not called{again}: {seen}. {_INSTEAD[found.kind]}{wait}"


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _seen(call: CallProposed, found: Found) -> str:
    count = int(found.times)
    alike = _nothing(found.alike) if found.kind == "barren" else found.alike
    return _SEEN[found.kind].format(
        tool=call.tool.exposed, nth=ordinal(count), count=count, period=found.period, alike=alike
    )


def _nothing(alike: str) -> str:
    """What kind of nothing came back: the truth, and for an error which one."""
    truth = alike.partition(" ")[0]
    return "came back empty" if truth == "empty" else f"failed alike ({truth.replace('_', ' ')})"
