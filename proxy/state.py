"""State that outlives an event: what a policy may read, and the writes that it may ask for.

Writes are operations, not values, because values collide: under a compare-and-set of a counter, 200 parallel
calls beneath a limit of 1,000 admitted 16; with ``Add`` and its ceiling all 200 were admitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Add:
    """Add ``amount`` to a number; the store refuses the whole commit where the sum would pass ``ceiling``."""

    key: str
    amount: float
    ceiling: float | None
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Push:
    """Append ``item`` (a JSON value) to a tail that keeps the newest ``keep`` items."""

    key: str
    item: Any
    keep: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Put:
    """Set a JSON value; the store refuses the whole commit where the key changed since the snapshot was read."""

    key: str
    value: Any
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold ``amounts`` (by unit) of the account ``key`` for ``call``, for ``hold_s`` at most.

    The store refuses the whole commit where what is used and held would pass a unit's ceiling. The same call again
    holds nothing more. With ``window_s``, what was used counts for that long only.
    """

    key: str
    call: str
    amounts: Mapping[str, float]
    ceilings: Mapping[str, float]
    hold_s: float
    ttl_s: float
    window_s: float | None = None
    idle_s: float | None = None
    """Given where the account counts active time: how much of a silence between two calls is still activity."""


@dataclass(frozen=True, slots=True)
class Settle:
    """End the hold of ``call`` on the account ``key``: ``amounts`` are what it took. Without a hold nothing happens."""

    key: str
    call: str
    amounts: Mapping[str, float]
    ttl_s: float
    window_s: float | None = None
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """Take one place at a rate of one every ``interval_s``, of which ``burst`` may be taken at once.

    The store refuses the whole commit where it is too early (GCRA, ITU-T I.371).
    """

    key: str
    interval_s: float
    burst: int
    ttl_s: float


Write: TypeAlias = Add | Push | Put | Reserve | Settle | Throttle


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state that a decision was based on, and the version of each key at that moment."""

    values: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    versions: Mapping[str, int] = field(default_factory=lambda: _NOTHING)

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)


EMPTY = Snapshot()
