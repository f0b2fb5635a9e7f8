"""The one pipeline: which policies judge, in which order, and how their verdicts become one outcome. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from fuseboard.cedar.rules import RuleSet
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.policies.exposure import ExposurePolicy
from fuseboard.policies.permissions import PermissionsPolicy
from fuseboard.policies.schema import SchemaPolicy
from fuseboard.policy import Policy
from fuseboard.state import Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict, name_of

_log = logging.getLogger("fuseboard.pipeline")

Policies: TypeAlias = tuple[Policy, ...]

# Tuples: a union written in place is built anew each time that it is asked, several times a call.
_REFUSALS: Final = (Deny, Hold)
_VERDICTS: Final = (Allow, Deny, Rewrite, Hold)


def standard(rules: RuleSet) -> Policies:
    """The policies in the order in which a proposal goes down them; a result comes back up the same list."""
    return (
        ExposurePolicy(),  # first: of a tool that is not shown nothing may be learnt, not even its schema
        PermissionsPolicy(rules),  # before the schema: a forbidden tool's schema is no caller's business
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


def descend(policies: Policies, event: Event, state: Snapshot, *, enforce: bool = True) -> Outcome:
    """Judge an event on its way to the upstream (or to a listing). The first ``Deny`` or ``Hold`` ends the descent."""
    return _judge(policies, event, state, enforce=enforce)


def ascend(policies: Policies, event: CallReturned, state: Snapshot, *, enforce: bool = True) -> Outcome:
    """Judge a result on its way back: the same list from its other end."""
    return _judge(reversed(policies), event, state, enforce=enforce)


def _judge(policies: Iterable[Policy], event: Event, state: Snapshot, *, enforce: bool) -> Outcome:
    deciding: Verdict = Allow()
    policy_name: str | None = None
    checks: list[Check] = []
    writes: list[Write] = []
    for policy in policies:
        verdict = _ask(policy, event, state)
        checks.append(Check(policy.name, name_of(verdict), verdict.rule, verdict.facts))
        match verdict:
            case Allow():
                if verdict.writes:
                    writes.extend(verdict.writes)
                if isinstance(deciding, Allow) and verdict.rule is not None:
                    deciding, policy_name = verdict, policy.name
            case Deny() | Hold():
                # A refusal's own writes alone: what the others asked for belonged to a call that does not happen.
                refused = Outcome(verdict, policy.name, tuple(checks), verdict.writes, event, enforced=enforce)
                if enforce:
                    return refused
                if not isinstance(deciding, _REFUSALS):
                    deciding, policy_name = verdict, policy.name
            case Rewrite():
                event = _rewritten(event, verdict) if enforce else event
                writes.extend(verdict.writes)
                if not isinstance(deciding, _REFUSALS):
                    deciding, policy_name = verdict, policy.name
    return Outcome(deciding, policy_name, tuple(checks), tuple(writes), event, enforced=enforce)


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
