"""Several servers introduced as one: their capabilities and instructions, merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

LIST_CHANGED: Final = ("tools", "prompts", "resources")
"""The capabilities whose lists may change."""


def merged_capabilities(all_: Sequence[dict[str, Any]], *, everything: bool) -> dict[str, Any]:
    """What at least one upstream can do. ``everything`` promises the lists of upstreams that are still to come."""
    merged: dict[str, Any] = {}
    for capabilities in all_:
        for name, value in capabilities.items():
            if isinstance(value, dict):
                merged[name] = {**_object(merged, name), **{k: v for k, v in value.items() if v is not False}}
            else:
                merged.setdefault(name, value)
    if everything:
        for name in LIST_CHANGED:
            merged[name] = {**_object(merged, name), "listChanged": True}
    return merged


def _object(merged: dict[str, Any], name: str) -> dict[str, Any]:
    """What stands there already: nothing, where an upstream wrote something else than an object."""
    value = merged.get(name)
    return value if isinstance(value, dict) else {}


def merged_instructions(each: dict[str, Any]) -> dict[str, str]:
    """The upstreams' instructions under their aliases, nothing where none has any."""
    parts = [f"## {alias}\n{text.strip()}" for alias, text in each.items() if isinstance(text, str) and text.strip()]
    return {"instructions": "\n\n".join(parts)} if parts else {}
