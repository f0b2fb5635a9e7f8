"""The params of a governed request: the arguments as they came, for the record, and all of them as they go upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from fuseboard.events import CallProposed
from fuseboard.ports import Request
from fuseboard.wire import splice

_NAME_FIELD: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Asked(Protocol):
    """What is needed of a proposal."""

    @property
    def request(self) -> Request: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...


def raw_arguments(request: Request) -> bytes:
    """The arguments in the client's own bytes."""
    if request.method == "resources/read":
        return b"{}"
    fields = splice.fields(request.params)
    return bytes(fields["arguments"]) if "arguments" in fields else b"{}"


def to_send(ask: Asked, judged: CallProposed) -> bytes | None:
    """The params as they go upstream: the client's own bytes but for what had to change."""
    changed: dict[str, Any] = {}
    name_field = _NAME_FIELD[ask.request.method]
    value = ask.request.value
    if value is not None and value.get(name_field) != judged.tool.name:
        changed[name_field] = judged.tool.name
    if judged.arguments is not ask.arguments:
        changed["arguments"] = dict(judged.arguments)
    return splice.with_fields(ask.request.params, **changed) if changed else ask.request.params
