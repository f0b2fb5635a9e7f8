"""State that outlives an event: what a policy may read, and the writes that it may ask for.

Writes are operations, not values, because values collide: under a compare-and-set of a counter, 200 parallel
calls beneath a limit of 1,000 admitted 16; with ``Add`` and its ceiling all 200 were admitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Add(msgspec.Struct, frozen=True):
    """Add ``amount`` to a number; the store refuses the whole commit where the sum would pass ``ceiling``."""

    key: str
    amount: float
    ceiling: float | None
    ttl_s: float


class Push(msgspec.Struct, frozen=True):
    """Append ``item`` (a JSON value) to a tail that keeps the newest ``keep`` items."""

    key: str
    item: Any
    keep: int
    ttl_s: float


class Put(msgspec.Struct, frozen=True):
    """Set a JSON value; the store refuses the whole commit where the key changed since the snapshot was read."""

    key: str
    value: Any
    ttl_s: float


class Reserve(msgspec.Struct, frozen=True):
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
    pace: tuple[float, int] | None = None
    """One call every so many seconds, of which so many may come at once (GCRA); too early is refused as well."""


class Settle(msgspec.Struct, frozen=True):
    """End the hold of ``call`` on the account ``key``: ``amounts`` are what it took. Without a hold nothing happens."""

    key: str
    call: str
    amounts: Mapping[str, float]
    ttl_s: float
    window_s: float | None = None
    idle_s: float | None = None


class Throttle(msgspec.Struct, frozen=True):
    """Take one place at a rate of one every ``interval_s``, of which ``burst`` may be taken at once.

    The store refuses the whole commit where it is too early (GCRA, ITU-T I.371).
    """

    key: str
    interval_s: float
    burst: int
    ttl_s: float


class Draw(msgspec.Struct, frozen=True):
    """Take ``amount`` out of a bucket of tokens; a negative amount puts as much in.

    The bucket fills by ``rate_per_s`` up to ``floor``, by what is put in up to ``most``. The store refuses the whole
    commit where too little is in it. One that nobody has drawn on holds ``floor``.
    """

    key: str
    amount: float
    rate_per_s: float
    floor: float
    most: float
    ttl_s: float


class Lock(msgspec.Struct, frozen=True):
    """Take a lock for ``owner``, a call or a run, for ``hold_s`` at most, together with others who share it, or alone.

    The store refuses the whole commit where another's lease is in the way, or where ``fence`` is no longer higher than
    what was given out before. Whoever holds it already goes on holding it, for ``hold_s`` from now. With ``renews``
    nothing is taken: refused is whoever has lost it.
    """

    key: str
    owner: str
    call: str
    run: str
    tool: str
    exclusive: bool
    fence: int
    hold_s: float
    ttl_s: float
    renews: bool = False


class Unlock(msgspec.Struct, frozen=True):
    """Give a lock back. Who does not hold it changes nothing."""

    key: str
    owner: str
    ttl_s: float


class Expire(msgspec.Struct, frozen=True):
    """Let what ``key`` holds end in ``ttl_s`` at the latest: nobody will come back to it."""

    key: str
    ttl_s: float


Write: TypeAlias = Add | Push | Put | Reserve | Settle | Throttle | Draw | Lock | Unlock | Expire


class Snapshot(msgspec.Struct, frozen=True):
    """The state that a decision was based on, and the version of each key at that moment."""

    values: Mapping[str, Any] = msgspec.field(default_factory=lambda: _NOTHING)
    versions: Mapping[str, int] = msgspec.field(default_factory=lambda: _NOTHING)

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)


EMPTY = Snapshot()
