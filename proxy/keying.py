"""Which state the policies read for an event, found out once for all calls that are alike. Pure.

Twice a call each policy is asked what it reads, and nearly always it says the same: what follows from the run, who
calls, and the tool. A policy of which that is true says so (``keyed_by_call = False``), one of which it is true where
the tool only reads does, too (``keyed_by_read = False``); the others are asked each time.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from fuseboard.events import CallProposed, CallReturned, Effect, Event
from fuseboard.policy import Policy

_Policies: TypeAlias = tuple[Policy, ...]

_REMEMBERED: Final = 256
"""Some hundreds of bytes each, and a visitor who comes once leaves two."""


class Keying:
    """What ``policies`` read, each key once."""

    def __init__(self, policies: _Policies) -> None:
        self._policies = policies
        self._split = {reads: _alike_and_apart(policies, reads) for reads in (True, False)}
        # Not a memory of calls: the same names follow from the same words, however often they are forgotten.
        self._known: dict[object, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, event: Event) -> tuple[str, ...]:
        late: bool | None
        if type(event) is CallProposed:
            call, late = event, None
        elif type(event) is CallReturned:
            call, late = event.proposal, event.late
        else:
            return _union(self._policies, event, ())
        alike, apart = self._split[reads := call.tool.effect is Effect.READ]
        kind = (*_kind(call), reads, late)
        known = self._known.get(kind)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[kind] = _union(alike, event, ())
        return _union(apart, event, known) if apart else known


def _alike_and_apart(policies: _Policies, reads: bool) -> tuple[_Policies, _Policies]:
    alike = tuple(policy for policy in policies if not _by_call(policy, reads))
    return alike, tuple(policy for policy in policies if policy not in alike)


def _by_call(policy: Policy, reads: bool) -> bool:
    """A policy that says nothing of it is asked each time."""
    by_call: bool = getattr(policy, "keyed_by_call", True)
    return by_call and not (reads and not getattr(policy, "keyed_by_read", True))


def _kind(call: CallProposed) -> tuple[object, ...]:
    """What the keys may follow from where they do not follow from the arguments."""
    above = tuple(one.run for one in call.ancestors) if call.ancestors else ()
    whose = (call.run, call.root, above, call.caller.principal, call.signed)
    first, stated = call.continues is None, call.stated is not None
    return (*whose, call.method, call.tool.upstream, call.tool.name, first, stated)


def _union(policies: _Policies, event: Event, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted: list[str] = []
    for policy in policies:
        wanted += policy.keys(event)
    return tuple(dict.fromkeys((*known, *wanted))) if wanted else known
