"""What a stateless server answers, as a client of the handshake era can read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fuseboard.bridges.losses import Losses
from fuseboard.era import STATELESS_ONLY
from fuseboard.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
)
from fuseboard.listings import TOOLS
from fuseboard.ports import Failure, Reply, Result
from fuseboard.wire import frames, splice

COMPLETE: Final = "complete"
INPUT_REQUIRED: Final = "input_required"

_NEWER_ERRORS: Final[Mapping[float, tuple[int, str]]] = {
    HEADER_MISMATCH: (INTERNAL_ERROR, "refused the headers that Fuseboard sent it"),
    MISSING_CAPABILITY: (INVALID_PARAMS, "needs a capability that this client did not declare"),
    UNSUPPORTED_VERSION: (INTERNAL_ERROR, "refused the protocol version that Fuseboard speaks to it"),
}
"""Codes that the handshake era never heard of, and what to say in their place (2026-07-28, basic/index)."""


class _Error(msgspec.Struct):
    code: int | float = 0
    message: str = ""
    data: Any = msgspec.UNSET


class _Schema(msgspec.Struct):
    type: Any = None


def result_type(reply: Result) -> str:
    """The kind of a result. 2026-07-28, basic/index: one that says nothing is complete."""
    raw = _fields(reply).get("resultType")
    if raw is None:
        return COMPLETE
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        return bytes(raw).decode(errors="replace")


def asks_for_input(reply: Reply) -> bool:
    """Whether the server wants something from the client before it goes on. A plain result is not parsed for that."""
    if not isinstance(reply, Result) or (b"input_required" not in reply.raw and b"\\u" not in reply.raw):
        return False
    return result_type(reply) == INPUT_REQUIRED


def as_handshake(method: str, reply: Reply, *, alias: str, losses: Losses) -> Reply:
    """The reply without what only the stateless era knows; one that cannot do without it becomes an error."""
    if isinstance(reply, Failure):
        return _known_error(reply, alias, losses)
    if (kind := result_type(reply)) != COMPLETE:
        losses.count(f"result of type {kind}")
        message = (
            f"{alias} answered {method} with a result of the type {kind!r}, which the revision that this client "
            "speaks does not have, so it cannot be passed on; whether the call took effect is unknown"
        )
        return frames.failure(INTERNAL_ERROR, message)
    fields = _fields(reply)
    was = len(fields)
    for name in STATELESS_ONLY:
        fields.pop(name, None)
    changed = len(fields) != was
    if method == "tools/call":
        changed = _with_an_object(fields, losses) or changed
    elif method == TOOLS.method:
        changed = _with_object_schemas(fields, losses) or changed
    return Result(splice.join(fields)) if changed else reply


def _with_an_object(fields: splice.Fields, losses: Losses) -> bool:
    """Structured content is any JSON value since 2026-07-28, and an object before.

    The text beside it says the same, if the server does what it should; where there is none, the value becomes it.
    """
    structured = fields.get("structuredContent")
    if structured is None or bytes(structured)[:1] == b"{":
        return False
    del fields["structuredContent"]
    losses.count("structuredContent that is no object")
    if bytes(fields.get("content", b"[]"))[1:-1].strip() == b"":
        fields["content"] = splice.raw([{"type": "text", "text": bytes(structured).decode()}])
    return True


def _with_object_schemas(fields: splice.Fields, losses: Losses) -> bool:
    """An output schema of another type than object describes what such a client never gets."""
    page = fields.get(TOOLS.field)
    if page is None or (b"outputSchema" not in bytes(page) and b"\\u" not in bytes(page)):
        return False
    try:
        tools = [(item, splice.fields(item)) for item in splice.items(page)]
    except msgspec.MsgspecError:
        return False
    kept: list[msgspec.Raw] = []
    changed = False
    for item, tool in tools:
        if "outputSchema" in tool and not _describes_an_object(tool["outputSchema"]):
            del tool["outputSchema"]
            losses.count("outputSchema of no object")
            item, changed = msgspec.Raw(splice.join(tool)), True
        kept.append(item)
    if changed:
        fields[TOOLS.field] = msgspec.Raw(splice.join(kept))
    return changed


def _describes_an_object(schema: msgspec.Raw) -> bool:
    try:
        return bool(msgspec.json.decode(schema, type=_Schema).type == "object")
    except msgspec.MsgspecError:
        return False


def _known_error(failure: Failure, alias: str, losses: Losses) -> Failure:
    try:
        error = msgspec.json.decode(failure.raw, type=_Error)
    except msgspec.MsgspecError:
        return failure
    known = _NEWER_ERRORS.get(error.code)
    if known is None:
        return failure
    code, what = known
    losses.count(f"error {error.code:g}")
    data = None if error.data is msgspec.UNSET else error.data
    return frames.failure(code, f"{alias} {what}: {error.message}", data)


def _fields(reply: Result) -> splice.Fields:
    """The fields of a result; none where it is no object, which is passed on as it is."""
    try:
        return splice.fields(reply.raw)
    except msgspec.MsgspecError:
        return {}
