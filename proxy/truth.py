"""What a result really was, in one word, from the reply itself. The words stand in the ledger as ``truth``."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from fuseboard.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    UPSTREAM_JUNK,
    UPSTREAM_OVERSIZE,
    UpstreamFault,
    UpstreamGarbled,
    UpstreamLost,
    UpstreamOversize,
    UpstreamThrottled,
    UpstreamTimeout,
)
from fuseboard.ports import Reply, Result


class Truth(StrEnum):
    OK = "ok"
    EMPTY = "empty"
    """A result without anything in it."""
    BAD_ARGUMENTS = "bad_arguments"
    """The upstream refused the arguments."""
    BUSINESS_ERROR = "business_error"
    """The tool ran and said that it failed (``isError: true``)."""
    ERROR = "error"
    """A JSON-RPC error of another kind."""
    THROTTLED = "throttled"
    """Too many calls, says the upstream: not now. No failure of anybody's."""
    ERROR_SHAPED_SUCCESS = "error_shaped_success"
    """It says that it succeeded, and all that it holds is an error: a page of HTTP 500, a login page, a traceback."""
    JUNK = "junk"
    """The same long answer to whatever was asked, or one that the operator named as junk."""
    DRIFT = "drift"
    """A good result, whose keys are others than they always were. A warning, no more."""
    INPUT_REQUIRED = "input_required"
    """The upstream asks something before it goes on (2026-07-28)."""
    TASK = "task"
    """A task was begun, and what comes of it has not been fetched yet."""
    SCHEMA_VIOLATION = "schema_violation"
    MALFORMED = "malformed"
    """Not the shape of any result of the method."""
    OVERSIZE = "oversize"
    """Larger than one message of an upstream may be. It was not read to its end."""
    TIMEOUT = "timeout"
    OUTAGE = "outage"
    """The upstream could not be reached; nothing was sent."""
    LOST = "lost"
    """The link died after sending: whether the call took effect is unknown."""
    CANCELLED = "cancelled"
    """The client gave up; whether the call took effect is unknown."""
    DENIED = "denied"
    """Nothing was sent: a policy refused."""


GOOD: Final = frozenset({Truth.OK, Truth.EMPTY, Truth.DRIFT})
"""The tool did what it was asked to, whatever there was to say of it."""


def meets(said: str, wanted: str) -> bool:
    """Whether a result counts where ``wanted`` is asked for: a warning takes nothing from a good one."""
    return said == wanted or (said == Truth.DRIFT and wanted == Truth.OK)


class _Head(msgspec.Struct):
    """What tells one kind of result from another; the rest is skipped, not parsed."""

    isError: bool | None = None
    resultType: str | None = None
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    structuredContent: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    contents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    taskId: str | msgspec.UnsetType = msgspec.UNSET
    task: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Task(msgspec.Struct):
    taskId: str


class _Error(msgspec.Struct):
    code: int | float = 0


_HEAD: Final = msgspec.json.Decoder(_Head)
_TASK: Final = msgspec.json.Decoder(_Task)
_ERROR: Final = msgspec.json.Decoder(_Error)
_BEGUN: Final = (b"[{", b"[[", b'["')
_BODY: Final = {"tools/call": "content", "prompts/get": "messages", "resources/read": "contents"}


def of_reply(method: str, reply: Reply) -> Truth:
    """Classify a reply to one of the governed methods."""
    try:
        if isinstance(reply, Result):
            return _of_result(method, _HEAD.decode(reply.raw))
        return _of_error(_ERROR.decode(reply.raw))
    except (msgspec.MsgspecError, RecursionError):
        return Truth.MALFORMED


def of_fault(fault: UpstreamFault) -> Truth:
    """Classify an upstream that did not answer."""
    match fault:
        case UpstreamTimeout():
            return Truth.TIMEOUT
        case UpstreamThrottled():
            return Truth.THROTTLED
        case UpstreamOversize():
            return Truth.OVERSIZE
        case UpstreamGarbled():
            return Truth.MALFORMED
        case UpstreamLost():
            return Truth.LOST
        case _:
            return Truth.OUTAGE


def _of_result(method: str, head: _Head) -> Truth:
    if head.resultType == "input_required":
        return Truth.INPUT_REQUIRED
    body: msgspec.Raw | msgspec.UnsetType = getattr(head, _BODY[method])
    if body is msgspec.UNSET and method == "tools/call" and _is_task(head):
        return Truth.TASK
    if head.isError:
        return Truth.BUSINESS_ERROR
    if head.structuredContent is not msgspec.UNSET:
        return Truth.OK
    if body is msgspec.UNSET:
        return Truth.MALFORMED
    items = memoryview(body)
    begin = items[:2].tobytes()
    if begin[:1] != b"[":
        return Truth.MALFORMED
    return Truth.OK if begin in _BEGUN or items[1:-1].tobytes().strip() else Truth.EMPTY


def _is_task(head: _Head) -> bool:
    """Whether a task stands in for the result (2025-11-25, basic/utilities/tasks; 2026-07-28, its extension)."""
    if head.structuredContent is not msgspec.UNSET:
        return False
    if head.resultType == "task":
        return head.taskId is not msgspec.UNSET
    if head.task is msgspec.UNSET:
        return False
    _TASK.decode(head.task)
    return True


def _of_error(error: _Error) -> Truth:
    if error.code == UPSTREAM_OVERSIZE:
        return Truth.OVERSIZE
    if error.code == UPSTREAM_JUNK:
        return Truth.MALFORMED
    return Truth.BAD_ARGUMENTS if error.code in (INVALID_PARAMS, INVALID_REQUEST) else Truth.ERROR
