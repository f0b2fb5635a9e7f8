"""Many questions, no answer: one tool asked in ever other words, or a run that has heard nothing for long. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fuseboard.loops.bearings import ASKS, TEXT
from fuseboard.loops.found import Found, answer_of, shown, told, under_way
from fuseboard.truth import Truth
from fuseboard.windows import Past

_EMPTY: Final = "empty"
_OTHER: Final = 0.5
"""What it counts that another question failed in another way: a little was learnt."""

_UNSURE: Final = 0.5
"""What it counts that a tool had nothing to say of which nobody knows whether it was asked anything."""

TELLING_BYTES: Final = 512
"""An answer that is shorter may be a plain "done", which is as good the fortieth time. A longer one was read before."""


def barren(steps: Sequence[Past], tool: str, *, at: float) -> Found | None:
    """Different calls to one tool that all came back alike empty or failed, since one that did not; ``at`` of them."""
    mark = ""
    weights: dict[str, float] = {}
    calls: list[str] = []
    for step in reversed(steps):
        if step.tool != tool or not told(step):
            continue
        weight = _weight(step)
        if weight == 0 or step.pending:
            break
        this = _mark(step)
        mark = mark or this
        weight *= 1 if this == mark else _OTHER
        weights[step.fingerprint] = max(weight, weights.get(step.fingerprint, 0.0))
        calls.append(step.decision)
    count = sum(weights.values())
    return Found("barren", tool, count, shown(calls[::-1]), mark) if count >= at and len(weights) > 1 else None


def stale(steps: Sequence[Past], tool: str, *, at: float) -> Found | None:
    """Different questions to one tool, all answered by the same text: a long one, or one to words looked for."""
    answer = ""
    asked: dict[str, str] = {}
    for step in reversed(steps):
        if step.tool != tool or not told(step):
            continue
        answer = answer or step.digest
        if step.digest != answer or step.weight or step.pending or not _asks(step):
            break
        if step.result_bytes < TELLING_BYTES and not (step.part == "read" and ASKS in step.names):
            break
        asked[step.fingerprint] = step.decision
    return Found("stale", tool, len(asked), shown([*asked.values()][::-1]), answer) if len(asked) >= at else None


def drought(steps: Sequence[Past], run: str, *, at: float) -> Found | None:
    """A run whose last steps, of whatever tools, all came back empty or failed."""
    calls: list[str] = []
    for step in reversed(steps):
        if not told(step):
            continue
        if _weight(step) < 1 or step.pending:
            break
        calls.append(step.decision)
    return Found("drought", run, len(calls), shown(calls[::-1]), "barren") if len(calls) >= at else None


def novelty(steps: Sequence[Past], run: str, *, few: int, among: int) -> Found | None:
    """``few`` different (call, answer) pairs or less ``among`` the last steps, what is under way left out."""
    pairs: set[tuple[str, str]] = set()
    calls: list[str] = []
    for step in _settled(steps):
        pairs.add((step.fingerprint, answer_of(step)))
        if len(pairs) > few:
            return None
        calls.append(step.decision)
        if len(calls) == among:
            return Found("novelty", run, len(calls), shown(calls[::-1]), f"{len(pairs)} different steps")
    return None


def is_fruitful(step: Past) -> bool:
    """Whether nothing that is looked for here can go on from this step."""
    short = step.result_bytes < TELLING_BYTES and ASKS not in step.names
    return step.weight == 0 and step.truth == Truth.OK and short


def _settled(steps: Sequence[Past]) -> Iterable[Past]:
    return (step for step in reversed(steps) if told(step) and not under_way(step))


def _weight(step: Past) -> float:
    """How surely nothing came of it. A change that returns nothing has done what it was asked to."""
    if step.weight > 0:
        return 1.0
    if step.truth != Truth.EMPTY or step.part in ("change", "note"):
        return 0.0
    return 1.0 if _asks(step) else _UNSURE


def _asks(step: Past) -> bool:
    return step.part in ("read", "run") or TEXT in step.names


def _mark(step: Past) -> str:
    return _EMPTY if step.weight == 0 else answer_of(step)
