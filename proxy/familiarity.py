"""What has worked for a principal before: of each tool the sets of arguments, and whom they named. Pure.

Only digests are kept, in two short tails for each tool. They are pushed, not put, so that calls side by side never
refuse each other, and only where there is something new to remember: a familiar call writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from fuseboard.events import CallProposed
from fuseboard.readings import Reading
from fuseboard.state import Push, Snapshot

KEPT: Final = 64
"""Of each tool, the newest so many sets of arguments, and values. What falls out is new again."""

KEPT_S: Final = 90 * 86400.0
"""What did not occur for so long is new again."""

_REMEMBERED_AGAIN_S: Final = 30 * 86400.0
"""How old a memory gets before its next occurrence renews it."""


class Seen(NamedTuple):
    """Digests, each with when it was last remembered (Unix seconds)."""

    shapes: Mapping[str, float]
    values: Mapping[str, float]

    @classmethod
    def of(cls, call: CallProposed, state: Snapshot) -> Seen:
        shapes, values = keys(call)
        return cls(_tail(state.get(shapes)), _tail(state.get(values)))


NOTHING: Final = Seen({}, {})


def keys(call: CallProposed) -> tuple[str, str]:
    """Where it is kept: ``seen/<principal>/keys/<upstream>__<tool>``, and ``values`` in place of ``keys``."""
    who, tool = call.caller.principal, call.tool.qualified
    return f"seen/{who}/keys/{tool}", f"seen/{who}/values/{tool}"


def remembered(call: CallProposed, reading: Reading, seen: Seen, *, at: float) -> tuple[Push, ...]:
    """What to write once the call has worked."""
    shapes, values = keys(call)
    return (
        *_pushes(shapes, (reading.shape,), seen.shapes, at),
        *_pushes(values, list(reading.identities)[-KEPT:], seen.values, at),
    )


def _pushes(key: str, digests: Iterable[str], known: Mapping[str, float], at: float) -> Iterator[Push]:
    for digest in digests:
        if digest not in known or at - known[digest] > _REMEMBERED_AGAIN_S:
            yield Push(key, [digest, at], KEPT, KEPT_S)


def _tail(items: Any) -> dict[str, float]:
    return dict(items or ())
