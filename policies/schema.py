"""Does the call fit the tool's own schema, and does the result fit what the tool promised?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import asdict

from fuseboard.events import CallProposed, CallReturned, Event, Mismatch
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Facts, Verdict

ARGUMENTS_RULE = "schema.arguments"
RESULT_RULE = "schema.result"
UNUSABLE_RULE = "schema.unusable"

_TOOL_CALL = "tools/call"
_ABSENT: Final = object()


class SchemaPolicy:
    """Judge arguments against ``inputSchema`` before anything is sent, and results against ``outputSchema`` after.

    A tool without a schema is not judged. A tool whose schema cannot be used is not called: with nothing to check
    against, going on would be a silent fail-open, and a call whose result must be refused had better not happen.
    """

    name = "schema"
    judges = (CallProposed, CallReturned)
    tells_callers_apart = False
    keyed_by_call = False

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return _proposed(event)
        if isinstance(event, CallReturned):
            return _returned(event)
        return Allow()


def _proposed(event: CallProposed) -> Verdict:
    tool = event.tool
    for part, schema in (("inputSchema", tool.arguments), ("outputSchema", tool.result)):
        if schema is not None and schema.refusal is not None:
            return _unusable(tool.exposed, part, schema.refusal)
    if not tool.known:
        return Allow(facts={"listed": False})
    if tool.arguments is None or not (mismatches := tool.arguments.mismatches(event.arguments)):
        return Allow()
    given = _given(event.arguments, tool.mirrored or ())
    if given is not event.arguments and not (mismatches := tool.arguments.mismatches(given)):
        return Allow()
    reason = _told(
        f"The arguments of {tool.exposed} do not fit its schema, so the call was not sent:",
        mismatches,
        "Mend each of these and call it again." if len(mismatches) > 1 else "Mend this and call it again.",
    )
    return Deny(ARGUMENTS_RULE, reason, _facts(mismatches))


def _returned(event: CallReturned) -> Verdict:
    tool, result = event.proposal.tool, event.result
    if event.proposal.method != _TOOL_CALL or tool.result is None or result is None or result.get("isError") is True:
        return Allow()
    if _unfinished(result):
        return Allow()
    if "structuredContent" in result:
        mismatches = tool.result.mismatches(result["structuredContent"])
    else:
        # 2025-11-25, server/tools, "Output Schema": servers MUST provide structured results that conform.
        mismatches = (Mismatch("", "no structuredContent", "structuredContent that fits the outputSchema", "required"),)
    if not mismatches:
        return Allow()
    reason = _told(
        f"The result of {tool.exposed} does not fit the outputSchema that it declares, so it was withheld:",
        mismatches,
        "The call itself was carried out. The fault is the tool's: the same call will hardly do better; "
        "use another tool, or tell the user.",
    )
    return Deny(RESULT_RULE, reason, _facts(mismatches))


def _given(arguments: Mapping[str, Any], mirrored: Iterable[tuple[str, ...]]) -> Mapping[str, Any]:
    """The arguments without those that are ``null`` where a header mirrors them.

    There ``null`` means "not provided", whatever the declared type (2026-07-28, streamable-http, "Custom headers").
    """
    for path in mirrored:
        arguments = _without_null(arguments, path)
    return arguments


def _without_null(arguments: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    name, *deeper = path
    value = arguments.get(name, _ABSENT)
    if not deeper:
        return {key: kept for key, kept in arguments.items() if key != name} if value is None else arguments
    if not isinstance(value, Mapping):
        return arguments
    inner = _without_null(value, tuple(deeper))
    return arguments if inner is value else {**arguments, name: inner}


def _unfinished(result: Mapping[str, Any]) -> bool:
    """Whether the answer still waits, for the client's input or for a task, and so carries nothing yet."""
    waits = result.get("resultType", "complete") != "complete" or "task" in result
    return waits and "content" not in result and "structuredContent" not in result


def _unusable(tool: str, part: str, refusal: str) -> Deny:
    reason = (
        f"{tool} cannot be called: its {part} cannot be used, since {refusal}.\n"
        "The fault is the tool's, and no arguments mend it: use another tool, or tell the user."
    )
    return Deny(UNUSABLE_RULE, reason, {"schema": part, "refusal": refusal})


def _told(what: str, mismatches: Sequence[Mismatch], then: str) -> str:
    lines = [f"- {m.path or '(the whole)'}: found {m.found}; expected {m.expected}" for m in mismatches]
    return "\n".join([what, *lines, then])


def _facts(mismatches: Sequence[Mismatch]) -> Facts:
    return {"mismatches": [asdict(mismatch) for mismatch in mismatches]}
