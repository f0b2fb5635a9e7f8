"""The second half of a governed call: what came back is judged, what it took is settled, and its record is closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from fuseboard import pipeline, refusals, truth
from fuseboard.answers import Answers
from fuseboard.beside import Beside
from fuseboard.cleaning.fields import Root
from fuseboard.cleaning.result import Cleaned, Cleaner
from fuseboard.errors import UPSTREAM_JUNK, StoreUnavailable, UpstreamFault, UpstreamLost
from fuseboard.events import CallProposed, CallReturned, Effect
from fuseboard.keeping import Asked, Keeping
from fuseboard.pipeline import Check, Outcome, Policies
from fuseboard.ports import Reply, Result, Store
from fuseboard.provenance import Deliveries
from fuseboard.recording import Recorder
from fuseboard.results import findings
from fuseboard.results.suspects import suspect
from fuseboard.state import EMPTY, Snapshot
from fuseboard.tasks import Task
from fuseboard.truth import Truth
from fuseboard.verdicts import Deny, Hold
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.exchange")

JUDGEMENTS: Final = 8
"""How often a call or its result is judged while others keep changing the state under it."""

CONTENTION: Final = "state_contention"
"""The rule of a refusal because no judgement held."""

_REFUSALS: Final = (Deny, Hold)
_GIVEN_AGAIN: Final = (Truth.OK, Truth.EMPTY, Truth.BUSINESS_ERROR)

_MAY_BE_CUT: Final = 1000
"""No ``output.max`` is smaller: whatever is shorter is hardly ever cut, and then merely not told where the rest is."""

_UNFINISHED: Final = (Truth.TASK, Truth.INPUT_REQUIRED)

_UNKNOWN: Final = "; whether it took effect is unknown: find that out before you call it again"

_WITHHELD: Final = (
    "{tool} was called, but its result is withheld: other calls kept changing what the decision rests on. "
    "Do not repeat the call before you have checked what it did."
)


class _Error(msgspec.Struct):
    message: str = ""


_ERROR: Final = msgspec.json.Decoder(_Error)


class Judgement(NamedTuple):
    """What was said, and the state that it rests on."""

    outcome: Outcome
    read: Snapshot


class Settlement:
    """Closes governed calls. ``clock`` gives Unix seconds. Without ``keeping`` what is not passed on is gone."""

    def __init__(
        self,
        policies: Policies,
        store: Store,
        recorder: Recorder,
        clock: Callable[[], float],
        answers: Answers,
        *,
        enforce: bool,
        cleaner: Cleaner | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self.policies = policies
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._enforce = enforce
        self._bath = Beside(cleaner) if cleaner is not None else None
        self._light = cleaner.light if cleaner is not None and enforce else None
        self._answers = answers
        self._keeping = keeping if enforce else None
        self.deliveries: Deliveries | None = None
        """Who remembers what was delivered, where anybody does."""

    async def of_reply(
        self,
        judged: CallProposed,
        reply: Reply,
        said: Truth,
        *,
        modern: bool,
        task: str | None = None,
        late: bool = False,
        shared: str = "",
        ask: Asked | None = None,
    ) -> Reply:
        """Judge what came back, settle, close the record, and give what the client gets.

        ``task`` is the task that began with it or, where it is ``late``, that it came of. ``shared`` is the decision of
        the call that was really made, where this one was given that one's result. ``ask`` is the call as it was made.
        """
        # first of all: what is judged, kept and given is what was left of it
        reply, cleaned = await self._clean(judged, reply)
        try:
            value = _value(judged, reply)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            message = _unreadable(judged, fault)
            junk = Truth.MALFORMED
            await self._close(
                judged, junk, reply, None, error=message, task=task, late=late, shared=shared, cleaned=cleaned
            )
            return frames.failure(UPSTREAM_JUNK, message) if self._enforce else reply
        outcome = await self._close(judged, said, reply, value, task=task, late=late, shared=shared, cleaned=cleaned)
        if outcome.refused is not None:
            return await self._withheld(judged, reply, outcome, cleaned, modern=modern, ask=ask)
        if self.deliveries is not None:
            self.deliveries.delivered(judged, reply.raw, outcome.event.at)
        if self._keeping is not None and (judged.tool.opaque or (cleaned is not None and cleaned.uncut is not None)):
            reply, cleaned = await self._keeping.given(judged, reply, cleaned, said, modern=modern, ask=ask)
        if self._light is not None:
            reply, cleaned = self._lit(judged, reply, cleaned)
        if cleaned is not None and self._enforce:
            reply = refusals.cleaned(judged, reply, cleaned.counts)
        if isinstance(reply, Result) and said in _GIVEN_AGAIN:
            self._answers.keep(judged.id, reply)  # without what is said beside it: that is for this moment
        if outcome.nudges and isinstance(reply, Result):
            return refusals.nudged(judged, reply, outcome.nudges)
        return reply

    def _lit(self, judged: CallProposed, reply: Reply, cleaned: Cleaned | None) -> tuple[Reply, Cleaned | None]:
        """With its texts set apart: the last hand, for all that judge or compare results know them without."""
        if self._light is None or judged.tool.opaque or not isinstance(reply, Result):
            return reply, cleaned
        lit = self._light.lit(judged.tool.source, judged.run, reply.raw)
        if not lit.counts:
            return reply, cleaned
        counts = {**(cleaned.counts if cleaned is not None else {}), **lit.counts}
        return Result(lit.raw), msgspec.structs.replace(lit, counts=counts)

    async def _withheld(
        self,
        judged: CallProposed,
        reply: Reply,
        outcome: Outcome,
        cleaned: Cleaned | None,
        *,
        modern: bool,
        ask: Asked | None = None,
    ) -> Reply:
        refused = outcome.refused
        assert refused is not None
        if self._keeping is None:
            return refusals.of_call(judged, outcome.policy, refused, modern=modern)
        return await self._keeping.withheld(judged, reply, outcome, cleaned, modern=modern, ask=ask)

    async def of_fault(self, judged: CallProposed, fault: UpstreamFault, *, shared: str = "") -> Reply:
        """The upstream did not answer: what that means for the call is written down, and what it held is settled."""
        told = fault.message + (_UNKNOWN if _may_have_happened(judged, fault) else "")
        reply, cleaned = await self._clean(judged, frames.failure(fault.code, told), keeps=False)
        said, error = truth.of_fault(fault), fault.message
        if cleaned is not None:
            error = _ERROR.decode(cleaned.raw).message  # the record is read at a terminal, too
        await self._close(judged, said, None, None, error=error, shared=shared, fault=fault, cleaned=cleaned)
        return reply if cleaned is None or not self._enforce else refusals.cleaned(judged, reply, cleaned.counts)

    async def _clean(self, judged: CallProposed, reply: Reply, *, keeps: bool = True) -> tuple[Reply, Cleaned | None]:
        """What is passed on of a reply, and what was taken out of it; the very same reply where that is nothing.

        ``keeps`` says whether what is cut of it may be kept, and so be promised.
        """
        if self._bath is None:
            return reply, None
        root = None if isinstance(reply, Result) else Root.ERROR
        may_be_cut = keeps and self._keeping is not None and len(reply.raw) >= _MAY_BE_CUT
        rest = self._keeping.rest_of(judged) if may_be_cut and self._keeping is not None else None
        cleaned = await self._bath.clean(judged.method, reply.raw, root, rest=rest)
        if not cleaned.counts:
            return reply, None
        return (type(reply)(cleaned.raw) if self._enforce else reply), cleaned

    async def cancelled(
        self, judged: CallProposed, message: str, *, task: str | None = None, shared: str = "", goes_on: bool = False
    ) -> None:
        """Its caller waits for the result no more. ``shared`` is the call whose result that was, where not its own;
        ``goes_on``: others still wait for it.
        """
        said = Truth.CANCELLED
        await self._close(judged, said, None, None, error=message, task=task, shared=shared, goes_on=goes_on)

    async def late(self, task: Task, reply: Reply, *, modern: bool) -> Reply:
        """Judge what came of a task as the result of the call that began it.

        The first delivery closes the call's record once more. Others are judged alike, and neither written down nor
        charged for: a client may fetch a result as often as it likes.
        """
        judged = task.proposal
        said = truth.of_reply(judged.method, reply)
        if not task.concluded:
            task.concluded = True  # before anything is waited for: another delivery may be under way
            return await self.of_reply(judged, reply, said, modern=modern, task=task.id, late=True)
        reply, cleaned = await self._clean(judged, reply)
        try:
            value = _value(judged, reply)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            return frames.failure(UPSTREAM_JUNK, _unreadable(judged, fault)) if self._enforce else reply
        event = CallReturned(self._clock(), judged, said, value, len(reply.raw), late=True)
        outcome, _ = await self._ascend(event, reply)  # what it says may have been taken back since the first delivery
        if outcome.refused is not None:
            return await self._withheld(judged, reply, outcome, cleaned, modern=modern)
        if self.deliveries is not None:
            self.deliveries.delivered(judged, reply.raw, event.at)
        if self._keeping is not None and (judged.tool.opaque or (cleaned is not None and cleaned.uncut is not None)):
            reply, cleaned = await self._keeping.given(judged, reply, cleaned, said, modern=modern)
        if self._light is not None:
            reply, cleaned = self._lit(judged, reply, cleaned)
        return reply if cleaned is None or not self._enforce else refusals.cleaned(judged, reply, cleaned.counts)

    async def _close(
        self,
        judged: CallProposed,
        said: Truth,
        reply: Reply | None,
        value: Any,
        *,
        error: str | None = None,
        task: str | None = None,
        late: bool = False,
        shared: str = "",
        fault: UpstreamFault | None = None,
        cleaned: Cleaned | None = None,
        goes_on: bool = False,
    ) -> Outcome:
        """Judge the result and close the record, together with what the policies asked to write."""
        size_bytes = len(reply.raw) if isinstance(reply, Result) else 0
        came = said
        for _ in range(JUDGEMENTS):
            event = CallReturned(self._clock(), judged, came, value, size_bytes, late, None, shared, goes_on)
            outcome, read = await self._ascend(event, reply, fault)
            telling = outcome if value is not None or _objected(outcome) else None
            if cleaned is not None:
                telling = _with_cleaned(outcome, cleaned)
            if self._light is not None and isinstance(reply, Result):
                telling = _with_light(telling, outcome, self._light.facts(judged.tool.source))
            said = _as_judged(_truth(outcome), outcome)
            if await self._conclude(judged, said, reply, outcome, telling, read, error, task):
                return outcome
        outcome = contended(outcome, _WITHHELD.format(tool=judged.tool.exposed))
        await self._conclude(judged, _as_judged(said, outcome), reply, outcome, outcome, EMPTY, error, task)
        return outcome

    async def _ascend(self, event: CallReturned, reply: Reply | None, fault: UpstreamFault | None = None) -> Judgement:
        keys = (*findings.keys(event.proposal), *pipeline.keys(self.policies, event))
        state = await self._store.read(keys, at=event.at) if keys else EMPTY
        if event.proposal.tool.quarantine and reply is not None and event.truth not in _UNFINISHED:
            event = msgspec.structs.replace(event, suspect=suspect(event.proposal.tool.quarantine, reply))
        if reply is not None and self._bath is not None and (said := self._bath.phrases(reply.raw)):
            event = msgspec.structs.replace(event, phrases=said)
        finding = findings.found(event, reply, state, fault)
        event = msgspec.structs.replace(event, truth=finding.truth, finding=finding)
        outcome = pipeline.ascend(self.policies, event, state, enforce=self._enforce)
        learnt = findings.learnt(findings.as_judged(event, _as_judged(finding.truth, outcome)))
        checks = (*outcome.checks, findings.check(finding)) if finding.evidence else outcome.checks
        return Judgement(msgspec.structs.replace(outcome, checks=checks, writes=(*outcome.writes, *learnt)), state)

    async def _conclude(
        self,
        judged: CallProposed,
        said: Truth,
        reply: Reply | None,
        outcome: Outcome,
        telling: Outcome | None,
        read: Snapshot,
        error: str | None,
        task: str | None,
    ) -> bool:
        """Close the record; ``telling`` is the judgement as far as the record shall hold it.

        Returns ``False`` where the judgement no longer holds: nothing is written then.
        """
        at = self._clock()
        entry = self._recorder.concluded(
            judged, at=at, truth=said, reply=reply, error=error, outcome=telling, task=task
        )
        try:
            return await self._store.commit(outcome.writes, read, entry, at=at)
        except StoreUnavailable as fault:
            # The call is done; withholding its answer would only make the agent repeat it.
            _log.error("the ledger cannot be written: %s", fault)
            return True


def contended(outcome: Outcome, reason: str) -> Outcome:
    """What is left where no judgement held: nothing is written but the record. A refusal stays the one that it was."""
    check = Check("state", "deny", CONTENTION, {"judgements": JUDGEMENTS})
    changes: dict[str, Any] = {"checks": (*outcome.checks, check), "writes": ()}
    if not isinstance(outcome.verdict, Deny | Hold):
        changes |= {"verdict": Deny(CONTENTION, reason), "policy": "state"}
    return msgspec.structs.replace(outcome, **changes)


def _with_cleaned(outcome: Outcome, cleaned: Cleaned) -> Outcome:
    """The judgement with what was taken out of the result before it: what, how often, where; nothing is quoted."""
    check = Check("output", "rewrite", "output.cleaned", cleaned.facts)
    return msgspec.structs.replace(outcome, checks=(*outcome.checks, check))


def _with_light(telling: Outcome | None, outcome: Outcome, facts: dict[str, Any] | None) -> Outcome | None:
    if facts is None:
        return telling
    check = Check("output", "rewrite", "output.spotlight", facts)
    return msgspec.structs.replace(telling or outcome, checks=(*(telling or outcome).checks, check))


def _objected(outcome: Outcome) -> bool:
    """Whether any policy had a word to say; of a result that nobody looked into, the record says what came, no more."""
    return any(check.verdict != "allow" or check.rule is not None for check in outcome.checks)


def _value(judged: CallProposed, reply: Reply) -> Any:
    """The result as a value, where it has a schema to fit. Nobody else looks into it."""
    return msgspec.json.decode(reply.raw) if isinstance(reply, Result) and judged.tool.result is not None else None


def _may_have_happened(judged: CallProposed, fault: UpstreamFault) -> bool:
    """Whether the model has to be told so: of a timeout its own words say it, and a read changes nothing."""
    return isinstance(fault, UpstreamLost) and judged.tool.effect is not Effect.READ


def _unreadable(judged: CallProposed, fault: Exception) -> str:
    """A result that cannot be judged does not pass."""
    return f"{judged.tool.upstream} answered {judged.tool.exposed} with a result that cannot be read: {fault}"


def _truth(outcome: Outcome) -> str:
    assert isinstance(outcome.event, CallReturned)
    return outcome.event.truth


def _as_judged(said: str, outcome: Outcome) -> Truth:
    """What the reply turned out to be once the policies had seen it."""
    if not isinstance(outcome.verdict, _REFUSALS) or said == Truth.MALFORMED:
        return said if isinstance(said, Truth) else Truth(said)
    return Truth.SCHEMA_VIOLATION if outcome.policy == "schema" else Truth.DENIED
