"""JSON-RPC frames: the envelope is decoded, ``params``, ``result`` and ``error`` stay the bytes that they were.

Typed models lose what they do not know and cost ten times more; a frame here is three slices and a join. Every outgoing
envelope is made anew, so nothing in an incoming one reaches the other side unread.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from fuseboard.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, ProtocolFault
from fuseboard.ports import Failure, Frame, Notification, Reply, Request, Response, Result
from fuseboard.wire import strict

GOVERNED: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests that go through the pipeline, and so through the one strict parse."""

TASKS: Final = frozenset({"tasks/get", "tasks/result", "tasks/update", "tasks/cancel", "tasks/list"})
"""The requests about a task, which is its owner's alone."""

DEPTH: Final = 128
"""How many levels a governed request may nest, unless the configuration says otherwise."""

_PLAIN: Final = (
    GOVERNED
    | TASKS
    | {
        "initialize",
        "ping",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "logging/setLevel",
        "server/discover",
        "subscriptions/listen",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/message",
    }
)
"""The methods that need no look for what else they could be meant to be: nearly all that ever come."""

_METHOD_CHARACTERS: Final = 256
"""Methods of MCP have at most some forty; a longer one costs more to look at than it is worth."""

_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params"})
_PARAMS: Final = frozenset({"name", "arguments", "uri", "_meta"})


class _Envelope(msgspec.Struct):
    jsonrpc: str | None = None
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Id(msgspec.Struct):
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_TOO_DEEP: Final = "nested deeper than any message of MCP"
_DECODER: Final = msgspec.json.Decoder(_Envelope)
_ID: Final = msgspec.json.Decoder(_Id)
_HEAD: Final = re.compile(
    rb'\s*\[?\s*\{\s*(?:"jsonrpc"\s*:\s*"?[\w.+-]{1,20}"?\s*,\s*)?"id"\s*:\s*(\d{1,20})\s*,\s*"(?:result|error)"\s*:'
)
"""The head of an answer whose writer put the id before what is long, as nearly all do."""


def decode(data: bytes | bytearray, *, depth: int = DEPTH) -> Frame:
    """Decode one frame.

    Raises:
        ProtocolFault: with the JSON-RPC code to answer with, and the request's id where it could be read.
    """
    try:
        envelope = _DECODER.decode(data)
    except msgspec.ValidationError as fault:
        raise _no_message(data, fault) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise ProtocolFault(PARSE_ERROR, f"not JSON: {fault}") from None
    except RecursionError:
        raise ProtocolFault(INVALID_REQUEST, _TOO_DEEP) from None
    id = None if envelope.id is msgspec.UNSET else bytes(envelope.id)
    if envelope.jsonrpc != "2.0":
        raise ProtocolFault(INVALID_REQUEST, 'not a JSON-RPC 2.0 message: "jsonrpc" must be "2.0"', id=_answerable(id))
    if envelope.method is msgspec.UNSET:
        _refuse_other_than_utf8(data)
        return _response(id, envelope)
    params = None if envelope.params is msgspec.UNSET else bytes(envelope.params)
    if params is not None and params[:1] != b"{":
        raise ProtocolFault(INVALID_PARAMS, '"params" must be an object', id=_answerable(id))
    if id is not None and not _is_id(id):
        raise ProtocolFault(INVALID_REQUEST, "a request's id must be a string or an integer", id=_answerable(id))
    if envelope.method not in _PLAIN:
        _refuse_near_governed(envelope.method, _answerable(id))
    elif envelope.method in GOVERNED:
        if id is None:  # a lenient upstream would run it all the same, and nobody would have judged it
            raise ProtocolFault(INVALID_REQUEST, f"{envelope.method} is a request and needs an id")
        return Request(id, envelope.method, params, _parse_governed(bytes(data), id, depth))
    _refuse_other_than_utf8(data)
    return Notification(envelope.method, params) if id is None else Request(id, envelope.method, params)


def answered_id(data: bytes | bytearray) -> bytes | None:
    """The id of a response that :func:`decode` refused, as a lenient parser reads it, so that the asker can be told.

    Half a surrogate pair, which JavaScript writes where it cuts a text, is the usual reason; no ``jsonrpc`` another.
    Of what no parser reads, or what was cut off, the head tells.
    """
    frame = _leniently(data)
    if frame is None:
        head = _HEAD.match(data)
        return head[1] if head is not None else None
    if "method" in frame or type(frame.get("id")) is not int:
        return None
    return b"%d" % frame["id"]


def asked_id(data: bytes | bytearray) -> bytes | None:
    """The id of a request, as a lenient parser reads it, so that whoever asked can be told of our own failure."""
    frame = _leniently(data)
    if frame is None or "method" not in frame or type(frame.get("id")) not in (int, str):
        return None
    return json.dumps(frame["id"]).encode()


def request(id: bytes, method: str, params: bytes | None) -> bytes:
    if params is None:
        return b'{"jsonrpc":"2.0","id":%b,"method":%b}' % (id, _string(method))
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (id, _string(method), one_line(params))


def notification(method: str, params: bytes | None) -> bytes:
    if params is None:
        return b'{"jsonrpc":"2.0","method":%b}' % _string(method)
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (_string(method), one_line(params))


def response(id: bytes | None, reply: Reply) -> bytes:
    kind = b"result" if isinstance(reply, Result) else b"error"
    return b'{"jsonrpc":"2.0","id":%b,"%b":%b}' % (id or b"null", kind, one_line(reply.raw))


def failure(code: int, message: str, data: Any = None) -> Failure:
    """A JSON-RPC error of our own."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return Failure(msgspec.json.encode(error))


def one_line(raw: bytes) -> bytes:
    """The same JSON without line breaks, which would end a line of stdio or of an event stream.

    JSON has them between tokens only (RFC 8259, 7: control characters in strings are escaped), and no two tokens stand
    together without punctuation, so they can go without a parse.
    """
    return raw.translate(None, b"\r\n") if b"\n" in raw or b"\r" in raw else raw


def _string(method: str) -> bytes:
    return msgspec.json.encode(method)


def _is_id(id: bytes) -> bool:
    return id[:1] == b'"' or id.lstrip(b"-").isdigit()


def _leniently(data: bytes | bytearray) -> dict[str, Any] | None:
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None


def _answerable(id: bytes | None) -> bytes | None:
    """The id to answer a bad request with: any JSON scalar goes back as it came, so that its sender can tell."""
    return id if id is not None and id[:1] not in b"{[" and _is_utf8(id) else None


def _no_message(data: bytes | bytearray, fault: msgspec.ValidationError) -> ProtocolFault:
    """JSON, but no message."""
    if bytes(data[:64]).lstrip()[:1] == b"[":
        return ProtocolFault(INVALID_REQUEST, "JSON-RPC batches are not part of MCP; send one message each")
    try:
        id = _ID.decode(data).id
    except msgspec.ValidationError:
        id = msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError) as worse:  # further on than where the first parse ended
        return ProtocolFault(PARSE_ERROR, f"not JSON: {worse}")
    except RecursionError:
        return ProtocolFault(INVALID_REQUEST, _TOO_DEEP)
    readable = None if id is msgspec.UNSET else _answerable(bytes(id))
    return ProtocolFault(INVALID_REQUEST, f"not a JSON-RPC message: {fault}", id=readable)


def _refuse_near_governed(method: str, id: bytes | None) -> None:
    """Refuse what only a lenient upstream would take for a governed method: it would run and nobody would judge it."""
    if len(method) > _METHOD_CHARACTERS:
        raise ProtocolFault(INVALID_REQUEST, f"a method of {len(method)} characters; at most 256 are accepted", id=id)
    visible = "".join([character for character in method if character.isprintable() and not character.isspace()])
    if (exact := strict.fold(visible)) in GOVERNED | TASKS:
        message = f"the method {method!r} is not {exact!r}; send it exactly as {exact!r}"
        raise ProtocolFault(INVALID_REQUEST, message, id=id)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_other_than_utf8(data: bytes | bytearray) -> None:
    """What the envelope leaves raw was not decoded, and not every upstream survives such bytes."""
    try:
        if not data.isascii():
            data.decode()
    except UnicodeDecodeError as fault:
        raise ProtocolFault(PARSE_ERROR, f"byte {fault.start} is not UTF-8") from None


def _response(id: bytes | None, envelope: _Envelope) -> Response:
    if envelope.result is not msgspec.UNSET:
        return Response(id, Result(bytes(envelope.result)))
    if envelope.error is not msgspec.UNSET:
        return Response(id, Failure(bytes(envelope.error)))
    raise ProtocolFault(INVALID_REQUEST, 'neither "method" nor "result" nor "error"', id=_answerable(id))


def _parse_governed(data: bytes, id: bytes, depth: int) -> dict[str, Any]:
    try:
        frame = strict.parse(data, depth=depth)
        strict.refuse_near_misses(frame, _ENVELOPE)
        params = frame.get("params", {})
        strict.refuse_near_misses(params, _PARAMS)
    except ProtocolFault as fault:
        fault.id = id
        raise
    assert isinstance(params, dict)
    return params
