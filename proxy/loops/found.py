"""What a detector found, with the calls that show it; and which steps of a window say anything at all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fuseboard.truth import GOOD, Truth
from fuseboard.windows import Past

SHOWN: Final = 12
"""Decisions that are named as evidence."""

_UNTOLD: Final = frozenset((Truth.INPUT_REQUIRED, Truth.TASK, Truth.CANCELLED, Truth.DENIED))
"""Nothing came back yet, or nothing that the agent got: no answer, so not the same answer either."""


class Found(NamedTuple):
    """``times`` is how often, as far as it counts."""

    kind: str
    """``repeat``, ``cycle``, ``poll``, ``barren``, ``stale``, ``drought`` or ``novelty``."""
    subject: str
    """What is repeated: a fingerprint, a tool, or the run."""
    times: float
    calls: tuple[str, ...]
    """The decisions that show it, the oldest first; the latest of them where there are more than fit."""
    alike: str
    """What was alike: the digest of the results, or what kind of nothing came back."""
    period: int = 1

    def facts(self) -> dict[str, Any]:
        said = {"loop": self.kind, "count": round(self.times, 2), "period": self.period, "alike": self.alike}
        return {**said, "calls": list(self.calls)}


def shown(calls: Sequence[str]) -> tuple[str, ...]:
    return tuple(calls[-SHOWN:])


def told(step: Past) -> bool:
    return step.truth not in _UNTOLD


def good(step: Past) -> bool:
    """Whether it did what it was asked to."""
    return step.weight == 0 and step.truth in GOOD


def answer_of(step: Past) -> str:
    """What tells the answer from others. An error that differs from another by its numbers alone is the same error."""
    return step.digest if step.weight == 0 else f"{step.truth} {step.skeleton}"


def under_way(step: Past) -> bool:
    """Whether to ask again is what one does: it says "not yet", or it was a wait."""
    return step.pending or step.part == "wait"
