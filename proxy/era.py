"""The two protocol eras, and what has to change in a message that crosses from one to the other.

*Handshake*: 2024-11-05 to 2025-11-25, a session opened by ``initialize``. *Stateless*: 2026-07-28, every request
carries its version, client and capabilities in ``_meta``. The same server behaves differently in each, so a client gets
its own era upstream wherever the upstream speaks it; these functions serve only where it does not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from fuseboard import __version__
from fuseboard.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    MISSING_CAPABILITY,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_VERSION,
)
from fuseboard.ports import Failure, Reply, Result
from fuseboard.wire import splice

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS_VERSIONS: Final = ("2026-07-28",)

PREFIX: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = PREFIX + "protocolVersion"
CLIENT_INFO_KEY: Final = PREFIX + "clientInfo"
CAPABILITIES_KEY: Final = PREFIX + "clientCapabilities"
SERVER_INFO_KEY: Final = PREFIX + "serverInfo"
SUBSCRIPTION_KEY: Final = PREFIX + "subscriptionId"
LOG_LEVEL_KEY: Final = PREFIX + "logLevel"

REMOVED: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list"}
)
"""Methods that the stateless era no longer has. An upstream that speaks both might answer them all the same."""

_NOT_FOUND: Final = b"%d" % RESOURCE_NOT_FOUND
STATELESS_ONLY: Final = ("resultType", "ttlMs", "cacheScope")
"""Fields of a result that the handshake era does not know."""


MAX_CLIENT_NAME: Final = 256
"""In characters. The name is the client's invention, and stands in every record."""


CACHEABLE: Final = frozenset(
    {"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"}
)
"""The methods whose results must say in the stateless era how long they hold (2026-07-28, server/utilities/caching)."""

_AT_ONCE_STALE: Final = {"ttlMs": splice.raw(0), "cacheScope": splice.raw("private")}


class Era(StrEnum):
    HANDSHAKE = "handshake"
    STATELESS = "stateless"


def meta_of(params: bytes | None) -> dict[str, Any]:
    """The parsed ``_meta`` of a request, empty where there is none."""
    try:
        meta = splice.fields(params).get("_meta")
        return msgspec.json.decode(meta, type=dict[str, Any]) if meta else {}
    except msgspec.MsgspecError:
        return {}


def client_name(info: Any) -> str | None:
    """``name/version`` of an ``Implementation`` object, ``None`` where it has no name. A long one is cut."""
    if not isinstance(info, dict) or not isinstance(info.get("name"), str):
        return None
    version = info.get("version")
    name = f"{info['name']}/{version}" if isinstance(version, str) else info["name"]
    return name if len(name) <= MAX_CLIENT_NAME else f"{name[: MAX_CLIENT_NAME - 1]}…"


def without_envelope(params: bytes | None) -> bytes | None:
    """A stateless request's params as a handshake server expects them: the protocol's own ``_meta`` keys gone."""
    if params is None or PREFIX.encode() not in params:
        return params
    fields = splice.fields(params)
    meta = splice.fields(fields.get("_meta"))
    own = {key: value for key, value in meta.items() if not key.startswith(PREFIX)}
    if len(own) == len(meta):
        return params
    if own:
        fields["_meta"] = msgspec.Raw(splice.join(own))
    else:
        del fields["_meta"]
    return splice.join(fields)


def with_envelope(params: bytes | None, *, client_info: Any, capabilities: Any, log_level: str | None = None) -> bytes:
    """A handshake request's params as a stateless server expects them."""
    fields = splice.fields(params)
    meta = splice.fields(fields.get("_meta"))
    meta[VERSION_KEY] = splice.raw(STATELESS_VERSIONS[-1])
    meta[CLIENT_INFO_KEY] = splice.raw(client_info)
    meta[CAPABILITIES_KEY] = splice.raw(capabilities)
    if log_level is not None:
        meta[LOG_LEVEL_KEY] = splice.raw(log_level)
    fields["_meta"] = msgspec.Raw(splice.join(meta))
    return splice.join(fields)


def as_stateless(reply: Reply, method: str = "") -> Reply:
    """A handshake server's reply for a stateless client: every result there says its type, and some how long it holds.

    A server that says nothing of caching has promised nothing, so such a result is the client's own and at once stale.
    """
    fields = _result_fields(reply)
    if fields is None or "resultType" in fields:
        return reply
    cached = _AT_ONCE_STALE if method in CACHEABLE else {}
    return Result(splice.join({**cached, **fields, "resultType": splice.raw("complete")}))


def _result_fields(reply: Reply) -> splice.Fields | None:
    """The fields of a result, ``None`` for an error and for what no result should be."""
    try:
        return splice.fields(reply.raw) if isinstance(reply, Result) else None
    except msgspec.MsgspecError:
        return None


def initialize_result(discovered: bytes, *, version: str) -> bytes:
    """The ``initialize`` result that says what a ``server/discover`` result says; fields of its own are kept."""
    fields = splice.fields(discovered)
    meta = splice.fields(fields.pop("_meta", None))
    result = {
        "protocolVersion": splice.raw(version),
        "capabilities": fields.pop("capabilities", msgspec.Raw(b"{}")),
        "serverInfo": meta.pop(SERVER_INFO_KEY, splice.raw({"name": "unknown", "version": "0"})),
    }
    for name in (*STATELESS_ONLY, "supportedVersions"):
        fields.pop(name, None)
    result = {**fields, **result}
    if own := {key: value for key, value in meta.items() if not key.startswith(PREFIX)}:
        result["_meta"] = msgspec.Raw(splice.join(own))
    return splice.join(result)


def discover_result(introduced: bytes) -> bytes:
    """The ``server/discover`` result that says what an ``initialize`` result says; fields of its own are kept.

    Tasks of 2025-11-25 have nothing in common with the extension of that name, so they are not offered.
    """
    fields = splice.fields(introduced)
    capabilities = splice.fields(fields.get("capabilities"))
    capabilities.pop("tasks", None)
    meta = splice.fields(fields.get("_meta"))
    if "serverInfo" in fields:
        meta[SERVER_INFO_KEY] = fields["serverInfo"]
    kept = {name: value for name, value in fields.items() if name not in ("protocolVersion", "serverInfo")}
    return splice.join(
        {
            **kept,
            "resultType": splice.raw("complete"),
            "supportedVersions": splice.raw([*STATELESS_VERSIONS, *reversed(HANDSHAKE_VERSIONS)]),
            "capabilities": msgspec.Raw(splice.join(capabilities)),
            "ttlMs": splice.raw(0),
            "cacheScope": splice.raw("private"),
            "_meta": msgspec.Raw(splice.join(meta)),
        }
    )


def error_as_stateless(reply: Reply) -> Reply:
    """A handshake server's error in the codes of the stateless era, where a missing resource is a bad parameter."""
    if not isinstance(reply, Failure) or _NOT_FOUND not in reply.raw:
        return reply
    try:
        fields = splice.fields(reply.raw)
    except msgspec.MsgspecError:
        return reply
    if bytes(fields.get("code", b"")) != _NOT_FOUND:
        return reply
    return Failure(splice.join({**fields, "code": splice.raw(INVALID_PARAMS)}))


def initialize_params(meta: dict[str, Any]) -> bytes:
    """The ``initialize`` params for a handshake server that is to serve a stateless client.

    No capabilities: what the server would ask the client has no way back in that pairing.
    """
    info = meta.get(CLIENT_INFO_KEY) or {"name": "unknown", "version": "0"}
    return msgspec.json.encode(
        {"protocolVersion": HANDSHAKE_VERSIONS[-1], "capabilities": {}, "clientInfo": info},
    )


class _Refusal(msgspec.Struct):
    code: int = 0
    data: Any = None


def is_header_mismatch(refusal: Failure) -> bool:
    """Whether a stateless server says that the headers of a request do not fit its body."""
    try:
        return msgspec.json.decode(refusal.raw, type=_Refusal).code == HEADER_MISMATCH
    except msgspec.MsgspecError:
        return False


def speaks_stateless(refusal: Failure) -> bool:
    """Whether an error in answer to ``server/discover`` comes from a server of the stateless era all the same.

    A server that refuses the version names those that it supports; the other codes of that era nobody else knows.
    """
    try:
        error = msgspec.json.decode(refusal.raw, type=_Refusal)
    except msgspec.MsgspecError:
        return False
    if error.code == UNSUPPORTED_VERSION:
        supported = error.data.get("supported") if isinstance(error.data, dict) else None
        return isinstance(supported, list) and any(version in STATELESS_VERSIONS for version in supported)
    return error.code in (HEADER_MISMATCH, MISSING_CAPABILITY)


def own_envelope() -> dict[str, Any]:
    """The envelope of a request that the proxy makes on its own account."""
    return {
        VERSION_KEY: STATELESS_VERSIONS[-1],
        CLIENT_INFO_KEY: {"name": "fuseboard", "version": __version__},
        CAPABILITIES_KEY: {},
    }


def own_initialize() -> bytes:
    """The ``initialize`` params of a handshake on the proxy's own account."""
    return initialize_params(own_envelope())
