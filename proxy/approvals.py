"""What a person is asked, and what they said: bound to one exact call, good once, and gone after a while. Pure.

Every change is a ``Put``, so the store decides who comes first: of two approvers one, of two uses one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fuseboard.accounts import standing, stood
from fuseboard.budgets import KEPT_S, milestones_key, run_key
from fuseboard.errors import FuseboardError
from fuseboard.events import CallProposed
from fuseboard.ids import derived
from fuseboard.pipeline import Check, Outcome
from fuseboard.recording import digest_of
from fuseboard.reviews import PAUSED, RunState, state_key
from fuseboard.state import Put, Snapshot
from fuseboard.verdicts import Hold

PENDING: Final = "pending"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"
SPENT: Final = "spent"

INDEX: Final = "approvals"
"""The key of the list of what is pending, since a store finds nothing but by its key."""

PAUSED_RULE: Final = "run.paused"
"""The rule whose hold concerns a run, and no single call of it."""

OF_ONE_RUN: Final = 16
OF_ALL: Final = 256
"""How many may be pending. A person who is asked too much approves without looking."""

_KEPT_S: Final = 3600.0
"""How much longer than it is good for an approval is kept, so that somebody who comes late is told that."""

_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode


class Unsettled(FuseboardError):
    """A decision that cannot be made (any more). The message says why."""


class TooMany(Unsettled):
    """More would be asked than a person can answer."""


class Binding(msgspec.Struct, frozen=True):
    """What is approved, and nothing else. ``holds`` are the policies that held the call, each with its rule.

    ``arguments`` and ``definition`` are digests, of what is sent and of the tool as it was listed; ``config`` is that
    of the configuration. An approval to go on with a paused run has no tool, and the time of the pause as arguments.
    """

    run: str
    holds: tuple[tuple[str, str], ...]
    principal: str = ""
    method: str = ""
    upstream: str = ""
    tool: str = ""
    arguments: str = ""
    definition: str = ""
    config: str = ""

    @property
    def id(self) -> str:
        """Made of what it binds, so that the very same call finds it again."""
        return derived(hashlib.sha256(_CANONICAL(self)).digest(), "a-")

    @property
    def resumes(self) -> bool:
        """Whether it is a run that waits, and not a call."""
        return not self.method


class Approval(msgspec.Struct, frozen=True):
    """One question to a person. Times are Unix seconds.

    ``serial`` tells one asking from the next; it never goes back. ``arguments`` is JSON for a person's eyes, without
    the secrets that we know of. ``via`` are the channels by which an answer is taken. ``by``, ``through``, ``say`` and
    ``decided_at`` tell of the answer; ``call`` is the decision of the call that used it.
    """

    id: str
    binding: Binding
    status: str
    serial: int
    tool: str
    effect: str
    why: str
    arguments: str
    via: tuple[str, ...]
    created_at: float
    expires_at: float
    client: str | None = None
    by: str = ""
    through: str = ""
    say: str = ""
    decided_at: float = 0.0
    call: str = ""

    @classmethod
    def of(cls, value: Any) -> Approval | None:
        """What the store holds."""
        return None if value is None else msgspec.convert(value, cls)

    def open(self, at: float) -> bool:
        """Whether it can still be decided or used."""
        return self.status in (PENDING, APPROVED) and at < self.expires_at

    def written(self, *, at: float) -> Put:
        return Put(approval_key(self.id), msgspec.to_builtins(self), max(0.0, self.expires_at - at) + _KEPT_S)

    def spent(self, call: str, *, at: float) -> tuple[Put, ...]:
        """Used by that call, and kept under its name for the further rounds of it.

        Its arguments stand in the ledger from now on, as the configuration has it.
        """
        used = msgspec.structs.replace(self, status=SPENT, call=call, arguments="")
        return used.written(at=at), Put(used_key(call), msgspec.to_builtins(used), _KEPT_S)


def approval_key(id: str) -> str:
    return f"approval/{id}"


def used_key(call: str) -> str:
    """Where the first round of a call left what it used."""
    return f"approved/{call}"


def pause_key(state: RunState) -> str:
    """What tells one pause of a run from the next."""
    return repr(state.at)


def of_pause(run: str, state: RunState) -> Binding:
    return Binding(run, (("review", PAUSED_RULE),), arguments=pause_key(state))


def of_call(event: CallProposed, holds: Sequence[tuple[str, str]], config: str) -> Binding:
    """Bound to the call as it was judged: as it would be sent."""
    tool = event.tool
    return Binding(
        event.run,
        tuple(sorted(holds)),
        event.caller.principal,
        event.method,
        tool.upstream,
        tool.name,
        digest_of(event.arguments),
        tool.digest,
        config,
    )


def holds_of(checks: Sequence[Check]) -> tuple[tuple[str, str], ...]:
    """Who held a call: one answer is asked for all of them together."""
    return tuple((check.policy, check.rule or "") for check in checks if check.verdict == "hold")


def paused(outcome: Outcome) -> bool:
    """Whether it is the run that waits for a person, and not this call."""
    return isinstance(outcome.verdict, Hold) and outcome.verdict.rule == PAUSED_RULE


class Index(msgspec.Struct, frozen=True):
    """What is pending: id, run and end of each."""

    entries: tuple[tuple[str, str, float], ...]

    @classmethod
    def of(cls, snapshot: Snapshot, *, at: float) -> Index:
        """What is still pending at ``at``."""
        entries = msgspec.convert(snapshot.get(INDEX, ()), tuple[tuple[str, str, float], ...])
        return cls(tuple(entry for entry in entries if at < entry[2]))

    def with_(self, approval: Approval) -> Index:
        """
        Raises:
            TooMany: too much is pending already.
        """
        others = self.without(approval.id).entries
        run = approval.binding.run
        if len(others) >= OF_ALL or sum(entry[1] == run for entry in others) >= OF_ONE_RUN:
            raise TooMany("too many questions wait for a person already")
        return Index((*others, (approval.id, run, approval.expires_at)))

    def without(self, id: str) -> Index:
        return Index(tuple(entry for entry in self.entries if entry[0] != id))

    def written(self, *, at: float) -> Put:
        longest_s = max((entry[2] - at for entry in self.entries), default=0.0)
        return Put(INDEX, [list(entry) for entry in self.entries], longest_s + 1.0)


def opened(approval: Approval, snapshot: Snapshot, *, at: float) -> tuple[Put, ...]:
    """Ask. ``snapshot`` is of the approval's key and the index.

    Raises:
        TooMany: too much is pending already.
    """
    return approval.written(at=at), Index.of(snapshot, at=at).with_(approval).written(at=at)


def keys_to_decide(binding: Binding, id: str) -> tuple[str, ...]:
    """What :func:`decided` has to see."""
    keys = (approval_key(id), INDEX)
    run = binding.run
    return (*keys, state_key(run), run_key(run), milestones_key(run)) if binding.resumes else keys


def decided(
    id: str,
    snapshot: Snapshot,
    *,
    approve: bool,
    by: str,
    through: str,
    say: str = "",
    serial: int | None = None,
    at: float,
) -> tuple[Put, ...]:
    """A person answers, by the channel ``through``. ``serial`` is which asking they saw.

    Who approves that a paused run goes on lets it go on with the same commit.

    Raises:
        Unsettled: there is nothing to answer, or not by that channel, or not any more.
    """
    approval = _pending(id, snapshot, through=through, serial=serial, at=at)
    puts = answered(approval, snapshot, approve=approve, by=by, through=through, say=say, at=at)
    if not approval.binding.resumes or not approve:
        return puts
    run = approval.binding.run
    now = RunState.of(snapshot.get(state_key(run)))
    if now.state != PAUSED or pause_key(now) != approval.binding.arguments:
        raise Unsettled(f"run {run} no longer waits at that pause: it is {now.state}")
    return (*puts, *resumed(run, snapshot, by=by, why=say, at=at))


def answered(
    approval: Approval, snapshot: Snapshot, *, approve: bool, by: str, through: str, say: str, at: float
) -> tuple[Put, ...]:
    """What is pending is answered. ``snapshot`` is of its key and the index."""
    done = msgspec.structs.replace(
        approval,
        status=APPROVED if approve else REJECTED,
        by=by,
        through=through,
        say=say,
        decided_at=at,
    )
    return done.written(at=at), Index.of(snapshot, at=at).without(approval.id).written(at=at)


def resumed(
    run: str, snapshot: Snapshot, *, by: str, why: str = "", more: dict[str, float] | None = None, at: float
) -> tuple[Put, ...]:
    """A person lets a run go on. ``snapshot`` is of its state, its account and its milestones."""
    before, account = RunState.of(snapshot.get(state_key(run))), snapshot.get(run_key(run))
    goes_on = before.resumed(
        at=at,
        by=by,
        used=standing(account, at=at).used,
        milestones=int(snapshot.get(milestones_key(run), 0)),
        more=more,
        why=why,
    ).written(run)
    rested = stood(account, since=before.at, at=at) if before.state == PAUSED else None
    return (goes_on,) if rested is None else (goes_on, Put(run_key(run), rested, KEPT_S))


def _pending(id: str, snapshot: Snapshot, *, through: str, serial: int | None, at: float) -> Approval:
    approval = Approval.of(snapshot.get(approval_key(id)))
    if approval is None:
        raise Unsettled(f"{id} is not known here: it never was, or it expired long ago")
    if approval.status != PENDING:
        who = f" by {approval.by}" if approval.by else ""
        word = "approved, and used since" if approval.status == SPENT else approval.status
        raise Unsettled(f"{id} was {word} already{who}")
    if at >= approval.expires_at:
        raise Unsettled(f"{id} has expired: the agent has to ask again")
    if serial is not None and serial != approval.serial:
        raise Unsettled(f"{id} was answered and asked again since: look at it anew")
    if through not in approval.via:
        raise Unsettled(f"{id} takes no answer by this channel ({through}); approvals.via says which it takes")
    return approval
