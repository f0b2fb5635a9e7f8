"""Who wants an answer that comes after its request was given up.

A request is given up by cancelling the task that waits for it, through seats, bridges and links that need to know
nothing of this. What has to be known at the link alone travels in the context of that task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final
from weakref import ReferenceType, ref

from fuseboard.ports import Reply


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Listener:
    """``heard`` is told of the answer, if it comes within ``for_s`` of the cancellation. It must not wait."""

    for_s: float
    heard: Callable[[Reply], None]


# Weak: whatever a call opens on its way (a connection that stays, a timer) keeps the context that it was opened in, and
# would keep the call with its client and its arguments.
_LISTENER: Final[ContextVar[ReferenceType[Listener] | None]] = ContextVar("fuseboard.late", default=None)

MOST: Final = 256
"""Requests of one link that are listened for at once."""


def listen(listener: Listener) -> None:
    """Have the answer to the ``tools/call`` of this task told to ``listener``, which the caller has to hold on to."""
    _LISTENER.set(ref(listener))


def listener() -> Listener | None:
    """Who wants the answer to the call of this task, however late."""
    held = _LISTENER.get()
    return None if held is None else held()
