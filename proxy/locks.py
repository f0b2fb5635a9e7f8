"""Locks on what tools work upon: who holds one, for how long, and by which token an upstream tells old from new. Pure.

A lock is a JSON object, so that any store can keep it::

    {"fence": 1790000000123, "alone": 1790000000123, "held": {
        "d-…": {"call": "d-…", "run": "r-…", "tool": "files__write", "alone": true, "fence": 1790000000123,
                "since": 1790000000.1, "until": 1790000060.1}}}

``fence`` is the highest token that was given out, ``alone`` the highest of those who had it alone.

It is a lease: good until its time is over, renewed while the call is under way, and nobody's when its holder has died.
A lease cannot stop an upstream that still works after its end. So each holder gets a **fencing token**, higher than any
given out before for the same thing (Kleppmann, How to do distributed locking): an upstream that remembers the highest
refuses the rest. Tokens begin at the clock's milliseconds, so that they rise even where the lock was forgotten.

The store applies writes by these functions and the policy reads locks by them, so both see the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fuseboard.state import Lock, Unlock

KEPT_S: Final = 7200.0
"""How long a lock is remembered after its last use. No lease is as long."""

LONGEST_S: Final = 3600.0
"""The longest lease."""

WAITS: Final = "waits"
"""The key of the list of the calls that wait for a lock."""

PREFIX: Final = "lock/"

_NOTHING: Final[Mapping[str, Any]] = {}


class Holder(NamedTuple):
    """A lease that is good. ``owner`` is the call that holds it or, where that is a run, ``run:<id>``."""

    owner: str
    call: str
    run: str
    tool: str
    alone: bool
    fence: int
    since: float
    until: float

    @property
    def by_run(self) -> bool:
        return self.owner != self.call


def lock_key(name: str) -> str:
    return PREFIX + name


def name_of(key: str) -> str:
    return key.removeprefix(PREFIX)


def run_owner(run: str) -> str:
    return f"run:{run}"


def held_key(run: str) -> str:
    """The key of what a run has locked beyond single calls, lately: more than it still holds, at times."""
    return f"locked/{run}"


def given_back(run: str, held: Any) -> tuple[Unlock, ...]:
    """The writes that free what a run has locked beyond single calls; ``held`` stands under :func:`held_key`."""
    return tuple(Unlock(key, run_owner(run), KEPT_S) for key in dict.fromkeys(held or ()))


def holders(lock: Any, *, at: float) -> Iterator[Holder]:
    """Whose leases are good at ``at``."""
    for owner, held in (lock or _NOTHING).get("held", _NOTHING).items():
        if at < held["until"]:
            yield Holder(owner, **held)


def holder(lock: Any, owner: str, *, at: float) -> Holder | None:
    held = (lock or _NOTHING).get("held", _NOTHING).get(owner)
    return Holder(owner, **held) if held is not None and at < held["until"] else None


def in_the_way(lock: Any, owner: str, *, exclusive: bool, at: float) -> tuple[Holder, ...]:
    """Those for whose leases ``owner`` has to wait."""
    return tuple(one for one in holders(lock, at=at) if one.owner != owner and (exclusive or one.alone))


def next_fence(lock: Any, owner: str, *, exclusive: bool, at: float) -> int:
    """The token for ``owner``: the one that it has, or a higher one than anybody had."""
    mine = holder(lock, owner, at=at)
    if mine is not None and (mine.alone or not exclusive):
        return mine.fence
    given: int = (lock or _NOTHING).get("fence", 0)
    return max(given + 1, int(at * 1000))


def taken(lock: Any, write: Lock, *, at: float) -> Mapping[str, Any] | None:
    """The lock with this lease, ``None`` where it is refused."""
    lock = lock or _NOTHING
    good = {owner: held for owner, held in lock.get("held", _NOTHING).items() if at < held["until"]}
    mine = good.get(write.owner)
    if write.renews:
        if mine is None:
            return None
        until = max(mine["until"], at + write.hold_s)
        return {**lock, "held": {**good, write.owner: {**mine, "until": until}}}
    if any(write.exclusive or held["alone"] for owner, held in good.items() if owner != write.owner):
        return None
    highest, alones = lock.get("fence", 0), lock.get("alone", 0)
    if mine is not None and (mine["alone"] or not write.exclusive):
        since, token, alone = mine["since"], mine["fence"], mine["alone"]
    else:
        # Sharers may have one token, or come in any order; whoever is alone is after all of them.
        if write.fence <= (highest if write.exclusive else alones):
            return None
        since, token, alone = at, write.fence, write.exclusive
    lease = {
        "call": write.call,
        "run": write.run,
        "tool": write.tool,
        "alone": alone,
        "fence": token,
        "since": since,
        "until": max(at + write.hold_s, mine["until"] if mine is not None else 0.0),
    }
    alones = max(alones, token) if alone else alones
    return {"fence": max(highest, token), "alone": alones, "held": {**good, write.owner: lease}}


def released(lock: Any, write: Unlock) -> Mapping[str, Any]:
    """The lock without this lease."""
    lock = lock or _NOTHING
    return {**lock, "held": {owner: held for owner, held in lock.get("held", _NOTHING).items() if owner != write.owner}}
