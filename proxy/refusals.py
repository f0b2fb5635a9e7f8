"""A refusal is a user interface: what the model reads when a call is denied, and what the machine reads beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from fuseboard.errors import DENIED, LEDGER_UNAVAILABLE
from fuseboard.events import CallProposed
from fuseboard.ports import Reply, Result
from fuseboard.verdicts import Allow, Deny, Hold, name_of
from fuseboard.wire import frames, splice

DECISION = "fuseboard/decision"
"""The ``_meta`` key under which every answer that Fuseboard wrote or changed says so."""


def decision(id: str, run: str, policy: str | None, verdict: Deny | Hold, word: str | None = None) -> dict[str, Any]:
    """The machine's half of a refusal.

    Contract: ``{id, run, verdict, policy, rule, reason, retry_after_s?, approval?, quarantine?}``; ``approval`` is the
    id of what a person was asked, ``quarantine`` the handle of a result that a person has to look at.
    """
    said: dict[str, Any] = {
        "id": id,
        "run": run,
        "verdict": word or name_of(verdict),
        "policy": policy,
        "rule": verdict.rule,
        "reason": verdict.reason,
    }
    if isinstance(verdict, Deny) and verdict.retry_after_s is not None:
        said["retry_after_s"] = verdict.retry_after_s
    if "approval" in verdict.facts:
        said["approval"] = verdict.facts["approval"]
    if "quarantine" in verdict.facts:
        said["quarantine"] = verdict.facts["quarantine"]
    return said


def text(verdict: Deny | Hold, id: str) -> str:
    """The model's half. The id at its end is the key for ``fuseboard trace why``."""
    return f"{verdict.reason} [{id}]"


def reply(method: str, verdict: Deny | Hold, said: dict[str, Any], *, modern: bool) -> Reply:
    """A refusal in the shape of the method: a tool result that the model reads, a JSON-RPC error elsewhere."""
    message = text(verdict, said["id"])
    if method != "tools/call":
        return frames.failure(DENIED, message, {DECISION: said})
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": message}],
        "isError": True,
        "_meta": {DECISION: said},
    }
    if modern:
        result["resultType"] = "complete"
    return Result(msgspec.json.encode(result))


_QUOTING: Final = ("locks", "flow")
"""Whose first lines quote arguments: the name of what is locked, the beginning of what was copied."""


def _unquoting(judged: CallProposed, verdict: Deny | Hold) -> str:
    reason = (
        f"{judged.tool.exposed} was not called, by {verdict.rule}. What handles among its arguments stand for is part "
        "of the reason, so the record alone tells it."
    )
    if isinstance(verdict, Deny) and verdict.retry_after_s is not None:
        reason += f" Call it again in {verdict.retry_after_s:g} s."
    if isinstance(verdict, Hold) and "approval" in verdict.facts:
        reason += f" A person was asked to approve it ({verdict.facts['approval']}): call it again once they have."
    return reason


def of_call(judged: CallProposed, policy: str | None, verdict: Deny | Hold, *, modern: bool) -> Reply:
    """The refusal of a call, or of what came of it. What a handle stands for is not quoted to who may not see it:
    the first line of a reason names the rule, and only those that follow may quote arguments, or all of them may.
    """
    if policy != "opaque" and any(not one.fault for one in judged.handles):
        quotes = policy in _QUOTING or "error" in verdict.facts
        reason = _unquoting(judged, verdict) if quotes else verdict.reason.partition("\n")[0]
        verdict = msgspec.structs.replace(verdict, reason=reason)
    return reply(judged.method, verdict, decision(judged.id, judged.run, policy, verdict), modern=modern)


def cleaned(judged: CallProposed, reply: Reply, counts: Mapping[str, int]) -> Reply:
    """A reply out of which something was taken, with the decision beside it: a result's in ``_meta``, an error's in
    ``data``, where there is room for it."""
    reason = "Cleaned before it was passed on: " + ", ".join(f"{what} × {count:,}" for what, count in counts.items())
    said = {"id": judged.id, "run": judged.run, "verdict": "rewrite"}
    said |= {"policy": "output", "rule": "output.cleaned", "reason": reason}
    try:
        fields = splice.fields(reply.raw)
        name = "_meta" if isinstance(reply, Result) else "data"
        inner = splice.fields(fields.get(name))
    except msgspec.MsgspecError:
        return reply
    fields[name] = msgspec.Raw(splice.join({**inner, DECISION: splice.raw(said)}))
    return type(reply)(splice.join(fields))


def nudged(judged: CallProposed, reply: Result, nudges: Sequence[tuple[str, Allow]]) -> Result:
    """The result with a sentence for the model after it, and with the decision beside it. All else keeps its bytes."""
    try:
        fields = splice.fields(reply.raw)
        blocks = splice.items(fields.get("content") or b"[]")  # left out beside structuredContent, by some
        meta = splice.fields(fields.get("_meta"))
    except msgspec.MsgspecError:
        return reply
    policy, first = nudges[0]
    reason = " ".join(verdict.nudge or "" for _, verdict in nudges)
    said = {"id": judged.id, "run": judged.run, "verdict": "nudge"}
    said |= {"policy": policy, "rule": first.rule or policy, "reason": reason}
    blocks.append(splice.raw({"type": "text", "text": f"[fuseboard] {reason} [{judged.id}]"}))
    fields["content"] = msgspec.Raw(splice.join(blocks))
    fields["_meta"] = msgspec.Raw(splice.join({**meta, DECISION: splice.raw(said)}))
    return Result(splice.join(fields))


def again(judged: CallProposed, policy: str | None, verdict: Deny, earlier: Result) -> Result:
    """An earlier answer in place of the call, after the reason why it was not made."""
    said = decision(judged.id, judged.run, policy, verdict)
    try:
        fields = splice.fields(earlier.raw)
        blocks = splice.items(fields["content"])
        meta = splice.fields(fields.get("_meta"))
    except (msgspec.MsgspecError, KeyError):
        return Result(earlier.raw)
    blocks.insert(0, splice.raw({"type": "text", "text": f"[fuseboard] {text(verdict, judged.id)}"}))
    fields["content"] = msgspec.Raw(splice.join(blocks))
    fields["_meta"] = msgspec.Raw(splice.join({**meta, DECISION: splice.raw(said)}))
    return Result(splice.join(fields))


def unrecorded(event: CallProposed) -> Reply:
    """The refusal of a call that nobody judged against it: its record cannot be written."""
    message = (
        f"{event.tool.exposed} was not called: the ledger cannot be written, and a call with effects "
        "needs its record first. Tell the operator; a retry helps only once the ledger is back."
    )
    return frames.failure(LEDGER_UNAVAILABLE, message)
