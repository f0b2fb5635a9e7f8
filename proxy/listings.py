"""Lists of tools, prompts and resources: filtered, renamed and merged, with each item's other bytes left alone.

What is no list has no items, and what is no item has no name: both go on as they came, since they are not ours to mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fuseboard.wire import splice
from fuseboard.wire.splice import Fields


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of list: its method, the field of its items, and the field that names an item."""

    method: str
    field: str
    key: str
    renamed: bool


TOOLS: Final = Kind("tools/list", "tools", "name", renamed=True)
PROMPTS: Final = Kind("prompts/list", "prompts", "name", renamed=True)
RESOURCES: Final = Kind("resources/list", "resources", "uri", renamed=False)
TEMPLATES: Final = Kind("resources/templates/list", "resourceTemplates", "uriTemplate", renamed=False)
KINDS: Final = {kind.method: kind for kind in (TOOLS, PROMPTS, RESOURCES, TEMPLATES)}


def names(kind: Kind, listing: bytes) -> list[str]:
    """The keys of the items, in order; an item without one is passed over."""
    return [name for item in _items(kind, listing) if (name := _key(kind, _fields(item))) is not None]


def edit(
    kind: Kind,
    listing: bytes,
    *,
    shown: Callable[[str], bool],
    exposed: Callable[[str], str],
) -> bytes:
    """The listing with items left out and renamed. Where nothing changes, the very same bytes.

    A listing that was filtered for its caller must not be served to another, so its ``cacheScope`` becomes private
    (2026-07-28, server/utilities/caching).
    """
    kept: list[msgspec.Raw] = []
    filtered = renamed = False
    for item in _items(kind, listing):
        fields = _fields(item)
        name = _key(kind, fields)
        if name is not None and not shown(name):
            filtered = True
            continue
        if name is not None and kind.renamed and (public := exposed(name)) != name:
            fields[kind.key] = splice.raw(public)
            kept.append(msgspec.Raw(splice.join(fields)))
            renamed = True
        else:
            kept.append(item)
    if not (filtered or renamed):
        return listing
    page = splice.fields(listing)
    page[kind.field] = msgspec.Raw(splice.join(kept))
    if filtered and "cacheScope" in page:
        page["cacheScope"] = splice.raw("private")
    return splice.join(page)


def merge(kind: Kind, pages: Iterable[bytes], *, stateless: bool) -> bytes:
    """One list out of several upstreams', in the order given. The same item twice (a resource URI) counts once."""
    seen: set[str] = set()
    items: list[msgspec.Raw] = []
    for page in pages:
        for item in _items(kind, page):
            key = _key(kind, _fields(item))
            if key is None or key not in seen:
                items.append(item)
            if key is not None:
                seen.add(key)
    merged: dict[str, Any] = {kind.field: items}
    if stateless:
        merged |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return msgspec.json.encode(merged)


def next_cursor(listing: bytes) -> str | None:
    return _text(_fields(listing).get("nextCursor"))


def _items(kind: Kind, listing: bytes) -> list[msgspec.Raw]:
    field = _fields(listing).get(kind.field)
    try:
        return splice.items(field) if field is not None else []
    except msgspec.MsgspecError:
        return []


def _key(kind: Kind, item: Fields) -> str | None:
    return _text(item.get(kind.key))


def _fields(raw: bytes | msgspec.Raw) -> Fields:
    try:
        return splice.fields(raw)
    except msgspec.MsgspecError:
        return {}


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str) if raw is not None else None
    except msgspec.MsgspecError:
        return None
