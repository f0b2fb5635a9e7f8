"""One governed call, from proposal to record: the only room in which a call waits.

Decide, then act: the pipeline judges, the store takes the record, then the upstream is called under its deadline, the
same list judges the result on its way back, and the record is closed. What was judged is what is sent.

A judgement holds for the state that it read. Where the store refuses what it asked to write, because a ceiling would
be passed or the state has changed, it is made anew; where that goes on, nothing passes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import anyio
import msgspec

from fuseboard import effects, fingerprints, pipeline, refusals, tasks, truth
from fuseboard.answers import Answers
from fuseboard.budgets import ENDED_S, milestones_key, run_key
from fuseboard.checkpoint import checkpoint_key
from fuseboard.cleaning.outgoing import Outgoing
from fuseboard.cleaning.result import Cleaner
from fuseboard.continuations import Continuations, binding_of
from fuseboard.entrance import Entrance, fenced
from fuseboard.era import Era
from fuseboard.errors import StoreUnavailable, UpstreamFault
from fuseboard.events import Caller, CallProposed, Effect, Tool
from fuseboard.holds import HeldCall, Holds
from fuseboard.ids import Ids
from fuseboard.keeping import Keeping
from fuseboard.labels import label_key
from fuseboard.lineage import KEPT_S, Step
from fuseboard.loops.ladder import ladder_key
from fuseboard.params import raw_arguments, to_send
from fuseboard.pipeline import Outcome, Policies
from fuseboard.ports import Proposed, Reply, Request, Result, Scope, Store
from fuseboard.provenance import Deliveries
from fuseboard.recording import Recorder
from fuseboard.retries import RetriesLike
from fuseboard.reviews import state_key
from fuseboard.runs import Run, Source
from fuseboard.sending import Sending
from fuseboard.settlement import JUDGEMENTS, Judgement, Settlement, contended
from fuseboard.state import EMPTY, Expire, Lock, Snapshot
from fuseboard.tasks import NOBODY, Holder, Task, Tasks
from fuseboard.truth import Truth
from fuseboard.upstreams.seats import Seat
from fuseboard.verdicts import Deny, Hold
from fuseboard.windows import window_key

_log = logging.getLogger("fuseboard.exchange")

_UNSENT: Final = (
    "{tool} was not called: other calls kept changing what the decision rests on. Wait a moment and call it again."
)
_OF_A_LISTING: Final = ("schema", "pins")
_CUT: Final = "the proxy stopped before the call had ended"


class Proposal(msgspec.Struct, frozen=True):
    """What a session knows of a governed request once it has been routed.

    ``refresh`` lists the upstream's tools anew and gives the tool as it is now, or ``None`` where that was done lately.
    ``holder`` is who a task belongs to that the call begins.
    """

    request: Request
    scope: Scope
    seat: Seat
    tool: Tool
    arguments: Mapping[str, Any]
    caller: Caller
    run: Run
    era: Era
    transport: str
    timeout_s: float
    at: float
    refresh: Callable[[], Awaitable[Tool | None]]
    relist: Callable[[], Awaitable[Tool | None]] | None = None
    """Lists the tools anew, however fresh they are; ``None`` where that cannot be had."""
    idle_s: float | None = None
    """How long the upstream may be silent about the call, ``None`` where it may all along."""
    holder: Holder = NOBODY
    step: Step | None = None
    """Where the call stands among others, ``None`` where nothing is known of that."""
    declared: Callable[[Request], Mapping[str, Any]] = lambda _: {}
    """The capabilities of its client."""
    links: bool = True
    """Whether its client's revision knows links to resources among a result's blocks."""


class Exchange:
    """Carries out governed calls. ``clock`` gives Unix seconds. Without ``holds``, what is held is refused."""

    def __init__(
        self,
        policies: Policies,
        store: Store,
        recorder: Recorder,
        ids: Ids,
        clock: Callable[[], float],
        *,
        enforce: bool,
        holds: Holds | None = None,
        retries: RetriesLike | None = None,
        entrance: Entrance | None = None,
        cleaner: Cleaner | None = None,
        keeping: Keeping | None = None,
        deliveries: Deliveries | None = None,
    ) -> None:
        self.policies = policies
        self.tasks = Tasks()
        self.answers = Answers()
        places = None if entrance is None else entrance.bulkheads
        self._sending = Sending(store, clock, self.answers, retries, enforce=enforce, places=places)
        self.entrance = entrance
        self._continuations = Continuations()
        self._store = store
        self._recorder = recorder
        self._ids = ids
        self._clock = clock
        self.enforce = enforce
        self.holds = holds
        self._stopping = False
        self._outgoing = Outgoing(cleaner, enforce=enforce)
        self._handles = keeping.handles if keeping is not None else None
        self.settlement = Settlement(
            policies, store, recorder, clock, self.answers, enforce=enforce, cleaner=cleaner, keeping=keeping
        )
        self._deliveries = self.settlement.deliveries = deliveries

    def now(self) -> float:
        return self._clock()

    def stopping(self) -> None:
        """The proxy ends, and the time of what was open is over: whatever is cancelled from now on is cut by us."""
        self._stopping = True

    async def govern(self, ask: Proposal) -> Reply:
        """Judge, record, send, judge again, record again, answer."""
        at = ask.at
        event = CallProposed(
            at,
            self._ids.decision(at),
            ask.run.id,
            ask.request.method,
            ask.caller,
            ask.tool,
            ask.arguments,
            timeout_s=ask.timeout_s,
            signed=ask.run.signed,
            inferred=ask.run.source is Source.INFERRED,
            stated=ask.run.limits,
            kept_s=max(ask.run.kept_s, 2 * ask.timeout_s),
            fingerprint=fingerprints.of_call(ask.tool.qualified, ask.arguments, ask.tool.volatile),
        )
        if (step := ask.step) is not None:
            depth, root, parent = step.depth, step.root(event.run), step.parent
            event = msgspec.structs.replace(
                event, depth=depth, root=root, parent=parent, ancestors=step.ancestors if step.below else ()
            )
        event, ask = self._outgoing.taken(event, ask)
        value, held = ask.request.value, None
        if value is not None and ("requestState" in value or "inputResponses" in value):
            if self.holds is not None and (held := await self.holds.came_back(ask)) is not None:
                ask = msgspec.structs.replace(ask, request=held.request)  # what we asked is nothing for the upstream
            else:
                event = self._later_round(event, value)
        if self._handles is not None and self._handles.among(ask.request.params):
            event = await self._handles.filled(event)
        if self._deliveries is not None and self._deliveries.asks(event):
            event = await self._deliveries.traced(event)
        try:
            return await self._governed(event, ask, held)
        finally:
            self._sending.over(event.id)
            if self.entrance is not None:
                self.entrance.over(event)

    async def _governed(self, event: CallProposed, ask: Proposal, held: HeldCall | None) -> Reply:
        try:
            outcome, reply = await self._admit(event, ask, held)
        except StoreUnavailable:
            return refusals.unrecorded(event)
        if reply is not None:
            return reply
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        if (refused := outcome.refused) is not None:
            return self._refusal(judged, outcome.policy, refused, ask)
        joins = self.enforce and effects.counts(judged)
        attached_to = effects.attached_to(check.facts for check in outcome.checks) if joins else None
        params = to_send(ask, judged)
        if self.entrance is not None and (fences := self.entrance.begun(judged, outcome)):
            params = fenced(params, fences)
        return await self._carry_out(judged, params, ask, attached_to)

    def _refusal(self, judged: CallProposed, policy: str | None, refused: Deny | Hold, ask: Proposal) -> Reply:
        if isinstance(refused, Deny) and refused.answer is not None:
            earlier = self.answers.get(refused.answer)
            if earlier is not None:
                return refusals.again(judged, policy, refused, earlier)
        return refusals.of_call(judged, policy, refused, modern=ask.era is Era.STATELESS)

    async def ended(self, run: Run) -> None:
        """The session that named the run has ended: nobody will come back to it, so its accounts need not stay."""
        if run.source is not Source.SESSION:
            return
        if self._deliveries is not None:
            self._deliveries.over(run.id)
        if self.entrance is not None:
            await self.entrance.ended(run.id)
        keys = (run_key(run.id), milestones_key(run.id), state_key(run.id), checkpoint_key(run.id), label_key(run.id))
        behaviour = (window_key(run.id), ladder_key(run.id), label_key(run.id))
        with suppress(StoreUnavailable):
            # What its calls called may still call in its name, and must find it as it was: spent, paused or stopped.
            ttl_s = ENDED_S + KEPT_S if run.lent else ENDED_S
            ends = [Expire(key, ttl_s) for key in keys]
            ends += [Expire(key, ttl_s if run.lent else 0.0) for key in behaviour]
            await self._store.commit(ends, EMPTY, None, at=self._clock())

    async def late(self, task: Task, reply: Reply, *, modern: bool) -> Reply:
        """Judge what came of a task as the result of the call that began it."""
        return await self.settlement.late(task, reply, modern=modern)

    async def cancelled(self, task: Task) -> None:
        """The upstream says that a task was cancelled: nothing will come of it."""
        if not task.concluded:
            task.concluded = True
            await self.settlement.cancelled(task.proposal, "the task was cancelled", task=task.id)

    def _later_round(self, event: CallProposed, value: Mapping[str, Any]) -> CallProposed:
        """What a retry brings along beside the arguments (2026-07-28, basic/patterns/mrtr)."""
        answers = value.get("inputResponses")
        continues = self._continuations.first_of(value.get("requestState"), binding_of(event), at=event.at)
        return msgspec.structs.replace(
            event, continues=continues, answers=answers if isinstance(answers, dict) else None
        )

    async def _admit(self, event: CallProposed, ask: Proposal, held: HeldCall | None) -> tuple[Outcome, Reply | None]:
        """Judge the call, and ask a person where a policy wants one, until it is known what becomes of it.

        Raises:
            StoreUnavailable: the call needs its record first, and there is none.
        """
        seq = ask.run.next_seq()
        outcome = await self._decide(event, ask, held, seq)
        while self.holds is not None and isinstance(outcome.refused, Hold):
            held = held or self.holds.hold(ask)
            try:
                over = await held.ask(outcome)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await self._propose(held.gave_up(outcome, stopping=self._stopping), EMPTY, ask, seq)
                raise
            if over is not None:
                await self._propose(over.outcome, EMPTY, ask, seq)
                return over
            outcome = await self._decide(await self._as_it_is_now(event, ask), ask, held, seq)
        return outcome, None

    async def _as_it_is_now(self, event: CallProposed, ask: Proposal) -> CallProposed:
        """A person takes a while. What was approved is bound to the tool's definition, so that is looked up again."""
        tool = event.tool
        if event.method == "tools/call" and ask.relist is not None:
            tool = await ask.relist() or tool
        return msgspec.structs.replace(event, at=self._clock(), tool=tool)

    async def _decide(self, event: CallProposed, ask: Proposal, held: HeldCall | None, seq: int) -> Outcome:
        """Judge the call and write that down together with what the policies asked to write, or none of it.

        Raises:
            StoreUnavailable: the call needs its record first, and there is none.
        """
        for _ in range(JUDGEMENTS):
            outcome, read = said = await self._judge(event, ask, held)
            if self.entrance is not None and not self.entrance.open_to(event, outcome):
                outcome, read = await self.entrance.passed(event, said, lambda now: self._judge(now, ask, held))
            if self.holds is not None and isinstance(outcome.refused, Hold):
                if await self._wait(outcome, read, ask, seq):
                    return outcome
            elif await self._propose(outcome, read, ask, seq, approved=held is not None):
                return outcome
        outcome = contended(outcome, _UNSENT.format(tool=event.tool.exposed))
        if self.holds is not None and isinstance(outcome.refused, Hold):
            return outcome
        await self._propose(outcome, EMPTY, ask, seq)
        return outcome

    async def _wait(self, outcome: Outcome, read: Snapshot, ask: Proposal, seq: int) -> bool:
        """Write down that the call waits for a person from now on: should we die meanwhile, that is known of it.

        The record is written anew when the wait is over. Until then it is a refusal's, which admits nothing.
        """
        try:
            return await self._store.commit(outcome.writes, read, self._entry(outcome, ask, seq), at=outcome.event.at)
        except StoreUnavailable:
            if outcome.writes:
                raise
            return True  # nobody can be asked then, and that is said where it is tried

    async def _judge(self, event: CallProposed, ask: Proposal, held: HeldCall | None) -> Judgement:
        said = await self._descend(event, held)
        if said.outcome.refused is not None and said.outcome.policy in _OF_A_LISTING and event.method == "tools/call":
            # The upstream may have changed the tool since it was listed: a refusal rests on a fresh listing.
            fresh = await ask.refresh()
            if fresh is not None and fresh is not event.tool:
                return await self._descend(msgspec.structs.replace(event, tool=fresh), held)
        return said

    async def _descend(self, event: CallProposed, held: HeldCall | None) -> Judgement:
        keys = pipeline.keys(self.policies, event)
        if held is not None:
            keys = (*keys, *held.keys)
        state = await self._store.read(keys, at=event.at) if keys else EMPTY
        if held is None:
            return Judgement(pipeline.descend(self.policies, event, state, enforce=self.enforce), state)
        descend = partial(pipeline.descend, self.policies, event, state, enforce=self.enforce)
        return Judgement(held.judge(lambda grants: descend(granted=grants), event, state), state)

    async def _propose(
        self, outcome: Outcome, read: Snapshot, ask: Proposal, seq: int, *, approved: bool = False
    ) -> bool:
        """Write the proposal down; for a call with effects, durably, before anything is sent.

        So for one that a person ``approved``, whatever it does: the approval is spent by the same commit.

        Returns ``False`` where the judgement no longer holds: nothing is written then.
        """
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        has_effect = judged.tool.effect is not Effect.READ and judged.method == "tools/call"
        entry = self._entry(outcome, ask, seq)
        first = has_effect or approved
        durable = first and not entry.final
        try:
            return await self._store.commit(outcome.writes, read, entry, at=judged.at, durable=durable)
        except StoreUnavailable as fault:
            _log.error("the ledger cannot be written: %s", fault)
            if (first or any(isinstance(write, Lock) for write in outcome.writes)) and self.enforce:
                raise
            return True

    def _entry(self, outcome: Outcome, ask: Proposal, seq: int) -> Proposed:
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        return self._recorder.proposed(
            outcome,
            judged,
            ask.run,
            seq=seq,
            asked=ask.arguments,
            raw_arguments=raw_arguments(ask.request),
            era=ask.era,
            transport=ask.transport,
        )

    async def _carry_out(
        self, judged: CallProposed, params: bytes | None, ask: Proposal, attached_to: str | None
    ) -> Reply:
        """Send the call and conclude its record, whatever becomes of it."""
        late = partial(self._returned, judged, ask=ask, late=True)
        try:
            came, shared = await self._sending.made(judged, params, ask, attached_to=attached_to, late=late)
        except UpstreamFault as fault:
            return await self.settlement.of_fault(judged, fault)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                why, on = _CUT if self._stopping else "the client gave up", self._sending.goes_on(judged.id)
                await self.settlement.cancelled(judged, why, shared=attached_to or "", goes_on=on)
            raise
        if isinstance(came, UpstreamFault):
            return await self.settlement.of_fault(judged, came, shared=shared)
        return await self._returned(judged, came, ask, shared=shared)

    async def _returned(
        self, judged: CallProposed, reply: Reply, ask: Proposal, *, shared: str = "", late: bool = False
    ) -> Reply:
        said = truth.of_reply(judged.method, reply)
        task = tasks.id_of(reply) if said is Truth.TASK else None
        modern = ask.era is Era.STATELESS
        passed = await self.settlement.of_reply(
            judged, reply, said, modern=modern, task=task, late=late, shared=shared, ask=ask
        )
        if passed is not reply or not isinstance(reply, Result):
            return passed
        if said is Truth.INPUT_REQUIRED:
            # Bound to what the client sent, for that is what it sends again.
            binding = binding_of(msgspec.structs.replace(judged, tool=ask.tool, arguments=ask.arguments))
            self._continuations.asked(reply, binding, judged.continues or judged.id, at=self._clock())
        if said is Truth.TASK:
            self.tasks.begun(judged, reply, ask.holder, at=self._clock())
            return tasks.begun_as(judged.tool.upstream, reply) if ask.holder.prefixed else reply
        return reply
