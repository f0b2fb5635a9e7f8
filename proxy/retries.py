"""Repeats of a failed call: which they are, and what they may draw on. Pure.

In an agent stack the model is already a retry layer, so its repeats are what is counted (facts, mechanisms 1.3). They
are found in the window of the run. What all runs together may repeat at one upstream is a bucket of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from fuseboard.budgets import RateLike
from fuseboard.pauses import PausesLike
from fuseboard.state import Draw
from fuseboard.windows import Past

MOST: Final = 10.0
"""Tokens that deposits may fill a bucket with, so that a long good time buys no storm."""

COUNTED_S: Final = 60.0
"""How long after a withdrawal first attempts are still counted. In quiet times nothing is written for them, and the
bucket holds its floor: it errs on the strict side."""

_CANCELLED: Final = "cancelled"
_THROTTLED: Final = "throttled"
_DECISION, _AT, _FINGERPRINT, _TRUTH, _WEIGHT = (
    Past._fields.index(name) for name in ("decision", "at", "fingerprint", "truth", "weight")
)


class RetriesLike(PausesLike, Protocol):
    """``retries:``."""

    @property
    def per_call(self) -> int: ...
    @property
    def window_s(self) -> float: ...
    @property
    def budget(self) -> float: ...
    @property
    def floor(self) -> RateLike: ...
    @property
    def unknown(self) -> str: ...
    @property
    def unknown_for_s(self) -> float: ...
    @property
    def late_s(self) -> float: ...


def bucket_key(upstream: str) -> str:
    return f"retries/{upstream}"


def withdrawal(upstream: str, limits: RetriesLike) -> Draw:
    """What one repeat takes."""
    return _draw(upstream, 1.0, limits)


def deposit(upstream: str, limits: RetriesLike) -> Draw:
    """What one first attempt puts in."""
    return _draw(upstream, -limits.budget, limits)


def failures(steps: Any, fingerprint: str, *, since: float) -> Sequence[Any]:
    """The steps of a window in which that very call failed, the newest first, up to the last time that it worked.

    A throttled call is neither: it is waited for, and then made once more. One that its client gave up failed: it is
    repeated like any other. Every proposal pays for this look, so it touches nothing but what it needs.
    """
    if not steps:
        return ()
    where = _FINGERPRINT
    same = [step for step in steps if step[where] == fingerprint]
    if not same:
        return ()
    found: list[Any] = []
    for step in reversed(same):
        if step[_AT] < since:
            break
        if step[_WEIGHT] > 0 or step[_TRUTH] == _CANCELLED:
            if not found or found[-1][_DECISION] != step[_DECISION]:  # else they joined one call
                found.append(step)
        elif step[_TRUTH] != _THROTTLED:
            break
    return found


def _draw(upstream: str, amount: float, limits: RetriesLike) -> Draw:
    floor = limits.floor
    tokens = float(floor.burst)
    return Draw(bucket_key(upstream), amount, floor.count / floor.per_s, tokens, max(MOST, tokens), COUNTED_S)
