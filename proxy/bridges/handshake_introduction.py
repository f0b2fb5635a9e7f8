"""What each side is told of the other where a handshake client meets a stateless server: their capabilities."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from fuseboard import era
from fuseboard.wire import splice

LISTS: Final = ("tools", "prompts", "resources")
"""The capabilities whose lists may change."""

_TASKS: Final = era.PREFIX + "tasks"
"""The extension whose results (``resultType: "task"``) a handshake client cannot be given."""


def client_capabilities(declared: Any) -> dict[str, Any]:
    """A handshake client's capabilities in the words of 2026-07-28, with what only its own era knows left out."""
    if not isinstance(declared, dict):
        return {}
    said: dict[str, Any] = {name: value for name, value in declared.items() if name != "tasks"}
    if isinstance(roots := said.get("roots"), dict):
        said["roots"] = {name: value for name, value in roots.items() if name != "listChanged"}
    elicitation = said.get("elicitation")
    if isinstance(elicitation, dict) and elicitation.keys().isdisjoint(("form", "url")):
        said["elicitation"] = {**elicitation, "form": {}}  # before 2025-11-25 there was no other mode
    if isinstance(extensions := said.get("extensions"), dict):
        said["extensions"] = {name: value for name, value in extensions.items() if name != _TASKS}
    return said


def changing_lists(discovered: bytes) -> list[str]:
    """The lists whose changes the server offers to tell of, in a fixed order."""
    capabilities = _object(splice.fields(discovered).get("capabilities"))
    return [name for name in LISTS if _value(_object(capabilities.get(name)).get("listChanged")) is True]


def initialize_result(discovered: bytes, *, version: str, listening: bool, delivered: Collection[str]) -> bytes:
    """The ``initialize`` result that says what a ``server/discover`` result says.

    It promises what is really delivered: changes of the lists in ``delivered``, and updates of resources only where the
    server serves ``subscriptions/listen`` at all (``listening``).
    """
    fields = splice.fields(era.initialize_result(discovered, version=version))
    capabilities = _object(fields["capabilities"])
    changed = False
    for name in LISTS:
        kind = _object(capabilities.get(name))
        kept = {
            key: value
            for key, value in kind.items()
            if not (key == "listChanged" and name not in delivered) and not (key == "subscribe" and not listening)
        }
        if len(kept) != len(kind):
            capabilities[name], changed = msgspec.Raw(splice.join(kept)), True
    extensions = _object(capabilities.get("extensions"))
    if extensions.pop(_TASKS, None) is not None:
        capabilities["extensions"], changed = msgspec.Raw(splice.join(extensions)), True
    if changed:
        fields["capabilities"] = msgspec.Raw(splice.join(capabilities))
    return splice.join(fields)


def _object(raw: msgspec.Raw | None) -> splice.Fields:
    try:
        return splice.fields(raw)
    except msgspec.MsgspecError:
        return {}


def _value(raw: msgspec.Raw | None) -> Any:
    return msgspec.json.decode(raw) if raw is not None else None
