"""Accounts: what a run, a principal or an upstream has used of its budgets, and what calls under way hold of them.

An account is a JSON object, so that any store can keep it::

    {"used": {"calls": 12}, "holding": {"calls": 1, "output_bytes": 900},
     "held": {"d-…": [1790000060.0, {"calls": 1, "output_bytes": 900}]}, "lapses": 1790000060.0, "lapsed": {"calls": 1}}

A call holds what it may need before it is sent and is charged what it took afterwards (reserve, then settle). A hold
past its time belongs to a call whose end nobody saw: it counts as used, in full, and stands under ``lapsed`` as well.
``holding`` is the sum of what is held, ``lapses`` a time before which no hold is past its own: both are asked for with
every call.

Active time (``time_s``) is counted by the account itself from the times of its writes, since calls side by side would
count one minute twice: in full while any call is under way, and up to ``idle_s`` of a silence.

An account with a window has ``slices`` too: what was used in each fifteenth of the window, ``used`` being their sum.

The store applies writes by these functions and policies read accounts by them, so both count alike. No account is
changed in place: snapshots and the store's writer still hold the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fuseboard.state import Reserve, Settle, Throttle

TIME: Final = "time_s"

SLICES: Final = 15
"""A window is counted in this many parts; a part counts until its last moment is out, which errs on the strict side."""

SLOTS: Final = "slots:"
"""How units begin that are only ever held: calls under way."""

Amounts = Mapping[str, float]

_NOTHING: Final[Mapping[str, Any]] = {}


class Standing(NamedTuple):
    """What an account comes to at one moment, by unit. Not to be changed."""

    used: Mapping[str, float]
    held: Mapping[str, float]
    lapsed: Mapping[str, float]

    def taken(self, unit: str) -> float:
        """Used and held together: what a ceiling is compared with."""
        return self.used.get(unit, 0) + self.held.get(unit, 0)


def standing(account: Any, *, at: float, window_s: float | None = None) -> Standing:
    """Read an account; ``None`` is one that nobody has used."""
    now = _current(account or _NOTHING, at, window_s)
    return Standing(now.get("used", _NOTHING), now.get("holding", _NOTHING), now.get("lapsed", _NOTHING))


def reserve(account: Any, write: Reserve, *, at: float) -> Mapping[str, Any] | None:
    """The account with the hold, ``None`` where a ceiling would be passed. The same call again changes nothing."""
    now = _current(account or _NOTHING, at, write.window_s)
    held = now.get("held", _NOTHING)
    if write.call in held:
        return now
    used, ceilings = now.get("used", _NOTHING), write.ceilings
    holding = {**now.get("holding", _NOTHING)}
    for unit, amount in write.amounts.items():
        holding[unit] = wanted = holding.get(unit, 0) + amount
        if unit in ceilings and used.get(unit, 0) + wanted > ceilings[unit]:
            return None
    until = at + write.hold_s
    after = {**now, "holding": holding, "held": {**held, write.call: (until, write.amounts)}}
    if write.pace is not None:
        if pace_wait_s(now, write.pace, at=at) > 0:
            return None
        arrival = now.get("arrival", at)
        after["arrival"] = (arrival if arrival > at else at) + write.pace[0]
    if held:
        lapses = now.get("lapses", until)
        after["lapses"] = lapses if lapses < until else until
        return after
    after["lapses"] = until
    # While anything is held active time goes on by itself, and is counted when something ends.
    if write.idle_s is None:
        return after
    return _charge(after, {TIME: _passed_s(now, after, at, write.idle_s)}, at, write.window_s)


def settle(account: Any, write: Settle, *, at: float) -> Mapping[str, Any]:
    """The account with the hold of this call replaced by what the call took.

    Without a hold nothing changes: it was settled already, or has lapsed and was charged in full.
    """
    now = _current(account or _NOTHING, at, write.window_s)
    held = now.get("held", _NOTHING)
    if write.call not in held:
        return now
    rest = {**held}
    _, amounts = rest.pop(write.call)
    after = {**now, "held": rest, "holding": _difference(now["holding"], amounts) if rest else {}}
    if not rest:
        after.pop("lapses", None)
    took = write.amounts
    if write.idle_s is not None:
        took = {**took, TIME: _passed_s(now, after, at, write.idle_s)}
    return _charge(after, took, at, write.window_s)


def stood(account: Any, *, since: float, at: float) -> Mapping[str, Any] | None:
    """The account of a run that waited for a person from ``since`` until ``at``: its clock did not go meanwhile.

    ``None`` where there is nothing to change: it has none, or a call is under way, which goes on through any pause.
    """
    if not account or account.get("held") or "last" not in account:
        return None
    return {**account, "last": min(at, account["last"] + max(0.0, at - since))}


def throttle(arrival: Any, write: Throttle, *, at: float) -> float | None:
    """The next theoretical arrival time, ``None`` where this call comes too early (GCRA, ITU-T I.371)."""
    return None if wait_s(arrival, write, at=at) > 0 else max(arrival or at, at) + write.interval_s


def wait_s(arrival: Any, write: Throttle, *, at: float) -> float:
    """How long until a call is in time, exactly; 0 where it is now."""
    return _early_s(arrival or at, write.interval_s, write.burst, at)


def pace_wait_s(account: Any, pace: tuple[float, int], *, at: float) -> float:
    """How long until the account's own pace (``interval_s``, ``burst``) lets a call through; 0 where it does now."""
    arrival = (account or _NOTHING).get("arrival", at)
    return _early_s(arrival, pace[0], pace[1], at) if arrival > at else 0.0


def frees_s(account: Any, window_s: float, *, at: float) -> float:
    """How long until some of what was used leaves the window; the whole window where nothing was."""
    slices = (account or _NOTHING).get("slices") or ((at, _NOTHING),)
    return max(0.0, slices[0][0] + window_s / SLICES + window_s - at)


def _early_s(arrival: float, interval_s: float, burst: int, at: float) -> float:
    return max(0.0, max(arrival, at) - at - (burst - 1) * interval_s)


def _current(account: Mapping[str, Any], at: float, window_s: float | None) -> Mapping[str, Any]:
    """The account with holds past their time charged in full, each at the time at which it lapsed, and with what has
    left its window forgotten.
    """
    if account.get("lapses", at) <= at and (held := account.get("held")):
        account = _lapsed(account, [(call, *hold) for call, hold in held.items() if hold[0] <= at], window_s)
    if window_s is not None and (slices := account.get("slices")) and not _counts(slices[0][0], at, window_s):
        slices = [one for one in slices if _counts(one[0], at, window_s)]
        used: dict[str, float] = {}
        for _, amounts in slices:
            used = _sum(used, amounts)
        account = {**account, "slices": slices, "used": used}
    return account


def _lapsed(
    account: Mapping[str, Any], late: list[tuple[str, float, Amounts]], window_s: float | None
) -> Mapping[str, Any]:
    held = dict(account["held"])
    holding, lapsed, after = account["holding"], account.get("lapsed", _NOTHING), dict(account)
    for call, until, amounts in late:
        del held[call]
        holding = _difference(holding, amounts)
        # A slot is not used up: whoever held it is gone.
        spent = {unit: amount for unit, amount in amounts.items() if not unit.startswith(SLOTS)}
        lapsed = _sum(lapsed, spent)
        _charge(after, spent, until, window_s)
    after |= {"held": held, "holding": holding if held else {}}
    if late:
        after["lapsed"] = lapsed
    if held:
        after["lapses"] = min(until for until, _ in held.values())
    return after


def _passed_s(now: Mapping[str, Any], after: dict[str, Any], at: float, idle_s: float) -> float:
    """The active time since it was counted last. A clock that went back counts nothing."""
    last: float = now.get("last", at)
    if at <= last:
        after["last"] = last
        return 0.0
    after["last"] = at
    return at - last if now.get("held") else min(at - last, idle_s)


def _charge(after: dict[str, Any], amounts: Amounts, at: float, window_s: float | None) -> dict[str, Any]:
    """Count as used, in an account that nobody else has seen yet."""
    after["used"] = _sum(after.get("used", _NOTHING), amounts)
    if window_s is not None:
        width_s = window_s / SLICES
        start = at // width_s * width_s
        slices = list(after.get("slices", ()))
        if slices and slices[-1][0] == start:
            slices[-1] = (start, _sum(slices[-1][1], amounts))
        else:  # a hold that lapsed is charged in the past
            earlier = next((each for begun, each in slices if begun == start), _NOTHING)
            slices = sorted([*(one for one in slices if one[0] != start), (start, _sum(earlier, amounts))], key=_start)
        after["slices"] = slices
    return after


def _start(slice_: tuple[float, Amounts]) -> float:
    return slice_[0]


def _counts(begun: float, at: float, window_s: float) -> bool:
    """Whether the last moment of a slice is within the window."""
    return begun + window_s / SLICES > at - window_s


def _sum(these: Amounts, those: Amounts) -> dict[str, float]:
    total = {**these}
    for unit, amount in those.items():
        total[unit] = total.get(unit, 0) + amount
    return total


def _difference(these: Amounts, those: Amounts) -> dict[str, float]:
    total = {**these}
    for unit in those:
        total[unit] = total.get(unit, 0) - those[unit]
    return total
