"""The one pipeline: which policies judge, in which order, and how their verdicts become one outcome. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from fuseboard.budgets import Limits, RunLimitsLike, SharedLimitsLike, allowance
from fuseboard.cedar.rules import RuleSet
from fuseboard.checkpoint import CheckpointLike
from fuseboard.events import CallProposed, CallReturned, CleanArguments, Event, ToolListed, Traced, Unpinned
from fuseboard.keying import Keying
from fuseboard.lock_names import Rule
from fuseboard.policies.ambiguity import AmbiguityPolicy
from fuseboard.policies.breaker import BreakerLike, BreakerPolicy
from fuseboard.policies.budgets import NO_UPSTREAMS, BudgetPolicy
from fuseboard.policies.checkpoint import CheckpointPolicy
from fuseboard.policies.effects import EffectsPolicy
from fuseboard.policies.exposure import ExposurePolicy
from fuseboard.policies.flow import FlowLike, FlowPolicy
from fuseboard.policies.labels import LabelsPolicy
from fuseboard.policies.locks import LocksPolicy
from fuseboard.policies.loops import LoopPolicy, LoopsLike
from fuseboard.policies.opaque import OpaquePolicy
from fuseboard.policies.output import OutputPolicy
from fuseboard.policies.permissions import PermissionsPolicy
from fuseboard.policies.phrases import PhrasesPolicy
from fuseboard.policies.pins import PinsLike, PinsPolicy
from fuseboard.policies.quarantine import QuarantinePolicy
from fuseboard.policies.retries import RetriesPolicy
from fuseboard.policies.review import Goal, ReviewPolicy
from fuseboard.policies.revoked import RevokedPolicy
from fuseboard.policies.schema import SchemaPolicy
from fuseboard.policy import Policy
from fuseboard.retries import RetriesLike
from fuseboard.state import Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict, name_of

_log = logging.getLogger("fuseboard.pipeline")

Policies: TypeAlias = tuple[Policy, ...]

# Tuples: a union written in place is built anew each time that it is asked, several times a call.
_REFUSALS: Final = (Deny, Hold)
_VERDICTS: Final = (Allow, Deny, Rewrite, Hold)
_NOTHING_AGAINST_IT: Final = Allow()
_NO_FACTS: Final[Mapping[str, Any]] = {}
_EVENTS: Final = (ToolListed, CallProposed, CallReturned)

_NOTHING_BESIDES: Final[tuple[type[CleanArguments | Unpinned | Traced], ...]] = ()

UNSAID: Final = "pipeline/unsaid"
"""A key under which nothing is ever kept: that it was read says that a policy could not name its own."""


Grants: TypeAlias = Mapping[tuple[str, str], str]
"""What a person approved: the approval's id by the policy that held the call and the rule by which it did."""

NO_GRANTS: Final[Grants] = MappingProxyType({})


class Fuses(NamedTuple):
    """What limits a run: ``run``, ``principal``, ``milestones``, ``approvals.ask_above`` and the servers' ``limits`` of
    the configuration.

    ``checkpoint`` is its section where that tool is offered; ``redact`` takes our secrets out of what the agent says
    there. ``retries`` is that section, and ``process`` tells this proxy from others with the same store. ``locks``
    are the rules of each tool that needs any, ``agents`` the servers that call tools through us themselves.
    """

    run: RunLimitsLike
    principal: SharedLimitsLike
    milestones: Sequence[Goal] = ()
    ask_above: int | None = None
    checkpoint: CheckpointLike | None = None
    redact: Callable[[str], str] = str
    upstreams: Mapping[str, Limits] = NO_UPSTREAMS
    retries: RetriesLike | None = None
    process: str = ""
    loops: LoopsLike | None = None
    locks: Mapping[str, Sequence[Rule]] = MappingProxyType({})
    agents: frozenset[str] = frozenset()
    breaker: BreakerLike | None = None
    pins: PinsLike | None = None
    phrases: bool = False
    """Whether words by which results try to give orders raise the score of what the run does next."""
    opaque: bool = False
    """Whether any tool gives handles in place of its results."""
    patterns: bool = False
    """Whether the results of any tool go to a person by what they say."""
    flow: FlowLike | None = None
    mixed: bool = False
    """Whether some servers or tools are trusted more than others."""


def standard(rules: RuleSet, fuses: Fuses | None = None) -> Policies:
    """The policies in the order in which a proposal goes down them; a result comes back up the same list."""
    limits: Policies = ()
    if fuses is not None:
        own = fuses.checkpoint if fuses.checkpoint is not None and fuses.checkpoint.offer else None
        limits = (
            # before the review: of the reasons why a run should stand still this one is the gravest, so it is told
            RevokedPolicy(),
            # before the budgets: what waits for a person uses nothing
            ReviewPolicy(fuses.run, fuses.milestones, offered=own is not None),
            # beside the review that reads it; it judges no call, and stands here only where its tool does
            *((CheckpointPolicy(counts=own.counts, redact=fuses.redact),) if own is not None else ()),
            # before whatever counts calls: what is bound to fail alike is not made, and costs nothing
            *((RetriesPolicy(fuses.retries),) if fuses.retries is not None else ()),
            # before what looks for loops: of what does not work, that is what has to be said
            *((BreakerPolicy(fuses.breaker),) if fuses.breaker is not None else ()),
            # after what tells failures: what came back is right, there is only nothing new in it
            *((LoopPolicy(fuses.loops, fuses.milestones),) if fuses.loops is not None else ()),
            # after whatever refuses for nothing: it writes down that the call is made
            *((EffectsPolicy(fuses.retries, fuses.process),) if fuses.retries is not None else ()),
            BudgetPolicy(  # after the rules: what is denied is free
                fuses.run, allowance(fuses.run, fuses.principal), fuses.upstreams
            ),
            # beside what reads it; it judges results alone, and stands here only where it is asked for
            *((PhrasesPolicy(),) if fuses.phrases else ()),
            # beside what reads it through the event; it judges results alone
            *((LabelsPolicy(mixed=fuses.mixed), FlowPolicy(fuses.flow)) if fuses.flow is not None else ()),
            # late: it weighs what all the others left open
            AmbiguityPolicy(fuses.ask_above, fuses.run, rules, phrased=fuses.phrases),
        )
    return (
        ExposurePolicy(),  # first: of a tool that is not shown nothing may be learnt, not even its schema
        OutputPolicy(),  # before whatever reads arguments: what hides from a rule would be gone when it is sent
        # before the rules: what stands for nothing is no argument that one could judge
        *((OpaquePolicy(),) if fuses is not None and fuses.opaque else ()),
        # on the way down late: what a person has to see was judged by all the others, and written down by them
        *((QuarantinePolicy(),) if fuses is not None and fuses.patterns else ()),
        # before the rules: a definition that nobody has read is used for nothing, whoever asks
        *((PinsPolicy(fuses.pins),) if fuses is not None and fuses.pins is not None else ()),
        PermissionsPolicy(rules),  # before the schema: a forbidden tool's schema is no caller's business
        *limits,
        SchemaPolicy(),  # last before the upstream: it judges exactly what will be sent, rewrites included
        # after all that could refuse: no call waits for a lock that is refused in any case; it rewrites nothing
        *(locking(fuses) if fuses is not None else ()),
    )


def locking(fuses: Fuses) -> Policies:
    """Only where there is anything to lock, or anybody to wait for."""
    if not fuses.locks and not fuses.agents:
        return ()
    return (LocksPolicy(fuses.locks, fuses.agents, None if fuses.retries is None else fuses.process),)


class Check(msgspec.Struct, frozen=True):
    """One policy's word on one event, as the ledger keeps it."""

    policy: str
    verdict: str
    rule: str | None
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Not to be changed: one that says nothing is the same each time."""
        if self.facts is _NO_FACTS:
            return _silence(self.policy)
        facts = self.facts if type(self.facts) is dict else dict(self.facts)
        return {"policy": self.policy, "verdict": self.verdict, "rule": self.rule, "facts": facts}


@lru_cache(64)
def _silent(policy: str) -> Check:
    """The word of a policy that has nothing to say: the same one each time."""
    return Check(policy, "allow", None, _NO_FACTS)


@lru_cache(64)
def _silence(policy: str) -> dict[str, Any]:
    return {"policy": policy, "verdict": "allow", "rule": None, "facts": {}}


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
    nudges: tuple[tuple[str, Allow], ...] = ()
    """What the model is told beside a result that it gets, and which policy says so."""

    @property
    def refused(self) -> Deny | Hold | None:
        return self.verdict if self.enforced and isinstance(self.verdict, _REFUSALS) else None


def tells_callers_apart(policies: Policies) -> bool:
    """Whether what one caller is shown may be hidden from another. A policy that does not say so is taken to do it."""
    return any(getattr(policy, "tells_callers_apart", True) for policy in policies)


def keys(policies: Policies, event: Event) -> tuple[str, ...]:
    """The union of what the policies will read.

    Where one of them cannot say so nothing else is read, and ``_Said.hear`` finds out which one it is.
    """
    try:
        return _keying(policies, type(event)).of(event)
    except Exception:
        return (UNSAID,)


@lru_cache(64)
def _keying(policies: Policies, kind: type[Event]) -> Keying:
    return Keying(_judging(policies, kind))


@lru_cache(64)
def _judging(policies: Policies, kind: type[Event], *besides: type[CleanArguments | Unpinned | Traced]) -> Policies:
    """Those that have anything to say about such events. A policy that does not name its events is asked about all.

    ``besides``: and about what only few of them carry.
    """
    wanted = (kind, *besides)
    return tuple(one for one in policies if any(kind in getattr(one, "judges", _EVENTS) for kind in wanted))


def _besides(event: CallProposed) -> tuple[type[CleanArguments | Unpinned | Traced], ...]:
    """What this call carries that few do."""
    clean, unpinned = event.clean is not None, event.tool.unpinned is not None
    traced = (Traced,) if event.traced is not None else ()
    return (*((CleanArguments,) if clean else ()), *((Unpinned,) if unpinned else ()), *traced)


def descend(
    policies: Policies, event: Event, state: Snapshot, *, enforce: bool = True, granted: Grants = NO_GRANTS
) -> Outcome:
    """Judge an event on its way to the upstream (or to a listing). The first ``Deny`` ends the descent.

    A ``Hold`` does not: nobody is asked about a call that would be denied afterwards. One that a person granted passes.
    """
    kind, besides = type(event), _NOTHING_BESIDES
    if type(event) is CallProposed and (
        event.clean is not None or event.traced is not None or event.tool.unpinned is not None
    ):
        besides = _besides(event)
    judging = _judging(policies, kind, *besides)
    said = _Said(event, enforce, granted)
    said.hear(judging, state, unsaid=UNSAID in state.versions or type(event) is ToolListed, happened=False)
    return said.outcome()


def ascend(policies: Policies, event: CallReturned, state: Snapshot, *, enforce: bool = True) -> Outcome:
    """Judge a result on its way back: the same list from its other end, and all of it.

    The call has happened, so what it took is written down whatever becomes of its result.
    """
    said = _Said(event, enforce)
    judging = reversed(_judging(policies, CallReturned))
    said.hear(judging, state, unsaid=UNSAID in state.versions, happened=True)
    return said.outcome(happened=True)


class _Said:
    """What the policies have said so far about one event."""

    __slots__ = ("_checks", "_deciding", "_enforce", "_granted", "_nudges", "_policy", "_writes", "event")

    def __init__(self, event: Event, enforce: bool, granted: Grants = NO_GRANTS) -> None:
        self.event = event
        self._enforce = enforce
        self._granted = granted
        self._deciding: Verdict = _NOTHING_AGAINST_IT
        self._policy: str | None = None
        self._checks: list[Check] = []
        self._writes: list[Write] = []
        self._nudges: tuple[tuple[str, Allow], ...] = ()

    def hear(self, policies: Iterable[Policy], state: Snapshot, *, unsaid: bool, happened: bool) -> None:
        """Ask one after the other, up to the first denial; what has ``happened`` is judged by all of them."""
        checks = self._checks
        for policy in policies:
            try:  # in place: a function of its own would cost each call of each policy half as much again
                if unsaid:  # not all have said what they read; one that cannot is refused here
                    policy.keys(self.event)
                verdict = policy.decide(self.event, state)
                if type(verdict) not in _VERDICTS:
                    raise TypeError(f"{type(verdict).__name__} is no verdict")
            except Exception as fault:  # a policy that breaks must not open the door
                verdict = _failed(policy, fault)
            if type(verdict) is Allow and verdict.rule is None:  # most of what is ever said
                facts = verdict.facts
                checks.append(Check(policy.name, "allow", None, facts) if facts else _silent(policy.name))
                if verdict.writes:
                    self._writes += verdict.writes
                continue
            if type(verdict) is Hold and (grant := self._granted.get((policy.name, verdict.rule))) is not None:
                verdict = Allow(verdict.rule, {**verdict.facts, "approved": grant}, verdict.granted)
            self._heard(policy, verdict)
            if type(verdict) is Deny and self._enforce and not happened:
                return

    def _heard(self, policy: Policy, verdict: Verdict) -> None:
        self._checks.append(Check(policy.name, name_of(verdict), verdict.rule, verdict.facts))
        deciding = self._deciding
        match verdict:
            case Allow():
                self._writes += verdict.writes
                if verdict.nudge is not None and self._enforce:
                    self._nudges += ((policy.name, verdict),)
                decides = isinstance(deciding, Allow)
            case Rewrite():
                self.event = _rewritten(self.event, verdict) if self._enforce else self.event
                self._writes += verdict.writes
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
        writes = tuple(self._writes)
        if self._enforce and isinstance(deciding, _REFUSALS):
            writes = (*writes, *deciding.writes) if happened else deciding.writes
        return Outcome(deciding, self._policy, tuple(self._checks), writes, self.event, self._enforce, self._nudges)


def _failed(policy: Policy, fault: Exception) -> Deny:
    _log.error("policy %s failed", policy.name, exc_info=fault)
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
