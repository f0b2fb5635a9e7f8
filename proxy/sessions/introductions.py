"""Several servers introduced as one: their capabilities and instructions, merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fuseboard.wire import splice

_DEPTH: Final = 8
"""Deeper than any capability goes; what an upstream nests deeper is the first one's."""

LIST_CHANGED: Final = ("tools", "prompts", "resources")
"""The capabilities whose lists may change."""


def merged_capabilities(all_: Sequence[dict[str, Any]], *, everything: bool) -> dict[str, Any]:
    """What at least one upstream can do. ``everything`` promises the lists of upstreams that are still to come."""
    merged: dict[str, Any] = {}
    for capabilities in all_:
        for name, value in capabilities.items():
            if isinstance(value, dict):
                merged[name] = _merged(_object(merged, name), value)
            else:
                merged.setdefault(name, value)
    if everything:
        for name in LIST_CHANGED:
            merged[name] = {**_object(merged, name), "listChanged": True}
    return merged


def _merged(one: dict[str, Any], other: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Both, and in both what is an object there. Of two words on the same thing the first counts, but for a plain no.

    Extensions and experiments of several upstreams have settings of their own below their names.
    """
    merged = dict(one)
    for key, value in other.items():
        known = merged.get(key)
        if isinstance(value, dict) and isinstance(known, dict) and depth < _DEPTH:
            merged[key] = _merged(known, value, depth + 1)
        elif value is not False and (not known or (isinstance(value, dict) and not isinstance(known, dict))):
            merged[key] = value
    return merged


def _object(merged: dict[str, Any], name: str) -> dict[str, Any]:
    """What stands there already: nothing, where an upstream wrote something else than an object."""
    value = merged.get(name)
    return value if isinstance(value, dict) else {}


def with_tools(introduction: bytes) -> bytes:
    """One upstream's introduction for clients whom we offer tools of our own; as it came where it has tools itself."""
    try:
        capabilities = msgspec.json.decode(splice.fields(introduction).get("capabilities") or b"{}")
    except msgspec.MsgspecError:
        return introduction
    if not isinstance(capabilities, dict) or "tools" in capabilities:
        return introduction
    return splice.with_fields(introduction, capabilities={**capabilities, "tools": {}})


def merged_instructions(each: dict[str, Any]) -> dict[str, str]:
    """The upstreams' instructions under their aliases, nothing where none has any."""
    parts = [f"## {alias}\n{text.strip()}" for alias, text in each.items() if isinstance(text, str) and text.strip()]
    return {"instructions": "\n\n".join(parts)} if parts else {}
