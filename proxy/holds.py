"""Calls that wait for a person: asked by every channel there is, for a while, and judged again once there is an answer.

An answer is good for exactly what was asked, once, and only while the store says so: it is spent in the very commit
that admits the call. Without an answer the call is refused; the same call made again later finds what was said since.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import anyio
import msgspec

from fuseboard import approvals, petitions, questioning
from fuseboard.approvals import (
    APPROVED,
    INDEX,
    PENDING,
    REJECTED,
    SPENT,
    Approval,
    Binding,
    TooMany,
    Unsettled,
    approval_key,
    used_key,
)
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed
from fuseboard.inbox import Inbox
from fuseboard.pipeline import NO_GRANTS, Check, Grants, Outcome
from fuseboard.ports import Reply, Request, Store
from fuseboard.questioning import Answer, Asker, Claims, Question, Questioning
from fuseboard.recording import Redactor
from fuseboard.reviews import RunState, state_key
from fuseboard.state import Snapshot
from fuseboard.verdicts import Deny, Hold

_log = logging.getLogger("fuseboard.holds")

PROGRESS_S: Final = 5.0
"""How often a client that wants to know is told that its call still waits."""

_ROUNDS: Final = 8
"""How often one call may be judged anew because of an answer: what is asked must not change for ever."""

NOBODY: Final = "nobody (approvals.on_timeout)"


class Settings(Protocol):
    """``approvals:``."""

    @property
    def via(self) -> tuple[str, ...]: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def on_timeout(self) -> str: ...
    @property
    def expires_s(self) -> float: ...
    @property
    def form(self) -> str: ...


class Unanswered(NamedTuple):
    """The call is not made now. ``reply`` asks its client instead of refusing, where there is one."""

    outcome: Outcome
    reply: Reply | None = None


class Holds:
    """What the held calls of one proxy share.

    ``page`` gives the address of the approval page, ``None`` where nothing serves it. ``terminal`` says whether the
    store can be reached from the command line. ``notices`` are told of each new question, and must not wait.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Callable[[], float],
        questioning: Questioning,
        *,
        config: str,
        redact: Redactor,
        terminal: bool = False,
        notices: tuple[Callable[[Approval], None], ...] = (),
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.questioning = questioning
        self.config = config
        self.redact = redact
        self.terminal = terminal
        self.notices = notices
        self.inbox = Inbox(store, clock)

    def hold(self, ask: Asker) -> HeldCall:
        """A call that a policy holds."""
        return HeldCall(self, ask, ask.request, None)

    async def came_back(self, ask: Asker) -> HeldCall | None:
        """A call whose client was asked by the end of its request, ``None`` where it was not, or not by us.

        Raises:
            ProtocolFault: what it brings back is ours, and not good here.
        """
        claims = await self.questioning.claims(ask.request, ask.caller.principal, at=self.clock())
        if claims is None:
            return None
        return HeldCall(self, ask, questioning.stripped(ask.request), (claims, questioning.answer(ask.request.value)))

    def channels(self, question: Question | None) -> tuple[str, ...]:
        """By which channels somebody can answer now, in the order of the configuration."""
        able = {
            "elicit": question is not None,
            "web": self.questioning.page() is not None,
            "cli": self.terminal,
        }
        return tuple(name for name in self.settings.via if able[name])


class HeldCall:
    """One governed call of which a person is asked, perhaps more than once."""

    def __init__(self, holds: Holds, ask: Asker, request: Request, came_back: tuple[Claims, Answer] | None) -> None:
        self.request = request
        """The request as it is without what we asked its client."""
        self._holds = holds
        self._ask = ask
        self._came_back = came_back
        self._given: dict[str, None] = {}
        self._until: float | None = None
        self._began_at = holds.clock()
        self._rounds = 0

    # Judging with what was granted.

    @property
    def keys(self) -> tuple[str, ...]:
        """What has to be read with the state that a judgement rests on."""
        return tuple(self._given)

    def judge(self, descend: Callable[[Grants], Outcome], event: CallProposed, read: Snapshot) -> Outcome:
        """Judge with the grants that are good now; those that are used are spent by the outcome's own writes."""
        found = [Approval.of(read.get(key)) for key in self._given]
        given = [one for one in found if one is not None and self._good(one, event)]
        outcome = descend(_grants(given))
        good = [one for one in given if one.binding == self._binding(outcome, one.binding.holds)]
        if len(good) < len(given):  # what was approved is not what would be sent: another policy rewrote it since
            outcome = descend(_grants(good))
        used = {check.facts.get("approved") for check in outcome.checks}
        good = [one for one in good if one.id in used]
        if outcome.refused is not None or not good:
            return outcome
        spends = [put for one in good if one.status == APPROVED for put in one.spent(event.id, at=event.at)]
        checks = [self._said(one, "allow") for one in good]
        return msgspec.structs.replace(outcome, writes=(*outcome.writes, *spends), checks=(*outcome.checks, *checks))

    def _good(self, approval: Approval, event: CallProposed) -> bool:
        if approval.status == SPENT:  # by the first round of this very call, which the upstream answered by a question
            return event.continues is not None and approval.call == event.continues
        return approval.status == APPROVED and event.at < approval.expires_at

    def _binding(self, outcome: Outcome, holds: tuple[tuple[str, str], ...]) -> Binding:
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        return approvals.of_call(judged, holds, self._holds.config)

    def _said(self, approval: Approval, verdict: str) -> Check:
        facts: dict[str, Any] = {
            "approval": approval.id,
            "status": approval.status,
            "by": approval.by,
            "through": approval.through,
            "waited_s": round(self._holds.clock() - self._began_at, 3),
        }
        if approval.say:
            facts["say"] = approval.say
        return Check("approvals", verdict, approval.status, facts)

    # Asking.

    async def ask(self, outcome: Outcome) -> Unanswered | None:
        """Ask a person about what the policies hold. ``None``: there is an answer, and the call is to be judged anew.

        ``outcome`` has been committed: what the holding policy asked to write stands.
        """
        self._rounds += 1
        effect = _effect(outcome)
        question = self._holds.questioning.to_client(self._ask, self.request, effect)
        channels = self._holds.channels(question)
        if not channels:
            return self._refused(outcome, petitions.nobody(outcome))
        try:
            return await self._asked(outcome, channels, question)
        except StoreUnavailable as fault:
            _log.error("a question could not be put: %s", fault)
            return self._refused(outcome, petitions.no_store(outcome))
        except TooMany:
            return self._refused(outcome, petitions.too_many(outcome))

    async def _asked(self, outcome: Outcome, channels: tuple[str, ...], question: Question | None) -> Unanswered | None:
        approval = await self._found(outcome, channels)
        if approval is None:  # a paused run that goes on already
            return None
        event = outcome.event
        assert isinstance(event, CallProposed)
        new = self._until is None
        if approval.status == PENDING and new and "elicit" in channels and question is not None:
            if self._came_back is not None:
                approval, willing = await self._taken(approval, *self._came_back)
                if approval.status == PENDING and not willing:
                    return self._pending(outcome, approval, channels)
            elif question.ends_the_request:
                reply = await self._holds.questioning.input_required(approval, self._ask, question)
                return Unanswered(self._marked(outcome, approval, petitions.asked_in_client(outcome)), reply)
        if approval.status == PENDING:
            approval = await self._waited(approval, question if "elicit" in channels else None)
        if approval.status == PENDING and self._holds.settings.on_timeout == "allow":
            approval = await self._decided(approval, approve=True, by=NOBODY, through=approval.via[0])
        if approval.status == REJECTED:
            return self._rejected(outcome, approval)
        if approval.status == PENDING or self._rounds >= _ROUNDS:
            return self._pending(outcome, approval, channels)
        if not approval.binding.resumes:
            key = used_key(approval.call) if approval.status == SPENT else approval_key(approval.id)
            self._given[key] = None
        return None

    async def _found(self, outcome: Outcome, channels: tuple[str, ...]) -> Approval | None:
        """The approval of what is held: as it stands, or asked for now."""
        holds, event = self._holds, outcome.event
        assert isinstance(event, CallProposed)
        run_state = state_key(event.run)
        for _ in range(_ROUNDS):
            at = holds.clock()
            if approvals.paused(outcome):
                now = RunState.of((await holds.store.read((run_state,), at=at)).get(run_state))
                if now.state != "paused":
                    return None
                binding = approvals.of_pause(event.run, now)
            else:
                binding = self._binding(outcome, approvals.holds_of(outcome.checks))
            key, used = approval_key(binding.id), used_key(event.continues or "")
            read = await holds.store.read((key, used, INDEX), at=at)
            first = Approval.of(read.get(used))
            if first is not None and first.binding == binding:
                return first
            before = Approval.of(read.get(key))
            if before is not None and before.status != SPENT and at < before.expires_at:
                return before
            fresh = self._question(outcome, binding, before, channels, at)
            if await holds.store.commit(approvals.opened(fresh, read, at=at), read, None, at=at):
                for notice in holds.notices:
                    notice(fresh)
                return fresh
        raise StoreUnavailable("others kept changing what is asked")

    def _question(
        self, outcome: Outcome, binding: Binding, before: Approval | None, channels: tuple[str, ...], at: float
    ) -> Approval:
        event, held, redact = outcome.event, outcome.verdict, self._holds.redact
        assert isinstance(event, CallProposed)
        assert isinstance(held, Hold)
        return Approval(
            id=binding.id,
            binding=binding,
            status=PENDING,
            serial=max(int(at * 1000), before.serial + 1 if before is not None else 0),
            tool=event.tool.exposed,
            effect=_effect(outcome),
            why=redact(held.reason),
            arguments=petitions.arguments(event.arguments, redact),
            via=tuple(name for name in self._holds.settings.via if name in channels or name != "elicit"),
            created_at=at,
            expires_at=at + self._holds.settings.expires_s,
            client=event.caller.client,
        )

    async def _taken(self, approval: Approval, claims: Claims, said: Answer) -> tuple[Approval, bool]:
        """What a stateless client's user said, and whether it is worth waiting for another answer.

        An answer to something else, such as the same tool with other arguments, is none.
        """
        if (claims.approval, claims.serial) != (approval.id, approval.serial):
            return approval, True
        return await self._heard(approval, claims.form, said), said.willing

    async def _heard(self, approval: Approval, form: bool, said: Answer) -> Approval:
        if not form or said.approve is None:
            return approval  # whoever was shown a page answers there
        by = approval.binding.principal or approval.client or "the client"
        say = self._holds.redact(said.say)
        return await self._decided(approval, approve=said.approve, by=by, through="elicit", say=say)

    async def _decided(self, approval: Approval, *, approve: bool, by: str, through: str, say: str = "") -> Approval:
        """The approval as it was answered: so, or by somebody who was faster."""
        inbox = self._holds.inbox
        try:
            return await inbox.decide(
                approval.id, approve=approve, by=by, through=through, say=say, serial=approval.serial
            )
        except Unsettled as fault:
            _log.info("an answer came too late: %s", fault)
            return await inbox.find(approval.id) or approval

    # Waiting.

    async def _waited(self, approval: Approval, question: Question | None) -> Approval:
        """Wait for the answer, for as long as this call may wait all together."""
        if self._until is None:
            self._until = anyio.current_time() + self._holds.settings.timeout_s
        async with anyio.create_task_group() as tasks:
            if question is not None and not question.ends_the_request:
                tasks.start_soon(self._elicit, approval, question)
            approval = await self._watched(approval)
            tasks.cancel_scope.cancel()
        if question is not None and not question.ends_the_request and not question.form:
            self._holds.questioning.completed(approval, self._ask)
        return approval

    async def _watched(self, approval: Approval) -> Approval:
        holds, until = self._holds, self._until
        assert until is not None
        key, paused = approval_key(approval.id), state_key(approval.binding.run)
        keys = (key, paused) if approval.binding.resumes else (key,)
        token = questioning.progress_token(self._ask.request.value)
        tell_at = anyio.current_time() + PROGRESS_S
        read = await holds.store.read(keys, at=holds.clock())
        while True:
            now = Approval.of(read.get(key)) or approval
            if now.status != PENDING:
                return now
            if approval.binding.resumes and RunState.of(read.get(paused)).state != "paused":
                return msgspec.structs.replace(now, status=APPROVED)
            if (left_s := until - anyio.current_time()) <= 0:
                return now
            if token is not None and anyio.current_time() >= tell_at:
                tell_at += PROGRESS_S
                self._ask.scope.notify(*questioning.progress(token, approval, left_s))
            wait_s = min(left_s, PROGRESS_S, max(0.0, tell_at - anyio.current_time()) or PROGRESS_S)
            await holds.store.changed(keys, read, at=holds.clock(), timeout_s=wait_s)
            read = await holds.store.read(keys, at=holds.clock())

    async def _elicit(self, approval: Approval, question: Question) -> None:
        """Ask on the client's back-channel. Whatever goes wrong there, the other channels go on."""
        said = await self._holds.questioning.elicit(approval, self._ask, question)
        try:
            await self._heard(approval, question.form, said)
        except StoreUnavailable as fault:
            _log.error("an answer cannot be written down: %s", fault)

    # Refusing.

    def _rejected(self, outcome: Outcome, approval: Approval) -> Unanswered:
        hold = outcome.verdict
        assert isinstance(hold, Hold)
        reason = petitions.rejected(outcome, approval)
        no = Deny(hold.rule, reason, {**hold.facts, "approval": approval.id, "by": approval.by})
        checks = (*outcome.checks, self._said(approval, "deny"))
        return Unanswered(msgspec.structs.replace(outcome, verdict=no, writes=(), checks=checks))

    def _pending(self, outcome: Outcome, approval: Approval, channels: tuple[str, ...]) -> Unanswered:
        reason = petitions.pending(outcome, approval, channels, at=self._holds.clock())
        return Unanswered(self._marked(outcome, approval, reason))

    def _marked(self, outcome: Outcome, approval: Approval, reason: str) -> Outcome:
        hold = outcome.verdict
        assert isinstance(hold, Hold)
        asked = Hold(hold.rule, reason, {**hold.facts, "approval": approval.id})
        checks = (*outcome.checks, self._said(approval, "hold"))
        return msgspec.structs.replace(outcome, verdict=asked, writes=(), checks=checks)

    def _refused(self, outcome: Outcome, reason: str) -> Unanswered:
        hold = outcome.verdict
        assert isinstance(hold, Hold)
        return Unanswered(msgspec.structs.replace(outcome, verdict=Hold(hold.rule, reason, hold.facts), writes=()))

    def gave_up(self, outcome: Outcome, *, stopping: bool = False) -> Outcome:
        """The client went away while its call waited, or we did."""
        return self._refused(outcome, petitions.cut(outcome) if stopping else petitions.gave_up(outcome)).outcome


def _grants(given: list[Approval]) -> Grants:
    return {hold: one.id for one in given for hold in one.binding.holds} or NO_GRANTS


def _effect(outcome: Outcome) -> str:
    """How much harm can come of a yes; what a whole run may do is not known."""
    event = outcome.event
    assert isinstance(event, CallProposed)
    if approvals.paused(outcome):
        return "destructive"
    return str(event.tool.effect) if event.method == "tools/call" else "read"
