"""Pauses: an upstream that throttles is left alone by everybody, and then not by everybody at once. Pure.

One bounded tail for each upstream, since all its callers share the one credential that the operator gave it. An item is
``[at, until, streak, decision]``: which answer throttled when, until when that lasts, and how many came in a row.

When a pause ends, each run has a moment of its own at which it is let back in, drawn from a digest and spread over as
long as that run usually takes from one call to the next. So all of them together come back no faster than they came
before, whatever that was, and nobody has to know how many they are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from fuseboard import fingerprints, windows
from fuseboard.state import Push

KEPT: Final = 4
"""Items of the tail. Only the longest and the latest say anything."""

SPREAD_S: Final = (1.0, 30.0)
"""The least and the most over which runs are spread."""

UNKNOWN_SPREAD_S: Final = 10.0
"""The spread of a run of which nobody knows how fast it calls."""

FORGOTTEN_S: Final = 60.0
"""How long after a pause another one still counts as following it. Longer than the longest spread."""

_LOOKED_AT: Final = 16
_AT: Final = windows.Past._fields.index("at")
_TOOL: Final = windows.Past._fields.index("tool")


class PausesLike(Protocol):
    """A part of ``retries:``."""

    @property
    def pause_s(self) -> float: ...
    @property
    def longest_pause_s(self) -> float: ...


class Pause(NamedTuple):
    """The latest pause of an upstream, over or not. Times are Unix seconds."""

    at: float
    until: float
    streak: int
    decision: str
    """Of the call whose answer throttled."""


def pause_key(upstream: str) -> str:
    return f"pause/{upstream}"


def latest(tail: Any) -> Pause | None:
    """The one that ends last."""
    return Pause(*max(tail, key=_until)) if tail else None


def throttled(
    upstream: str, before: Pause | None, decision: str, retry_after_s: float | None, limits: PausesLike, *, at: float
) -> Push | None:
    """The write of an upstream that throttles, ``None`` where it says nothing new.

    Without a word from it each pause is twice as long as the one that it follows. What was on its way when a pause
    began is no reason for another.
    """
    streak = 1
    if before is not None and at < before.until + FORGOTTEN_S:
        on_its_way = at < before.until
        streak = before.streak if on_its_way else before.streak + 1
        if on_its_way and retry_after_s is None:
            return None
    asked_s = retry_after_s if retry_after_s is not None else limits.pause_s * 2.0 ** min(streak - 1, 32)
    until = at + min(max(asked_s, 0.0), limits.longest_pause_s)
    if until <= at or (before is not None and until <= before.until):
        return None
    item: Any = [at, until, streak, decision]
    return Push(pause_key(upstream), item, KEPT, until - at + FORGOTTEN_S)


def lets_in_at(pause: Pause, run: str, steps: Any, upstream: str) -> float:
    """From when on the run may call again; ``steps`` is its window as it stands in the store."""
    share = int(fingerprints.of_text(f"{run}\0{pause.decision}".encode())[:8], 16) / 0x1_0000_0000
    return pause.until + share * spread_s(steps, upstream)


def spread_s(steps: Any, upstream: str) -> float:
    """How long the run usually takes from one call at that upstream to the next."""
    prefix = f"{upstream}__"
    times: list[float] = []
    for step in reversed(steps or ()):
        if step[_TOOL].startswith(prefix):
            times.append(step[_AT])
            if len(times) > _LOOKED_AT:
                break
    if len(times) < 3:
        return UNKNOWN_SPREAD_S
    least, most = SPREAD_S
    gaps = [min(max(0.0, later - earlier), most) for later, earlier in pairwise(times)]
    return min(max(sum(gaps) / len(gaps), least), most)


def _until(item: Any) -> float:
    return float(item[1])
