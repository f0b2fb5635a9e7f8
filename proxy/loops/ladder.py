"""What was already done about a loop, so that each reply is firmer than the last. Pure.

Calls that were refused are in no window, so what the next reply needs to know stands in a small cell of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fuseboard.state import Put, Snapshot

ANSWERS: Final = 2
"""How often the earlier answer is given again before the call has to wait."""

WAITS: Final = 2
"""How many waits there are before a person has to look."""

_SUBJECTS: Final = 16
"""Loops that are remembered for one run."""

_LONGEST_S: Final = 600.0


class Rung(NamedTuple):
    """How often a loop was refused, and until when it has to wait; 0 where it does not, or has done so."""

    refused: int = 0
    until: float = 0.0
    at: float = 0.0

    def waited(self, at: float) -> bool:
        """Whether it was told to wait and did: then it may try, for the world may have changed meanwhile."""
        return 0 < self.until <= at

    def next(self, at: float, *, cool_off_s: float) -> Rung:
        """The rung above. Each wait is twice the one before."""
        refused = self.refused + 1
        waits = refused - ANSWERS
        until = at + min(_LONGEST_S, cool_off_s * 2.0 ** (waits - 1)) if waits > 0 else 0.0
        return Rung(refused, until, at)

    @property
    def exhausted(self) -> bool:
        return self.refused >= ANSWERS + WAITS


BOTTOM: Final = Rung()


def ladder_key(run: str) -> str:
    return f"loop/{run}"


def rungs(run: str, state: Snapshot, *, since: float = 0.0) -> dict[str, Rung]:
    """By what is repeated. What was before ``since`` is forgotten: a person looked at the run then."""
    kept: Mapping[str, Any] = state.get(ladder_key(run)) or {}
    return {subject: rung for subject, value in kept.items() if (rung := Rung(*value)).at >= since}


def stands(run: str, before: Mapping[str, Rung], subject: str, rung: Rung, *, ttl_s: float) -> Put:
    """The write that puts a loop on its rung."""
    others = sorted(((name, held) for name, held in before.items() if name != subject), key=lambda item: -item[1].at)
    kept = {subject: list(rung), **{name: list(held) for name, held in others[: _SUBJECTS - 1]}}
    return Put(ladder_key(run), kept, ttl_s)
