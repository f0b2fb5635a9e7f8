"""What a handshake upstream asks in the middle of a call, as a stateless client is asked it: inside a result.

2025-11-25: a request of the server's. 2026-07-28, multi round-trip requests: a result of the type ``input_required``,
whose questions the client answers by sending its request again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND, ProtocolFault
from fuseboard.ports import Failure, Reply, Result
from fuseboard.wire import frames, splice

ELICIT: Final = "elicitation/create"
SAMPLE: Final = "sampling/createMessage"
ROOTS: Final = "roots/list"

URL_ELICITATION_REQUIRED: Final = -32042
"""2025-11-25, elicitation: the call needs the user to visit some pages first. 2026-07-28 has no such code."""

_CAPABILITY: Final = {ELICIT: "elicitation", SAMPLE: "sampling", ROOTS: "roots"}
_ANSWERS: Final = frozenset({"action", "role", "content", "model", "roots"})
"""The fields of which every answer that is no error has one."""

_GONE: Final = ("elicitationId", "task")
"""Fields of questions that 2026-07-28 does not have: the id of a URL elicitation, and tasks of the core."""

_TASKS_EXTENSION: Final = "io.modelcontextprotocol/tasks"


class _Url(msgspec.Struct):
    url: str
    message: str = ""
    mode: str = "url"


class _Required(msgspec.Struct):
    elicitations: list[_Url]


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_ERROR: Final = msgspec.json.Decoder(_Error)
_REQUIRED: Final = msgspec.json.Decoder(_Required)


def declared_upstream(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """A stateless client's capabilities in the spelling of the handshake, where only tasks are another matter."""
    own = {name: value for name, value in capabilities.items() if name != "tasks"}
    extensions = own.get("extensions")
    if isinstance(extensions, dict) and _TASKS_EXTENSION in extensions:
        own["extensions"] = {name: value for name, value in extensions.items() if name != _TASKS_EXTENSION}
    return own


def may_be_asked(capabilities: Mapping[str, Any]) -> bool:
    """Whether the client answers questions of any kind."""
    return any(isinstance(capabilities.get(name), dict) for name in _CAPABILITY.values())


def refusal(method: str, params: bytes | None, capabilities: Mapping[str, Any]) -> Failure | None:
    """Why this client cannot be asked this. 2026-07-28: a server must not ask for what was not declared."""
    if (name := _CAPABILITY.get(method)) is None:
        return frames.failure(METHOD_NOT_FOUND, f"a client of 2026-07-28 cannot be asked {method}")
    declared = capabilities.get(name)
    if not isinstance(declared, dict):
        return frames.failure(METHOD_NOT_FOUND, f"the client did not declare {name}, so it cannot be asked {method}")
    try:
        fields = splice.fields(params)
    except msgspec.MsgspecError:
        return frames.failure(INVALID_PARAMS, f"{method}: its params are no object")
    if method == ELICIT:
        mode = "url" if bytes(fields.get("mode", b"")) == b'"url"' else "form"
        if mode not in (declared or {"form": {}}):  # 2025-11-25, elicitation: an empty object means forms
            return frames.failure(INVALID_PARAMS, f"the client did not declare elicitation.{mode}")
    if method == SAMPLE and "tools" not in declared and not fields.keys().isdisjoint({"tools", "toolChoice"}):
        return frames.failure(INVALID_PARAMS, "the client did not declare sampling.tools")
    return None


def as_input_request(method: str, params: bytes | None) -> msgspec.Raw:
    """One of the ``inputRequests``. The params keep their bytes but for what the revision does not have."""
    request = {"method": splice.raw(method)}
    if params is not None:
        fields = splice.fields(params)
        if not fields.keys().isdisjoint({*_GONE, "_meta"}):
            params = splice.join({**{n: v for n, v in fields.items() if n not in (*_GONE, "_meta")}, **_meta(fields)})
        request["params"] = msgspec.Raw(params)
    return msgspec.Raw(splice.join(request))


def _meta(fields: splice.Fields) -> splice.Fields:
    """No progress token: its report would be a message from the client, and the revision has none."""
    kept = {name: value for name, value in splice.fields(fields.get("_meta")).items() if name != "progressToken"}
    return {"_meta": msgspec.Raw(splice.join(kept))} if kept else {}


def input_required(questions: Mapping[str, msgspec.Raw], state: str) -> Result:
    return Result(
        splice.join(
            {
                "resultType": splice.raw("input_required"),
                "inputRequests": msgspec.Raw(splice.join(questions)),
                "requestState": splice.raw(state),
            }
        )
    )


def answers(raw: bytes | msgspec.Raw | None) -> dict[str, Reply]:
    """The client's ``inputResponses`` as answers to the requests that the upstream made.

    Raises:
        ProtocolFault: they are none.
    """
    try:
        return {key: _answer(value) for key, value in splice.fields(raw).items()}
    except msgspec.MsgspecError as fault:
        raise ProtocolFault(
            INVALID_PARAMS, f'"inputResponses" must hold one object for each question: {fault}'
        ) from None


def _answer(raw: msgspec.Raw) -> Reply:
    """The revision knows results alone; a client that could not answer may still say so by a JSON-RPC error."""
    fields = splice.fields(raw)
    if fields.keys().isdisjoint(_ANSWERS):
        for error in (fields.get("error"), raw):
            if error is not None and _is_error(error):
                return Failure(bytes(error))
    if "resultType" in fields:
        return Result(splice.join({name: value for name, value in fields.items() if name != "resultType"}))
    return Result(bytes(raw))


def _is_error(raw: msgspec.Raw) -> bool:
    try:
        _ERROR.decode(raw)
    except msgspec.MsgspecError:
        return False
    return True


def accepted(reply: Reply) -> bool:
    """Whether the user agreed to what an elicitation asked."""
    return isinstance(reply, Result) and bytes(splice.fields(reply.raw).get("action", b"")) == b'"accept"'


def pages_required(reply: Reply) -> list[bytes]:
    """The URL elicitations that an upstream wants done before the call is made again; none for any other reply."""
    if not isinstance(reply, Failure) or b"-32042" not in reply.raw:
        return []
    try:
        error = _ERROR.decode(reply.raw)
        if error.code != URL_ELICITATION_REQUIRED or error.data is msgspec.UNSET:
            return []
        return [
            msgspec.json.encode({"mode": "url", "message": page.message, "url": page.url})
            for page in _REQUIRED.decode(error.data).elicitations
        ]
    except msgspec.MsgspecError:
        return []
