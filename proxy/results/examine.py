"""What a reply holds, looked at once: its text, its value, its shape, and whether there is anything in it. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from fuseboard.ports import Failure, Reply
from fuseboard.results.emptiness import is_empty, says_nothing

MESSAGE_BYTES: Final = 4096
"""A longer text is a document: it may be about errors, but is none."""

PARSED_BYTES: Final = 16 * 1024
"""JSON that is longer is not read for what it says."""

LOOKED_INTO_BYTES: Final = 64 * 1024
"""Of a result that is longer, nothing is looked at but its digest."""

_KEYS_CHARS: Final = 240
_HTML: Final = re.compile(r"\s*(?:<\?xml[^>]{0,80}>\s*)?<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_UNREAD: Final = object()


class Seen(msgspec.Struct, frozen=True):
    """``text`` is the head of all that was said as text; ``whole`` where that is everything, and short enough to be a
    message. ``value`` is what was said as JSON, :data:`NOTHING` where that was nothing or too much.

    ``shape`` is ``json:`` with the names of the top-level keys, ``list``, ``html``, ``text``, ``other``, or empty.
    ``broken`` says what the protocol does not allow in it.
    """

    said: bytes
    text: str = ""
    whole: bool = False
    value: Any = _UNREAD
    error: bool = False
    empty: bool = False
    shape: str = ""
    broken: str = ""
    code: float = 0
    """Of a JSON-RPC error."""


NOTHING: Final = _UNREAD


class _Head(msgspec.Struct):
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    structuredContent: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    isError: Any = None


class _Block(msgspec.Struct):
    type: str
    text: Any = None


class _Error(msgspec.Struct):
    code: int | float = 0
    message: Any = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_HEAD: Final = msgspec.json.Decoder(_Head)
_BLOCKS: Final = msgspec.json.Decoder(list[_Block])
_ERROR: Final = msgspec.json.Decoder(_Error)
_VALUE: Final = msgspec.json.Decoder()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def examined(reply: Reply) -> Seen:
    """Look into the answer to a ``tools/call``. Whatever the bytes are, something is seen."""
    try:
        if isinstance(reply, Failure):
            return _failure(reply.raw)
        head = _HEAD.decode(reply.raw)
    except _UNREADABLE as fault:
        return Seen(reply.raw, broken=str(fault))
    content = b"" if head.content is msgspec.UNSET else bytes(head.content)
    structured = b"" if head.structuredContent is msgspec.UNSET else bytes(head.structuredContent)
    said = content + structured
    if len(said) > LOOKED_INTO_BYTES:
        return Seen(said, error=head.isError is True)
    return _result(said, content, structured, error=head.isError is True)


def _failure(raw: bytes) -> Seen:
    error = _ERROR.decode(raw)
    value = _value(bytes(error.data)) if error.data is not msgspec.UNSET else NOTHING
    text = error.message if isinstance(error.message, str) else ""
    return Seen(raw, text[:MESSAGE_BYTES], len(text) <= MESSAGE_BYTES, value, error=True, code=error.code)


def _result(said: bytes, content: bytes, structured: bytes, *, error: bool) -> Seen:
    try:
        blocks = _BLOCKS.decode(content) if content else []
    except _UNREADABLE as fault:
        return Seen(said, error=error, broken=str(fault))
    texts = [block.text for block in blocks if block.type == "text"]
    if not all(isinstance(text, str) for text in texts):
        return Seen(said, error=error, broken="a text block without text")
    text = texts[0] if len(texts) == 1 else "\n".join(texts)
    alone = len(texts) == len(blocks)
    value = _value(structured or _json_in(text))
    if type(value) is dict and len(value) == 1 and "result" in value:
        value = value["result"]  # how the SDKs wrap what is no object
        if isinstance(value, str):
            text, value = text or value, NOTHING
    return Seen(
        said,
        text if len(text) <= MESSAGE_BYTES else text[:MESSAGE_BYTES],
        alone and len(text) <= MESSAGE_BYTES,
        value,
        error,
        alone and _empty(text, value),
        _shape(text, value, alone=alone),
    )


def _empty(text: str, value: Any) -> bool:
    if value is not NOTHING:
        return is_empty(value)
    return not text or text.isspace() or says_nothing(text)


def _json_in(text: str) -> bytes:
    return text.encode("utf-8", "replace") if text[:1] in ("{", "[") and len(text) <= PARSED_BYTES else b""


def _value(raw: bytes) -> Any:
    if not raw or len(raw) > PARSED_BYTES:
        return NOTHING
    try:
        return _VALUE.decode(raw)
    except _UNREADABLE:
        return NOTHING


def _shape(text: str, value: Any, *, alone: bool) -> str:
    if type(value) is dict:
        return "json:" + ",".join(sorted(value))[:_KEYS_CHARS]
    if type(value) is list:
        return "list"
    if text[:512].lstrip()[:1] == "<" and _HTML.match(text):
        return "html"
    if text:
        return "text"
    return "" if alone else "other"
