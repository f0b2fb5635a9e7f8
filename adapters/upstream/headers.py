"""The headers with which the stateless revision (2026-07-28) shows a request to whoever routes it.

The codec is that of ``mcp.shared.inbound``, which a test compares it with.
"""

from __future__ import annotations

import base64
import re
from typing import Final

import msgspec

_PLAIN: Final = re.compile(r"[\x21-\x7E](?:[\x20-\x7E]*[\x21-\x7E])?|")
_WRAPPED: Final = re.compile(r"=\?base64\?.*\?=")


class _ByName(msgspec.Struct):
    name: str | None = None


class _ByUri(msgspec.Struct):
    name: str | None = msgspec.field(name="uri", default=None)


class _ByTask(msgspec.Struct):
    name: str | None = msgspec.field(name="taskId", default=None)


_BY_NAME: Final = msgspec.json.Decoder(_ByName)
_BY_TASK: Final = msgspec.json.Decoder(_ByTask)
_NAMED: Final[
    dict[str, msgspec.json.Decoder[_ByName] | msgspec.json.Decoder[_ByUri] | msgspec.json.Decoder[_ByTask]]
] = {
    "tools/call": _BY_NAME,
    "prompts/get": _BY_NAME,
    "resources/read": msgspec.json.Decoder(_ByUri),
    "tasks/get": _BY_TASK,  # these by the tasks extension
    "tasks/update": _BY_TASK,
    "tasks/cancel": _BY_TASK,
}


def encode(value: str) -> str:
    """``value`` itself where a header field carries it unchanged, else wrapped as ``=?base64?…?=``.

    Whatever comes out holds visible ASCII and inner spaces alone, so no value can end its line and start another.
    """
    if _PLAIN.fullmatch(value) and not _WRAPPED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode('ascii')}?="


def routing(method: str, params: bytes | None) -> dict[str, str]:
    """``Mcp-Method``, and ``Mcp-Name`` for the methods that name what they are about."""
    headers = {"Mcp-Method": encode(method)}
    decoder = _NAMED.get(method)
    if decoder is not None and params is not None:
        try:
            name = decoder.decode(params).name
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return headers  # No name to show: the upstream says what is wrong with the body.
        if name is not None:
            headers["Mcp-Name"] = encode(name)
    return headers
