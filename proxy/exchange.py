"""One governed call, from proposal to record: the only room in which a call waits.

Decide, then act: the pipeline judges, the store takes the record, then the upstream is called under its deadline, the
same list judges the result on its way back, and the record is closed. What was judged is what is sent.

A judgement holds for the state that it read. Where the store refuses what it asked to write, because a ceiling would
be passed or the state has changed, it is made anew; where that goes on, nothing passes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from fuseboard import param_headers, pipeline, refusals, tasks, truth
from fuseboard.continuations import Continuations, binding_of
from fuseboard.deadline import Deadline
from fuseboard.era import Era, is_header_mismatch
from fuseboard.errors import UPSTREAM_JUNK, StoreUnavailable, UpstreamFault, UpstreamLost
from fuseboard.events import Caller, CallProposed, CallReturned, Effect, Tool
from fuseboard.ids import Ids
from fuseboard.pipeline import Check, Outcome, Policies
from fuseboard.ports import Failure, Reply, Request, Result, Scope, Store
from fuseboard.recording import Recorder
from fuseboard.runs import Run
from fuseboard.state import EMPTY, Snapshot
from fuseboard.tasks import NOBODY, Holder, Task, Tasks
from fuseboard.truth import Truth
from fuseboard.upstreams.seats import Seat
from fuseboard.verdicts import Deny, Hold
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.exchange")

DEFAULT_TIMEOUT_S: Final = 600.0
"""The deadline of a call that the configuration names none for: nothing waits for ever."""

_JUDGEMENTS: Final = 8
"""How often a call or its result is judged while others keep changing the state under it."""

CONTENTION: Final = "state_contention"
"""The rule of a refusal because no judgement held."""

_UNSENT: Final = (
    "{tool} was not called: other calls kept changing what the decision rests on. Wait a moment and call it again."
)
_WITHHELD: Final = (
    "{tool} was called, but its result is withheld: other calls kept changing what the decision rests on. "
    "Do not repeat the call before you have checked what it did."
)

_NAME_FIELD: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


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
    holder: Holder = NOBODY


class _Judgement(NamedTuple):
    """What was said, and the state that it rests on."""

    outcome: Outcome
    read: Snapshot


class Exchange:
    """Carries out governed calls. ``clock`` gives Unix seconds."""

    def __init__(
        self,
        policies: Policies,
        store: Store,
        recorder: Recorder,
        ids: Ids,
        clock: Callable[[], float],
        *,
        enforce: bool,
    ) -> None:
        self.policies = policies
        self.tasks = Tasks()
        self._continuations = Continuations()
        self._store = store
        self._recorder = recorder
        self._ids = ids
        self._clock = clock
        self.enforce = enforce

    def now(self) -> float:
        return self._clock()

    async def govern(self, ask: Proposal) -> Reply:
        """Judge, record, send, judge again, record again, answer."""
        at = ask.at
        event = CallProposed(
            at, self._ids.decision(at), ask.run.id, ask.request.method, ask.caller, ask.tool, ask.arguments
        )
        value = ask.request.value
        if value is not None and ("requestState" in value or "inputResponses" in value):
            event = self._later_round(event, value)
        try:
            outcome = await self._decide(event, ask)
        except StoreUnavailable:
            return refusals.unrecorded(event)
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        if (refused := outcome.refused) is not None:
            return refusals.of_call(judged, outcome.policy, refused, modern=ask.era is Era.STATELESS)
        return await self._carry_out(judged, _to_send(ask, judged), ask)

    async def late(self, task: Task, reply: Reply, *, modern: bool) -> Reply:
        """Judge what came of a task as the result of the call that began it.

        The first delivery closes the call's record once more. Others are judged alike, and neither written down nor
        charged for: a client may fetch a result as often as it likes.
        """
        judged = task.proposal
        said = truth.of_reply(judged.method, reply)
        if not task.concluded:
            task.concluded = True  # before anything is waited for: another delivery may be under way
            return await self._settle(judged, reply, said, modern=modern, task=task.id)
        if not isinstance(reply, Result) or judged.tool.result is None:
            return reply
        try:
            value = msgspec.json.decode(reply.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            return frames.failure(UPSTREAM_JUNK, _unreadable(judged, fault)) if self.enforce else reply
        outcome, _ = await self._ascend(CallReturned(self._clock(), judged, said, value))
        refused = outcome.refused
        return reply if refused is None else refusals.of_call(judged, outcome.policy, refused, modern=modern)

    async def cancelled(self, task: Task) -> None:
        """The upstream says that a task was cancelled: nothing will come of it."""
        if not task.concluded:
            task.concluded = True
            message = "the task was cancelled"
            await self._conclude(task.proposal, Truth.CANCELLED, None, error=message, task=task.id)

    def _later_round(self, event: CallProposed, value: Mapping[str, Any]) -> CallProposed:
        """What a retry brings along beside the arguments (2026-07-28, basic/patterns/mrtr)."""
        answers = value.get("inputResponses")
        continues = self._continuations.first_of(value.get("requestState"), binding_of(event), at=event.at)
        return msgspec.structs.replace(
            event, continues=continues, answers=answers if isinstance(answers, dict) else None
        )

    async def _decide(self, event: CallProposed, ask: Proposal) -> Outcome:
        """Judge the call and write that down together with what the policies asked to write, or none of it.

        Raises:
            StoreUnavailable: the call needs its record first, and there is none.
        """
        seq = 0
        for _ in range(_JUDGEMENTS):
            outcome, read = await self._judge(event, ask)
            seq = seq or ask.run.next_seq()
            if await self._propose(outcome, read, ask, seq):
                return outcome
        outcome = _contended(outcome, _UNSENT.format(tool=event.tool.exposed))
        await self._propose(outcome, EMPTY, ask, seq)
        return outcome

    async def _judge(self, event: CallProposed, ask: Proposal) -> _Judgement:
        said = await self._descend(event)
        if said.outcome.refused is not None and said.outcome.policy == "schema":
            # The upstream may have changed the schema since it was listed: a refusal rests on a fresh listing.
            fresh = await ask.refresh()
            if fresh is not None and fresh is not event.tool:
                return await self._descend(msgspec.structs.replace(event, tool=fresh))
        return said

    async def _descend(self, event: CallProposed) -> _Judgement:
        state = await self._read(event)
        return _Judgement(pipeline.descend(self.policies, event, state, enforce=self.enforce), state)

    async def _read(self, event: CallProposed | CallReturned) -> Snapshot:
        keys = pipeline.keys(self.policies, event)
        return await self._store.read(keys, at=event.at) if keys else EMPTY

    async def _propose(self, outcome: Outcome, read: Snapshot, ask: Proposal, seq: int) -> bool:
        """Write the proposal down; for a call with effects, durably, before anything is sent.

        Returns ``False`` where the judgement no longer holds: nothing is written then.
        """
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        has_effect = judged.tool.effect is not Effect.READ and judged.method == "tools/call"
        entry = self._recorder.proposed(
            outcome,
            judged,
            ask.run,
            seq=seq,
            asked=ask.arguments,
            raw_arguments=_raw_arguments(ask.request),
            era=ask.era,
            transport=ask.transport,
        )
        durable = has_effect and not entry.final
        try:
            return await self._store.commit(outcome.writes, read, entry, at=judged.at, durable=durable)
        except StoreUnavailable as fault:
            _log.error("the ledger cannot be written: %s", fault)
            if has_effect and self.enforce:
                raise
            return True

    async def _carry_out(self, judged: CallProposed, params: bytes | None, ask: Proposal) -> Reply:
        """Send the call and conclude its record, whatever becomes of it."""
        try:
            reply = await self._call(judged, ask, params)
        except UpstreamFault as fault:
            await self._conclude(judged, truth.of_fault(fault), None, error=fault.message)
            return frames.failure(fault.code, fault.message)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._conclude(judged, Truth.CANCELLED, None, error="the client gave up")
            raise
        return await self._returned(judged, reply, ask)

    async def _call(self, judged: CallProposed, ask: Proposal, params: bytes | None) -> Reply:
        deadline = Deadline(ask.timeout_s)
        try:
            return await self._send(judged, ask, params)
        except asyncio.CancelledError:
            if not deadline.was_it():
                raise
        finally:
            deadline.over()
        raise ask.seat.upstream.timed_out(ask.request.method, ask.timeout_s)

    async def _send(self, judged: CallProposed, ask: Proposal, params: bytes | None) -> Reply:
        # Headers that mirror arguments say what was judged; those that the client sent go no further.
        headers = param_headers.derived(judged.tool.mirrored, judged.arguments)
        try:
            reply = await ask.seat.request(ask.request.method, params, ask.scope, headers=headers)
        except UpstreamLost:
            if not judged.tool.idempotent:  # the operator's word, never the upstream's hint
                raise
            reply = await ask.seat.request(ask.request.method, params, ask.scope, headers=headers)
        if isinstance(reply, Failure) and ask.relist is not None and is_header_mismatch(reply):
            # 2026-07-28, custom headers: the listing is stale. Nobody has read the call, so it is sent once more.
            fresh = await ask.relist()
            anew = param_headers.derived(fresh.mirrored, judged.arguments) if fresh is not None else headers
            if anew != headers:
                return await ask.seat.request(ask.request.method, params, ask.scope, headers=anew)
        return reply

    async def _returned(self, judged: CallProposed, reply: Reply, ask: Proposal) -> Reply:
        said = truth.of_reply(judged.method, reply)
        task = tasks.id_of(reply) if said is Truth.TASK else None
        passed = await self._settle(judged, reply, said, modern=ask.era is Era.STATELESS, task=task)
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

    async def _settle(
        self, judged: CallProposed, reply: Reply, said: Truth, *, modern: bool, task: str | None = None
    ) -> Reply:
        """Judge what came back, close the record, and give what the client gets."""
        if not isinstance(reply, Result) or judged.tool.result is None:
            await self._conclude(judged, said, reply, task=task)
            return reply
        try:
            outcome = await self._decide_result(judged, reply, said, task)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            message = _unreadable(judged, fault)
            await self._conclude(judged, Truth.MALFORMED, reply, error=message, task=task)
            return frames.failure(UPSTREAM_JUNK, message) if self.enforce else reply
        if (refused := outcome.refused) is not None:
            return refusals.of_call(judged, outcome.policy, refused, modern=modern)
        return reply

    async def _decide_result(self, judged: CallProposed, reply: Result, said: Truth, task: str | None) -> Outcome:
        """Judge the result and close the record, together with what the policies asked to write."""
        value = msgspec.json.decode(reply.raw)
        for _ in range(_JUDGEMENTS):
            outcome, read = await self._ascend(CallReturned(self._clock(), judged, said, value))
            truly = _as_judged(said, outcome)
            if await self._conclude(judged, truly, reply, outcome=outcome, read=read, task=task):
                return outcome
        outcome = _contended(outcome, _WITHHELD.format(tool=judged.tool.exposed))
        await self._conclude(judged, _as_judged(said, outcome), reply, outcome=outcome, task=task)
        return outcome

    async def _ascend(self, event: CallReturned) -> _Judgement:
        state = await self._read(event)
        return _Judgement(pipeline.ascend(self.policies, event, state, enforce=self.enforce), state)

    async def _conclude(
        self,
        judged: CallProposed,
        said: Truth,
        reply: Reply | None,
        *,
        error: str | None = None,
        outcome: Outcome | None = None,
        read: Snapshot = EMPTY,
        task: str | None = None,
    ) -> bool:
        """Close the record. Returns ``False`` where the judgement no longer holds: nothing is written then."""
        at = self._clock()
        entry = self._recorder.concluded(
            judged, at=at, truth=said, reply=reply, error=error, outcome=outcome, task=task
        )
        writes = outcome.writes if outcome is not None else ()
        try:
            return await self._store.commit(writes, read, entry, at=at)
        except StoreUnavailable as fault:
            # The call is done; withholding its answer would only make the agent repeat it.
            _log.error("the ledger cannot be written: %s", fault)
            return True


def _contended(outcome: Outcome, reason: str) -> Outcome:
    """What is left where no judgement held: nothing is written but the record. A refusal stays the one that it was."""
    check = Check("state", "deny", CONTENTION, {"judgements": _JUDGEMENTS})
    changes: dict[str, Any] = {"checks": (*outcome.checks, check), "writes": ()}
    if not isinstance(outcome.verdict, Deny | Hold):
        changes |= {"verdict": Deny(CONTENTION, reason), "policy": "state"}
    return msgspec.structs.replace(outcome, **changes)


def _unreadable(judged: CallProposed, fault: Exception) -> str:
    """A result that cannot be judged does not pass."""
    return f"{judged.tool.upstream} answered {judged.tool.exposed} with a result that cannot be read: {fault}"


def _as_judged(said: Truth, outcome: Outcome) -> Truth:
    """What the reply turned out to be once the policies had seen it."""
    if not isinstance(outcome.verdict, Deny | Hold) or said is Truth.MALFORMED:
        return said
    return Truth.SCHEMA_VIOLATION if outcome.policy == "schema" else Truth.DENIED


def _raw_arguments(request: Request) -> bytes:
    if request.method == "resources/read":
        return b"{}"
    fields = splice.fields(request.params)
    return bytes(fields["arguments"]) if "arguments" in fields else b"{}"


def _to_send(ask: Proposal, judged: CallProposed) -> bytes | None:
    """The params as they go upstream: the client's own bytes but for what had to change."""
    changed: dict[str, Any] = {}
    name_field = _NAME_FIELD[ask.request.method]
    value = ask.request.value
    if value is not None and value.get(name_field) != judged.tool.name:
        changed[name_field] = judged.tool.name
    if judged.arguments is not ask.arguments:
        changed["arguments"] = dict(judged.arguments)
    return splice.with_fields(ask.request.params, **changed) if changed else ask.request.params
