"""Accounts: what a run, a principal or an upstream has used of its budgets, and what calls under way hold of them.

An account is a JSON object, so that any store can keep it::

    {"used": {"calls": 12}, "lapsed": {"calls": 1}, "held": {"d-…": [1790000060.0, {"calls": 1, "output_bytes": 900}]}}

A call holds what it may need before it is sent and is charged what it took afterwards (reserve, then settle). A hold
past its time belongs to a call whose end nobody saw: it counts as used, in full, and stands under ``lapsed`` as well.
Active time (``time_s``) is counted by the account itself from the times of its writes, since calls side by side would
count one minute twice: in full while any call is under way, and up to ``idle_s`` of a silence.

An account with a window has ``slices`` in place of ``used``: what was used in each fifteenth of the window.

The store applies writes by these functions and policies read accounts by them, so both count alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fuseboard.state import Reserve, Settle, Throttle

TIME: Final = "time_s"

SLICES: Final = 15
"""A window is counted in this many parts; a part counts until its last moment is out, which errs on the strict side."""

Amounts = Mapping[str, float]


class Standing(NamedTuple):
    """What an account comes to at one moment, by unit."""

    used: dict[str, float]
    held: dict[str, float]
    lapsed: dict[str, float]

    def taken(self, unit: str) -> float:
        """Used and held together: what a ceiling is compared with."""
        return self.used.get(unit, 0) + self.held.get(unit, 0)


def standing(account: Any, *, at: float, window_s: float | None = None) -> Standing:
    """Read an account; ``None`` is one that nobody has used."""
    account = _lapse(account or {}, at, window_s)
    used: dict[str, float] = {}
    for amounts in _used(account, at, window_s):
        _add(used, amounts)
    held: dict[str, float] = {}
    for _, amounts in account.get("held", {}).values():
        _add(held, amounts)
    return Standing(used, held, dict(account.get("lapsed", {})))


def reserve(account: Any, write: Reserve, *, at: float) -> dict[str, Any] | None:
    """The account with the hold, ``None`` where a ceiling would be passed. The same call again changes nothing."""
    before = _tick(_lapse(account or {}, at, write.window_s), at, write.idle_s)
    held = before.get("held", {})
    if write.call in held:
        return before
    now = standing(before, at=at, window_s=write.window_s)
    for unit, amount in write.amounts.items():
        ceiling = write.ceilings.get(unit)
        if ceiling is not None and now.taken(unit) + amount > ceiling:
            return None
    return {**before, "held": {**held, write.call: [at + write.hold_s, dict(write.amounts)]}}


def settle(account: Any, write: Settle, *, at: float) -> dict[str, Any]:
    """The account with the hold of this call replaced by what the call took.

    Without a hold nothing changes: it was settled already, or has lapsed and was charged in full.
    """
    before = _tick(_lapse(account or {}, at, write.window_s), at, write.idle_s)
    held = before.get("held", {})
    if write.call not in held:
        return before
    rest = {call: hold for call, hold in held.items() if call != write.call}
    return _charge({**before, "held": rest}, write.amounts, at, write.window_s)


def throttle(arrival: Any, write: Throttle, *, at: float) -> float | None:
    """The next theoretical arrival time, ``None`` where this call comes too early (GCRA, ITU-T I.371)."""
    return None if wait_s(arrival, write, at=at) > 0 else max(arrival or at, at) + write.interval_s


def wait_s(arrival: Any, write: Throttle, *, at: float) -> float:
    """How long until a call is in time, exactly; 0 where it is now."""
    return max(0.0, max(arrival or at, at) - at - (write.burst - 1) * write.interval_s)


def _lapse(account: Mapping[str, Any], at: float, window_s: float | None) -> dict[str, Any]:
    """The account with holds past their time charged in full, each at the time at which it lapsed."""
    held = account.get("held", {})
    late = {call: hold for call, hold in held.items() if hold[0] <= at}
    if not late:
        return dict(account)
    after = {**account, "held": {call: hold for call, hold in held.items() if call not in late}}
    lapsed: dict[str, float] = dict(account.get("lapsed", {}))
    for until, amounts in late.values():
        after = _charge(after, amounts, until, window_s)
        _add(lapsed, amounts)
    return {**after, "lapsed": lapsed}


def _tick(account: dict[str, Any], at: float, idle_s: float | None) -> dict[str, Any]:
    """The account with the time since its last write counted. A clock that went back counts nothing."""
    if idle_s is None:
        return account
    last = account.get("last", at)
    passed_s = max(0.0, at - last)
    if not account.get("held"):
        passed_s = min(passed_s, idle_s)
    used = dict(account.get("used", {}))
    _add(used, {TIME: passed_s})
    return {**account, "used": used, "last": max(last, at)}


def _charge(account: Mapping[str, Any], amounts: Amounts, at: float, window_s: float | None) -> dict[str, Any]:
    if window_s is None:
        used = dict(account.get("used", {}))
        _add(used, amounts)
        return {**account, "used": used}
    width_s = window_s / SLICES
    start = at // width_s * width_s
    slices = [[begun, dict(each)] for begun, each in account.get("slices", []) if _counts(begun, at, window_s)]
    mine = next((each for begun, each in slices if begun == start), None)
    if mine is None:
        slices.append([start, mine := {}])
        slices.sort(key=lambda one: one[0])
    _add(mine, amounts)
    return {**account, "slices": slices}


def _used(account: Mapping[str, Any], at: float, window_s: float | None) -> Iterator[Amounts]:
    if window_s is None:
        yield account.get("used", {})
    else:
        yield from (each for begun, each in account.get("slices", []) if _counts(begun, at, window_s))


def _counts(begun: float, at: float, window_s: float) -> bool:
    """Whether the last moment of a slice is within the window."""
    return begun + window_s / SLICES > at - window_s


def _add(sums: dict[str, float], amounts: Amounts) -> None:
    for unit, amount in amounts.items():
        sums[unit] = sums.get(unit, 0) + amount
