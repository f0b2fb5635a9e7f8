"""The one pipeline: which policies judge, in which order, and how their verdicts become one outcome. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from fuseboard.budgets import PrincipalLimitsLike, RunLimitsLike, allowance
from fuseboard.cedar.rules import RuleSet
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.policies.ambiguity import AmbiguityPolicy
from fuseboard.policies.budgets import BudgetPolicy
from fuseboard.policies.exposure import ExposurePolicy
from fuseboard.policies.permissions import PermissionsPolicy
from fuseboard.policies.review import Goal, ReviewPolicy
from fuseboard.policies.schema import SchemaPolicy
from fuseboard.policy import Policy
from fuseboard.state import Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict, name_of

_log = logging.getLogger("fuseboard.pipeline")

Policies: TypeAlias = tuple[Policy, ...]

# Tuples: a union written in place is built anew each time that it is asked, several times a call.
_REFUSALS: Final = (Deny, Hold)
_VERDICTS: Final = (Allow, Deny, Rewrite, Hold)


Grants: TypeAlias = Mapping[tuple[str, str], str]
"""What a person approved: the approval's id by the policy that held the call and the rule by which it did."""

NO_GRANTS: Final[Grants] = MappingProxyType({})


class Fuses(NamedTuple):
    """What limits a run: ``run``, ``principal``, ``milestones`` and ``approvals.ask_above`` of the configuration."""

    run: RunLimitsLike
    principal: PrincipalLimitsLike
    milestones: Sequence[Goal] = ()
    ask_above: int | None = None


def standard(rules: RuleSet, fuses: Fuses | None = None) -> Policies:
    """The policies in the order in which a proposal goes down them; a result comes back up the same list."""
    limits: Policies = ()
    if fuses is not None:
        limits = (
            ReviewPolicy(fuses.run, fuses.milestones),  # before the budgets: what waits for a person uses nothing
            BudgetPolicy(fuses.run, allowance(fuses.run, fuses.principal)),  # after the rules: what is denied is free
            AmbiguityPolicy(fuses.ask_above, fuses.run, rules),  # late: it weighs what all the others left open
        )
    return (
        ExposurePolicy(),  # first: of a tool that is not shown nothing may be learnt, not even its schema
        PermissionsPolicy(rules),  # before the schema: a forbidden tool's schema is no caller's business
        *limits,
        SchemaPolicy(),  # last before the upstream: it judges exactly what will be sent, rewrites included
    )


class Check(msgspec.Struct, frozen=True):
    """One policy's word on one event, as the ledger keeps it."""

    policy: str
    verdict: str
    rule: str | None
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"policy": self.policy, "verdict": self.verdict, "rule": self.rule, "facts": dict(self.facts)}


class Outcome(msgspec.Struct, frozen=True):
    """What the whole list said.

    ``verdict`` is the one that decides: the first ``Deny`` or ``Hold``, else the last ``Rewrite``, else an ``Allow``.
    ``event`` is the event as rewritten. With ``enforced`` false (mode observe) a refusal is recorded and let through.
    """

    verdict: Verdict
    policy: str | None
    checks: tuple[Check, ...]
    writes: tuple[Write, ...]
    event: Event
    enforced: bool = True

    @property
    def refused(self) -> Deny | Hold | None:
        return self.verdict if self.enforced and isinstance(self.verdict, _REFUSALS) else None


def tells_callers_apart(policies: Policies) -> bool:
    """Whether what one caller is shown may be hidden from another. A policy that does not say so is taken to do it."""
    return any(getattr(policy, "tells_callers_apart", True) for policy in policies)


def keys(policies: Policies, event: Event) -> tuple[str, ...]:
    """The union of what the policies will read. One that cannot say so is found out when it is asked: see ``_ask``."""
    wanted: dict[str, None] = {}
    for policy in policies:
        if found := _keys(policy, event):
            wanted.update(dict.fromkeys(found))
    return tuple(wanted)


def descend(
    policies: Policies, event: Event, state: Snapshot, *, enforce: bool = True, granted: Grants = NO_GRANTS
) -> Outcome:
    """Judge an event on its way to the upstream (or to a listing). The first ``Deny`` ends the descent.

    A ``Hold`` does not: nobody is asked about a call that would be denied afterwards. One that a person granted passes.
    """
    said = _Said(event, enforce)
    for policy in policies:
        verdict = _ask(policy, said.event, state)
        if isinstance(verdict, Hold) and (grant := granted.get((policy.name, verdict.rule))) is not None:
            verdict = Allow(verdict.rule, {**verdict.facts, "approved": grant})
        said.heard(policy, verdict)
        if enforce and isinstance(verdict, Deny):
            break
    return said.outcome()


def ascend(policies: Policies, event: CallReturned, state: Snapshot, *, enforce: bool = True) -> Outcome:
    """Judge a result on its way back: the same list from its other end, and all of it.

    The call has happened, so what it took is written down whatever becomes of its result.
    """
    said = _Said(event, enforce)
    for policy in reversed(policies):
        said.heard(policy, _ask(policy, said.event, state))
    return said.outcome(happened=True)


class _Said:
    """What the policies have said so far about one event."""

    def __init__(self, event: Event, enforce: bool) -> None:
        self.event = event
        self._enforce = enforce
        self._deciding: Verdict = Allow()
        self._policy: str | None = None
        self._checks: list[Check] = []
        self._writes: list[Write] = []

    def heard(self, policy: Policy, verdict: Verdict) -> None:
        self._checks.append(Check(policy.name, name_of(verdict), verdict.rule, verdict.facts))
        deciding = self._deciding
        match verdict:
            case Allow():
                if verdict.writes:
                    self._writes.extend(verdict.writes)
                decides = verdict.rule is not None and isinstance(deciding, Allow)
            case Rewrite():
                self.event = _rewritten(self.event, verdict) if self._enforce else self.event
                self._writes.extend(verdict.writes)
                decides = not isinstance(deciding, _REFUSALS)
            case Hold():
                decides = not isinstance(deciding, _REFUSALS)
            case Deny():
                decides = not isinstance(deciding, Deny)
        if decides:
            self._deciding, self._policy = verdict, policy.name

    def outcome(self, *, happened: bool = False) -> Outcome:
        """A refusal's own writes alone, unless the call happened: the others' belonged to one that did not."""
        deciding = self._deciding
        refused = self._enforce and isinstance(deciding, _REFUSALS)
        writes = tuple(self._writes)
        if refused:
            writes = (*writes, *deciding.writes) if happened else deciding.writes
        return Outcome(deciding, self._policy, tuple(self._checks), writes, self.event, enforced=self._enforce)


def _keys(policy: Policy, event: Event) -> tuple[str, ...] | None:
    try:
        return policy.keys(event)
    except Exception:  # `_ask` meets it again, and denies
        return None


def _ask(policy: Policy, event: Event, state: Snapshot) -> Verdict:
    try:
        policy.keys(event)  # again: one that cannot say what it reads has not read it, and is refused here
        verdict = policy.decide(event, state)
        if not isinstance(verdict, _VERDICTS):
            raise TypeError(f"{type(verdict).__name__} is no verdict")
        return verdict
    except Exception as fault:  # a policy that breaks must not open the door
        _log.exception("policy %s failed", policy.name)
        return Deny(
            "policy.fault",
            f"The policy {policy.name!r} failed, so the call is refused. Tell the operator; a retry will not help.",
            facts={"fault": type(fault).__name__},
        )


def _rewritten(event: Event, verdict: Rewrite) -> Event:
    match event:
        case CallProposed():
            return msgspec.structs.replace(event, arguments=verdict.replacement)
        case CallReturned():
            return msgspec.structs.replace(event, result=verdict.replacement)
        case _:
            return event
