"""The window of a run: what it called lately and what came of it, as everybody who judges behaviour reads it. Pure.

One bounded tail for each run, written with each result (:func:`pushed`) and read with each proposal. A policy that
wants to know whether a call was made before, how often, and what was learnt by it, finds it here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fuseboard.events import CallReturned
from fuseboard.loops import bearings
from fuseboard.state import Push, Snapshot

KEPT: Final = 64
"""Steps that a window holds. Detectors look at no more, so a judgement costs the same after 100,000 calls."""


class Past(NamedTuple):
    """One step of a run. Stands in the store as an array, in this order."""

    decision: str
    at: float
    tool: str
    """``<upstream>__<name>``."""
    fingerprint: str
    digest: str
    skeleton: str
    truth: str
    weight: float
    whose: str
    effect: str
    result_bytes: int
    pending: bool
    names: tuple[str, ...]
    """Digests of what the arguments name (paths with the folders above them, ids): what the call is about."""
    part: str = ""
    """``read``, ``run``, ``change``, ``note`` or ``act``: its part, see :mod:`fuseboard.loops.bearings`."""


def window_key(run: str) -> str:
    return f"window/{run}"


def window(run: str, state: Snapshot) -> list[Past]:
    """The steps of a run, the oldest first."""
    return [step if type(step) is Past else Past(*step) for step in state.get(window_key(run), ())]


def step_of(event: CallReturned, names: Sequence[str] = ()) -> Past:
    """A result as a step of its run. ``names`` are added to those that its arguments name."""
    call, found = event.proposal, event.finding
    assert found is not None
    bearing = bearings.of_call(call.tool, call.arguments)
    return Past(
        event.shared or call.id,  # several that joined one call upstream are one thing that happened
        event.at,
        call.tool.qualified,
        call.fingerprint,
        found.digest,
        found.skeleton,
        str(found.truth),  # its word alone: memory keeps what it is given, and a file would give back a plain text
        found.weight,
        found.whose,
        str(call.tool.effect),
        event.result_bytes,
        found.pending,
        (*bearing.names, *names),
        bearing.part,
    )


def pushed(event: CallReturned, names: Sequence[str] = ()) -> Push:
    """The write that adds a result to its run's window."""
    step: Any = tuple(step_of(event, names))  # a plain one is read twice as fast, and every call looks through them
    return Push(window_key(event.proposal.run), step, KEPT, event.proposal.kept_s)
