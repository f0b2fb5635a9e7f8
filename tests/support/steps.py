"""Steps of a run, as tests of behaviour write them: what was asked, and what was answered."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from fuseboard.windows import Past

_NUMBERS = count()


def step(
    ask: str = "a",
    answer: str = "x",
    *,
    tool: str = "s__read",
    part: str = "read",
    names: Iterable[str] = (),
    truth: str = "ok",
    weight: float = 0.0,
    skeleton: str | None = None,
    pending: bool = False,
    size_bytes: int = 40,
    decision: str | None = None,
    at: float = 0.0,
) -> Past:
    """``ask`` stands for the fingerprint, ``answer`` for the digest and, unless said otherwise, the skeleton."""
    return Past(
        decision or f"d{next(_NUMBERS)}",
        at,
        tool,
        ask,
        answer,
        answer if skeleton is None else skeleton,
        truth,
        weight,
        "upstream" if weight else "",
        "destructive",
        size_bytes,
        pending,
        tuple(names),
        part,
    )


def change(ask: str, *names: str, truth: str = "ok", weight: float = 0.0, part: str = "change") -> Past:
    """A step that changes what it names."""
    return step(ask, "done", tool="s__edit", part=part, names=names, truth=truth, weight=weight)
