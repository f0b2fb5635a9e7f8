"""What a request of the stateless revision must satisfy before anybody acts on it: a ladder, the first rung that fails.

Headers repeat parts of the body so that intermediaries can route without parsing; a request that says one thing in its
headers and another in its body is refused (2026-07-28, basic/transports/streamable-http, "Server Validation").
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from fuseboard.era import CAPABILITIES_KEY, STATELESS_VERSIONS, VERSION_KEY
from fuseboard.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
)
from fuseboard.ports import Request

VERSION: Final = b"mcp-protocol-version"
METHOD: Final = b"mcp-method"
NAME: Final = b"mcp-name"
ROUTING: Final = frozenset({VERSION, METHOD, NAME})
PARAM_PREFIX: Final = b"mcp-param-"

NAMED: Final = MappingProxyType({"tools/call": "name", "prompts/get": "name", "resources/read": "uri"})
"""Which parameter of a method the ``Mcp-Name`` header repeats."""

TASKS: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
"""What names a task in that header (tasks extension, "Streamable HTTP: Routing Headers").

It is due from the client there, but the Python SDK (2.3) knows the core's methods alone and sends none. A header that
is missing misleads nobody, so it is let pass; one that names another task would lead an intermediary astray.
"""

STATUS: Final[Mapping[int, int]] = MappingProxyType(
    {
        PARSE_ERROR: 400,
        INVALID_REQUEST: 400,
        INVALID_PARAMS: 400,
        HEADER_MISMATCH: 400,
        MISSING_CAPABILITY: 400,
        UNSUPPORTED_VERSION: 400,
        METHOD_NOT_FOUND: 404,
    }
)
"""The HTTP status of a JSON-RPC error, wherever it was made; 200 for any other."""


class Rejection(NamedTuple):
    code: int
    message: str
    data: dict[str, Any] | None = None


class Routing(NamedTuple):
    """The values of the routing headers; ``None`` where one is missing."""

    version: str | None
    method: str | None
    name: str | None


class _Params(msgspec.Struct):
    meta: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_meta", default=msgspec.UNSET)


class _Task(msgspec.Struct):
    taskId: Any = None


class _Meta(msgspec.Struct):
    version: Any = msgspec.field(name=VERSION_KEY, default=msgspec.UNSET)
    capabilities: msgspec.Raw | msgspec.UnsetType = msgspec.field(name=CAPABILITIES_KEY, default=msgspec.UNSET)


_PARAMS: Final = msgspec.json.Decoder(_Params)
_META: Final = msgspec.json.Decoder(_Meta)
_TASK: Final = msgspec.json.Decoder(_Task)


def judge(request: Request, routing: Routing) -> Rejection | None:
    """Climb the ladder: the envelope is there, headers and body agree, the version is one that we speak."""
    meta = _envelope(request)
    if isinstance(meta, Rejection):
        return meta
    version = meta.version
    if routing.version is None or routing.version != version:
        return _mismatch("MCP-Protocol-Version", f"the {VERSION_KEY!r} of the body")
    if routing.method != request.method:
        return _mismatch("Mcp-Method", f"the method of the body, {request.method!r}")
    key = NAMED.get(request.method)
    if key is not None:
        name = (request.value or {}).get(key)
        if name is not None and _decoded(routing.name) != name:
            return _mismatch("Mcp-Name", f"the {key!r} of the body")
    elif request.method in TASKS and routing.name is not None and _decoded(routing.name) != _task(request):
        return _mismatch("Mcp-Name", "the 'taskId' of the body")
    return unsupported(version)


def unsupported(version: str) -> Rejection | None:
    """The last rung: do we speak this version?"""
    if version in STATELESS_VERSIONS:
        return None
    data = {"supported": list(STATELESS_VERSIONS), "requested": version}
    return Rejection(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def repeated(names: Iterable[bytes]) -> Rejection | None:
    """Two readers of a header that stands twice would disagree."""
    for name in sorted(names):
        if name in ROUTING or name.startswith(PARAM_PREFIX):
            return Rejection(HEADER_MISMATCH, f"the header {name.decode('latin-1')} stands twice; send it once")
    return None


def looks_modern(request: Request) -> bool:
    """Whether a request carries the envelope of the stateless revision, whatever its headers say."""
    meta = _envelope(request)
    return isinstance(meta, _Meta)


def _envelope(request: Request) -> _Meta | Rejection:
    """The protocol's own part of ``params._meta``."""
    try:
        raw = _PARAMS.decode(request.params or b"{}").meta
        meta = _META.decode(raw) if raw is not msgspec.UNSET else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        meta = None
    if meta is None:
        wanted = f"{VERSION_KEY!r} and {CAPABILITIES_KEY!r}"
        return Rejection(INVALID_PARAMS, f"params._meta must be an object with the keys {wanted}")
    present = {VERSION_KEY: meta.version, CAPABILITIES_KEY: meta.capabilities}
    if missing := [key for key, value in present.items() if value is msgspec.UNSET]:
        return Rejection(INVALID_PARAMS, f"params._meta lacks {', '.join(missing)}")
    return meta


def _task(request: Request) -> Any:
    """The task that a request is about. The envelope was read out of its params, so they are an object."""
    return _TASK.decode(request.params or b"{}").taskId


def _mismatch(header: str, told: str) -> Rejection:
    return Rejection(HEADER_MISMATCH, f"the header {header} does not match {told}")


def _decoded(value: str | None) -> str | None:
    """A header value, out of ``=?base64?…?=`` where it is so wrapped. Base64 that nobody would write is no value."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=") and len(value) >= 11):
        return value
    payload = value[9:-2]
    try:
        data = base64.b64decode(payload, validate=True)
        return data.decode() if base64.b64encode(data).decode() == payload else None
    except (binascii.Error, ValueError):  # ValueError: not ASCII, or not UTF-8
        return None
