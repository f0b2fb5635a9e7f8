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


Write: TypeAlias = Add | Push | Put


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state that a decision was based on, and the version of each key at that moment."""

    values: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    versions: Mapping[str, int] = field(default_factory=lambda: _NOTHING)

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)


EMPTY = Snapshot()
