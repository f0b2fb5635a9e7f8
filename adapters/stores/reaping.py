"""Calls whose end nobody saw: what they held of the budgets, and how their record is closed. Pure.

With each admission the store writes down until when the call holds what. A hold past its time is charged in full by the
account itself, as soon as anybody reads or writes it; what is left to the reaper is to make that stand in the file, and
to close the record of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from fuseboard.ports import Concluded, Entry, Lapsed, Proposed
from fuseboard.state import Reserve, Settle, Write
from fuseboard.truth import Truth

REAPED_AT_ONCE: Final = 1000
"""Calls that one round of reaping closes; the rest has its turn in the next."""

NO_END: Final = (
    "no end of this call was recorded: its proxy died or could not write. Whether it took effect is unknown, "
    "and what it had reserved was charged in full"
)


class Held(NamedTuple):
    """What one call holds until ``until`` (Unix seconds): amounts and terms by account, as JSON can keep them."""

    until: float
    holds: Mapping[str, Mapping[str, Any]]


class Overdue(NamedTuple):
    """A call without an end whose holds are past their time."""

    call: str
    at: float
    held: Held


def held_of(entry: Entry | None, writes: Sequence[Write], at: float) -> Held | None:
    """What a commit reserves for the call that it admits."""
    if not is_admission(entry):
        return None
    reserves = [write for write in writes if isinstance(write, Reserve)]
    if not reserves:
        return None
    return Held(
        at + max(write.hold_s for write in reserves),
        {
            write.key: {
                "amounts": dict(write.amounts),
                "ttl_s": write.ttl_s,
                "window_s": write.window_s,
            }
            for write in reserves
        },
    )


def is_admission(entry: Entry | None) -> TypeGuard[Proposed]:
    """Whether with this entry a call is let through, and charged: once, however often it is asked for."""
    return isinstance(entry, Proposed) and not entry.final


def parsed(call: str, at: float, until: float, holds: str) -> Overdue:
    return Overdue(call, at, Held(until, json.loads(holds)))


def lapses(overdue: Overdue) -> Iterator[Write]:
    """Writes that make the accounts charge what is past its time. To one that has done so they change nothing.

    They count no active time: nobody did anything.
    """
    for key, hold in overdue.held.holds.items():
        yield Settle(key, overdue.call, {}, hold["ttl_s"], hold["window_s"])


def lapsed(overdue: Overdue) -> Iterator[Lapsed]:
    for key, hold in overdue.held.holds.items():
        yield Lapsed(overdue.call, key, hold["amounts"])


def without_end(overdue: Overdue, *, at: float) -> Concluded:
    """The entry that closes the record."""
    return Concluded(
        id=overdue.call,
        at=at,
        duration_ms=max(0.0, at - overdue.at) * 1000,
        truth=Truth.LOST,
        result_bytes=0,
        result_sha256=None,
        preview=None,
        error=NO_END,
    )
