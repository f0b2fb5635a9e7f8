"""What is known of a tool by what came back before: whether it is ever empty, what its results look like. Pure.

Read from the tail that the health breaker keeps of each tool, whatever the run
(:class:`fuseboard.breakers.tails.Outcome`): one tail, one write a call. Each question
looks at the newest entry first, and mostly needs no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from fuseboard.breakers.tails import Outcome, tool_key
from fuseboard.state import Snapshot
from fuseboard.truth import Truth


def _words(text: str) -> list[str]:
    return text.split()


Tail: TypeAlias = Sequence[Any]

CONSTANT: Final = 5
"""Different questions with one and the same answer, from which on that is none (facts, mechanisms 1.2, J5)."""

PINNED: Final = 8
"""Good results of one shape, from which on another one is a change."""

_LAST: Final = 20
_LEAST: Final = 10
_MOSTLY: Final = 0.8
_DIGEST, _FINGERPRINT, _DECISION = (Outcome._fields.index(name) for name in ("digest", "fingerprint", "decision"))
_TRUTH, _SHAPE, _EMPTY = (Outcome._fields.index(name) for name in ("truth", "shape", "empty"))
_CAME: Final = frozenset({Truth.OK, Truth.EMPTY, Truth.DRIFT, Truth.JUNK})
_COMES_AND_GOES: Final = frozenset(
    _words(
        "continuation cursor endcursor error errors hasmore has_more has_next hint info message more next nextcursor "
        "next_cursor next_page next_page_token nextpage nextpagetoken note notes prev previous truncated warning "
        "warnings"
    )
)


def tail_of(tool: str, state: Snapshot) -> Sequence[Any]:
    """What came of its last calls, the oldest first."""
    tail: Sequence[Any] = state.get(tool_key(tool), ())
    return tail if not tail or len(tail[-1]) > _SHAPE else [entry for entry in tail if len(entry) > _SHAPE]


def hardly_ever_empty(tail: Sequence[Any]) -> bool:
    """Whether nearly all of its last results had something in them, so that an empty one is odd (J3)."""
    came = [entry for entry in tail if entry[_TRUTH] in _CAME][-_LAST:]
    return len(came) >= _LEAST and sum(not entry[_EMPTY] for entry in came) >= _MOSTLY * len(came)


def constant(tail: Sequence[Any], digest: str, fingerprint: str) -> tuple[str, ...]:
    """The calls that asked otherwise and were answered just so, where they are enough; none came between (J5)."""
    if not tail or tail[-1][_DIGEST] != digest:
        return ()  # as nearly always
    asked = {fingerprint: ""}
    for entry in reversed(tail):
        if entry[_DIGEST] != digest:
            break
        asked.setdefault(entry[_FINGERPRINT], entry[_DECISION])
    return tuple(filter(None, asked.values())) if len(asked) >= CONSTANT else ()


def drifted(tail: Sequence[Any], shape: str) -> str:
    """How a shape differs from the one that was always there, empty where it does not or there was none (J6)."""
    if tail and (last := tail[-1])[_SHAPE] == shape and last[_TRUTH] in _CAME and not last[_EMPTY]:
        return ""  # as nearly always
    came = [entry[_SHAPE] for entry in tail[-PINNED:] if entry[_TRUTH] in _CAME and not entry[_EMPTY]]
    if len(came) < PINNED or came[-1] == shape or len(set(came)) > 1:
        return ""
    return _difference(came[-1], shape)


def mostly(tail: Sequence[Any], shape: str) -> bool:
    """Whether most of what came of it had such a shape (``html``, ``list``, or ``json`` with whatever keys)."""
    shapes = [entry[_SHAPE].partition(":")[0] for entry in tail if entry[_TRUTH] in _CAME]
    return len(shapes) >= 3 and sum(one == shape for one in shapes) > len(shapes) / 2


def _difference(before: str, now: str) -> str:
    if not (before == "list" or before.startswith("json:")) or not now:
        return ""
    if not (before.startswith("json:") and now.startswith("json:")):
        return f"{now.partition(':')[0]} instead of {before.partition(':')[0]}"
    was, has = _keys(before), _keys(now)
    lost, new = sorted(_steady(was - has)), sorted(_steady(has - was))
    said = [f"{word} {', '.join(names[:6])}" for word, names in (("without", lost), ("with the new", new)) if names]
    return " and ".join(said)


def _steady(names: set[str]) -> set[str]:
    return {name for name in names if name.lower() not in _COMES_AND_GOES}


def _keys(shape: str) -> set[str]:
    return set(shape.removeprefix("json:").split(","))
