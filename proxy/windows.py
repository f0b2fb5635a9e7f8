"""The window of a run: what it called lately and what came of it, as everybody who judges behaviour reads it. Pure.

One bounded tail for each run, written with each result (:func:`pushed`) and read with each proposal. A policy that
wants to know whether a call was made before, how often, and what was learnt by it, finds it here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fuseboard.events import CallReturned
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


def window_key(run: str) -> str:
    return f"window/{run}"


def window(run: str, state: Snapshot) -> list[Past]:
    """The steps of a run, the oldest first."""
    return [step if type(step) is Past else Past(*step) for step in state.get(window_key(run), ())]


def pushed(event: CallReturned, names: Sequence[str]) -> Push:
    """The write that adds a result to its run's window."""
    call, found = event.proposal, event.finding
    assert found is not None
    step: Any = Past(
        call.id,
        event.at,
        call.tool.qualified,
        call.fingerprint,
        found.digest,
        found.skeleton,
        found.truth,
        found.weight,
        found.whose,
        str(call.tool.effect),
        event.result_bytes,
        found.pending,
        tuple(names),
    )
    return Push(window_key(call.run), step, KEPT, call.kept_s)
