"""Lists of tools, prompts and resources: filtered, renamed and merged, with each item's other bytes left alone.

What is no list has no items, and what is no item has no name: both go on as they came, since they are not ours to mend.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec

from fuseboard.wire import splice
from fuseboard.wire.splice import Fields

_DIGEST_BYTES: Final = 16


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


class _Name(msgspec.Struct):
    name: str


class _Uri(msgspec.Struct):
    name: str = msgspec.field(name="uri")


class _Template(msgspec.Struct):
    name: str = msgspec.field(name="uriTemplate")


_NAMED: Final[dict[str, msgspec.json.Decoder[_Name | _Uri | _Template]]] = {
    "name": msgspec.json.Decoder(_Name),
    "uri": msgspec.json.Decoder(_Uri),
    "uriTemplate": msgspec.json.Decoder(_Template),
}


class _Ui(msgspec.Struct):
    uri: str | None = msgspec.field(name="resourceUri", default=None)


class _ToolMeta(msgspec.Struct):
    ui: _Ui | None = None
    uri: str | None = msgspec.field(name="ui/resourceUri", default=None)  # as before the extension was stable


class _Tool(msgspec.Struct):
    meta: _ToolMeta | None = msgspec.field(name="_meta", default=None)


_TOOL: Final = msgspec.json.Decoder(_Tool)


class Shown:
    """One page of a list as it is shown. ``listed`` are the upstream's own names of all its items, hidden ones too.

    ``filtered`` says that something was left out. Digests of two pages are equal where their items are.
    """

    def __init__(
        self,
        kind: Kind,
        raw: bytes,
        fields: Fields,
        items: Sequence[msgspec.Raw],
        *,
        listed: tuple[str, ...],
        filtered: bool,
    ) -> None:
        self.kind = kind
        self.raw = raw
        self.listed = listed
        self.filtered = filtered
        self.cursor = _text(fields.get("nextCursor"))
        self.ttl_ms = _ttl_ms(fields.get("ttlMs"))
        self.public = bytes(fields.get("cacheScope", b"")) == b'"public"'
        self.count = len(items)
        self.body = b",".join(map(bytes, items))
        """The items without their brackets: what a merged list is made of."""

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the items that are shown."""
        return frozenset(key for item in self.items() if (key := _key(self.kind, item)) is not None)

    @cached_property
    def digest(self) -> bytes:
        return hashlib.blake2b(self.body, digest_size=_DIGEST_BYTES).digest()

    @cached_property
    def views(self) -> tuple[str, ...]:
        """The resources that tools name as their views (MCP Apps), which need not be listed anywhere."""
        if self.kind is not TOOLS or b"esource" not in self.body:
            return ()
        return tuple(uri for item in self.items() for uri in _views(item))

    def items(self) -> list[msgspec.Raw]:
        return splice.items(b"[%b]" % self.body)


def _views(tool: msgspec.Raw) -> set[str]:
    try:
        meta = _TOOL.decode(tool).meta
    except (msgspec.MsgspecError, RecursionError):
        return set()
    if meta is None:
        return set()
    return {uri for uri in (meta.ui.uri if meta.ui is not None else None, meta.uri) if uri is not None}


def names(kind: Kind, listing: bytes) -> list[str]:
    """The keys of the items, in order; an item without one is passed over."""
    return [name for item in _items(kind, _fields(listing)) if (name := _key(kind, item)) is not None]


def named(kind: Kind, listing: bytes) -> list[tuple[str, bytes]]:
    """The items with their keys, in order; an item without one is passed over."""
    found = [(_key(kind, item), bytes(item)) for item in _items(kind, _fields(listing))]
    return [(name, raw) for name, raw in found if name is not None]


def show(
    kind: Kind,
    listing: bytes,
    *,
    shown: Callable[[str], bool],
    exposed: Callable[[str], str],
    veiled: Callable[[str], bool] | None = None,
    personal: bool = False,
    stateless: bool = False,
) -> Shown:
    """The page with items left out and renamed. Where nothing changes, ``raw`` is the very same bytes.

    ``veiled`` names tools whose results are given by handles: what their schema promises no client will get.
    ``personal``: another caller might be shown other items. What was filtered or is personal must not be served to
    another caller, so its ``cacheScope`` becomes private, and in the stateless era is written where none stands
    (2026-07-28, server/utilities/caching).
    """
    fields = _fields(listing)
    kept: list[msgspec.Raw] = []
    listed: list[str] = []
    filtered = renamed = False
    for item in _items(kind, fields):
        name = _key(kind, item)
        if name is not None:
            listed.append(name)
            if not shown(name):
                filtered = True
                continue
            if kind.renamed and (public := exposed(name)) != name:
                renamed = True
                item = _renamed(kind, item, public)
            if veiled is not None and veiled(name):
                renamed = True
                item = _without(item, "outputSchema")
        kept.append(item)
    recoped = (filtered or personal) and _make_private(fields, stateless=stateless and filtered)
    if filtered or renamed:
        fields[kind.field] = msgspec.Raw(splice.join(kept))
    raw = splice.join(fields) if filtered or renamed or recoped else listing
    return Shown(kind, raw, fields, kept, listed=tuple(listed), filtered=filtered)


def merge(
    kind: Kind, pages: Sequence[Shown], *, stateless: bool, cursor: str | None = None, whole: bool = True
) -> bytes:
    """One page out of several upstreams', in the order given. The same item twice (a resource URI) counts once.

    It may be kept for as long as the first of them, and by others only where all of them may. Where one is missing
    (not ``whole``) it is not to be kept at all, or the client would do without that one for as long.
    """
    fields = [b'"%b":[%b]' % (kind.field.encode(), b",".join(filter(None, _bodies(pages))))]
    if cursor is not None:
        fields.append(b'"nextCursor":' + msgspec.json.encode(cursor))
    if stateless:
        ttl_ms = min((page.ttl_ms for page in pages), default=0) if whole else 0
        public = bool(pages) and all(page.public for page in pages)
        fields.append(b'"resultType":"complete","ttlMs":%d' % ttl_ms)
        fields.append(b'"cacheScope":"public"' if public else b'"cacheScope":"private"')
    return b"{%b}" % b",".join(fields)


def joined(page: Shown, own: Shown) -> bytes:
    """One upstream's page with our own items behind its own. A name is unique, so one of ours goes before its.

    What holds no such list stays as it came.
    """
    fields = _fields(page.raw)
    if page.kind.field not in fields:
        return page.raw
    theirs = [item for item in page.items() if _key(page.kind, item) not in own.keys]
    fields[page.kind.field] = msgspec.Raw(splice.join([*theirs, *own.items()]))
    return splice.join(fields)


def next_cursor(listing: bytes) -> str | None:
    return _text(_fields(listing).get("nextCursor"))


def _bodies(pages: Sequence[Shown]) -> Iterable[bytes]:
    """The items of each page, those of an earlier one and repeated ones left out."""
    together = frozenset[str]().union(*(page.keys for page in pages))
    if len(together) == sum(page.count for page in pages):
        return [page.body for page in pages]
    seen: set[str] = set()
    bodies = []
    for page in pages:
        items = []
        for item in page.items():
            key = _key(page.kind, item)
            if key is None or key not in seen:
                items.append(bytes(item))
            if key is not None:
                seen.add(key)
        bodies.append(b",".join(items))
    return bodies


def _make_private(fields: Fields, *, stateless: bool) -> bool:
    """Whether anything had to be changed for that."""
    if "cacheScope" not in fields and not stateless:
        return False
    private = splice.raw("private")
    if bytes(fields.get("cacheScope", b"")) == bytes(private):
        return False
    fields["cacheScope"] = private
    return True


def _renamed(kind: Kind, item: msgspec.Raw, public: str) -> msgspec.Raw:
    fields = splice.fields(item)
    fields[kind.key] = splice.raw(public)
    return msgspec.Raw(splice.join(fields))


def _without(item: msgspec.Raw, field: str) -> msgspec.Raw:
    return msgspec.Raw(splice.join({name: value for name, value in splice.fields(item).items() if name != field}))


def _items(kind: Kind, fields: Fields) -> list[msgspec.Raw]:
    field = fields.get(kind.field)
    try:
        return splice.items(field) if field is not None else []
    except msgspec.MsgspecError:
        return []


def _key(kind: Kind, item: msgspec.Raw) -> str | None:
    try:
        return _NAMED[kind.key].decode(item).name
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _fields(raw: bytes | msgspec.Raw) -> Fields:
    try:
        return splice.fields(raw)
    except msgspec.MsgspecError:
        return {}


def _ttl_ms(raw: msgspec.Raw | None) -> int:
    """What is absent or makes no sense is stale at once (2026-07-28, caching, ttlMs)."""
    value: Any = None
    with contextlib.suppress(msgspec.MsgspecError):
        value = msgspec.json.decode(raw) if raw is not None else None
    return value if type(value) is int and value > 0 else 0


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str) if raw is not None else None
    except msgspec.MsgspecError:
        return None
