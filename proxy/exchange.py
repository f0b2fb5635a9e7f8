"""One governed call, from proposal to record: the only room in which a call waits.

Decide, then act: the pipeline judges, the store takes the record, then the upstream is called under its deadline, the
same list judges the result on its way back, and the record is closed. What was judged is what is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio
import msgspec

from fuseboard import pipeline, refusals, truth
from fuseboard.era import Era
from fuseboard.errors import LEDGER_UNAVAILABLE, UPSTREAM_JUNK, StoreUnavailable, UpstreamFault
from fuseboard.events import Caller, CallProposed, CallReturned, Effect, Tool
from fuseboard.ids import Ids
from fuseboard.pipeline import Outcome, Policies
from fuseboard.ports import Reply, Request, Result, Scope, Store
from fuseboard.recording import Recorder
from fuseboard.runs import Run
from fuseboard.state import EMPTY
from fuseboard.truth import Truth
from fuseboard.upstreams.seats import Seat
from fuseboard.verdicts import Deny, Hold
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.exchange")

DEFAULT_TIMEOUT_S: Final = 600.0
"""The deadline of a call that the configuration names none for: nothing waits for ever."""

_NAME_FIELD: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Proposal(msgspec.Struct, frozen=True):
    """What a session knows of a governed request once it has been routed.

    ``refresh`` lists the upstream's tools anew and gives the tool as it is now, or ``None`` where that was done lately.
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
    refresh: Callable[[], Awaitable[Tool | None]]


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
        self._store = store
        self._recorder = recorder
        self._ids = ids
        self._clock = clock
        self.enforce = enforce

    async def govern(self, ask: Proposal) -> Reply:
        """Judge, record, send, judge again, record again, answer."""
        at = self._clock()
        event = CallProposed(
            at, self._ids.decision(at), ask.run.id, ask.request.method, ask.caller, ask.tool, ask.arguments
        )
        outcome = await self._judge(event, ask)
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        if (fault := await self._record_proposal(outcome, judged, ask)) is not None:
            return fault
        if (refused := outcome.refused) is not None:
            return self._refusal(judged, outcome.policy, refused, ask)
        return await self._carry_out(judged, _to_send(ask, judged), ask)

    async def _judge(self, event: CallProposed, ask: Proposal) -> Outcome:
        outcome = await self._descend(event)
        if outcome.refused is not None and outcome.policy == "schema":
            # The upstream may have changed the schema since it was listed: a refusal rests on a fresh listing.
            fresh = await ask.refresh()
            if fresh is not None and fresh is not event.tool:
                return await self._descend(msgspec.structs.replace(event, tool=fresh))
        return outcome

    async def _descend(self, event: CallProposed) -> Outcome:
        keys = pipeline.keys(self.policies, event)
        state = await self._store.read(keys, at=event.at) if keys else EMPTY
        return pipeline.descend(self.policies, event, state, enforce=self.enforce)

    async def _record_proposal(self, outcome: Outcome, judged: CallProposed, ask: Proposal) -> Reply | None:
        """Write the proposal down; for a call with effects, durably, before anything is sent."""
        has_effect = judged.tool.effect is not Effect.READ and judged.method == "tools/call"
        entry = self._recorder.proposed(
            outcome,
            judged,
            ask.run,
            raw_arguments=_raw_arguments(ask.request),
            era=ask.era,
            transport=ask.transport,
        )
        try:
            await self._store.commit(outcome.writes, EMPTY, entry, at=judged.at, durable=has_effect and not entry.final)
        except StoreUnavailable as fault:
            _log.error("the ledger cannot be written: %s", fault)
            if has_effect and self.enforce:
                message = (
                    f"{judged.tool.exposed} was not called: the ledger cannot be written, and a call with effects "
                    "needs its record first. Tell the operator; a retry helps only once the ledger is back."
                )
                return frames.failure(LEDGER_UNAVAILABLE, message)
        return None

    def _refusal(self, judged: CallProposed, policy: str | None, verdict: Deny | Hold, ask: Proposal) -> Reply:
        said = refusals.decision(judged.id, judged.run, policy, verdict)
        return refusals.reply(judged.method, verdict, said, modern=ask.era is Era.STATELESS)

    async def _carry_out(self, judged: CallProposed, params: bytes | None, ask: Proposal) -> Reply:
        """Send the call and conclude its record, whatever becomes of it."""
        try:
            reply = await self._call(ask, params)
        except UpstreamFault as fault:
            await self._conclude(judged, truth.of_fault(fault), None, error=fault.message)
            return frames.failure(fault.code, fault.message)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._conclude(judged, Truth.CANCELLED, None, error="the client gave up")
            raise
        return await self._returned(judged, reply, ask)

    async def _call(self, ask: Proposal, params: bytes | None) -> Reply:
        with anyio.move_on_after(ask.timeout_s):
            return await ask.seat.request(ask.request.method, params, ask.scope, headers=ask.request.headers)
        raise ask.seat.upstream.timed_out(ask.request.method, ask.timeout_s)

    async def _returned(self, judged: CallProposed, reply: Reply, ask: Proposal) -> Reply:
        said = truth.of_reply(judged.method, reply)
        outcome: Outcome | None = None
        if isinstance(reply, Result) and judged.tool.result is not None:
            try:
                outcome = await self._ascend(judged, reply, said)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
                return await self._unreadable(judged, reply, fault)
        if outcome is not None and isinstance(outcome.verdict, Deny | Hold) and said is not Truth.MALFORMED:
            said = Truth.SCHEMA_VIOLATION if outcome.policy == "schema" else Truth.DENIED
        await self._conclude(judged, said, reply, outcome=outcome)
        if outcome is not None and (refused := outcome.refused) is not None:
            return self._refusal(judged, outcome.policy, refused, ask)
        return reply

    async def _unreadable(self, judged: CallProposed, reply: Result, fault: Exception) -> Reply:
        """A result that cannot be judged does not pass."""
        message = f"{judged.tool.upstream} answered {judged.tool.exposed} with a result that cannot be read: {fault}"
        await self._conclude(judged, Truth.MALFORMED, reply, error=message)
        return frames.failure(UPSTREAM_JUNK, message) if self.enforce else reply

    async def _ascend(self, judged: CallProposed, reply: Result, said: Truth) -> Outcome:
        event = CallReturned(self._clock(), judged, said, msgspec.json.decode(reply.raw))
        keys = pipeline.keys(self.policies, event)
        state = await self._store.read(keys, at=event.at) if keys else EMPTY
        return pipeline.ascend(self.policies, event, state, enforce=self.enforce)

    async def _conclude(
        self,
        judged: CallProposed,
        said: Truth,
        reply: Reply | None,
        *,
        error: str | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        at = self._clock()
        entry = self._recorder.concluded(judged, at=at, truth=said, reply=reply, error=error, outcome=outcome)
        writes = outcome.writes if outcome is not None else ()
        try:
            await self._store.commit(writes, EMPTY, entry, at=at)
        except StoreUnavailable as fault:
            # The call is done; withholding its answer would only make the agent repeat it.
            _log.error("the ledger cannot be written: %s", fault)


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
