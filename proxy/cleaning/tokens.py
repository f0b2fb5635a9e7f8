"""The strings of a JSON text, each with its place and kind, so that some can be changed and all other bytes stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from fuseboard.cleaning.fields import Kind, Root, kind_inside, kind_of, shows_keys

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]', re.DOTALL)
_QUOTE, _OPEN, _COMMA = b'"{,'

Path: TypeAlias = tuple[Any, ...]
"""Linked from the inside out, since few are ever asked for: ``(path of the parent, key or index)``."""


class Text:
    """One string. ``start`` and ``end`` enclose it in the JSON text, quotes included; ``owner`` numbers its object."""

    __slots__ = ("end", "is_key", "kind", "now", "owner", "path", "start", "was")

    def __init__(self, match: re.Match[bytes], path: Path, kind: Kind, owner: int, *, is_key: bool = False) -> None:
        self.start, self.end = match.span()
        self.path, self.kind, self.owner, self.is_key = path, kind, owner, is_key
        self.was = self.now = unquoted(match[0])

    @property
    def name(self) -> str:
        """The field that it stands in, or the field of the array that it is an item of."""
        path = self.path
        while path and isinstance(path[1], int):
            path = path[0]
        return path[1] if path else ""

    @property
    def place(self) -> str:
        return pointer(self.path)


class Object:
    """One JSON object: where it stands, and what it says of itself. ``number`` is the owner of its texts."""

    __slots__ = ("end", "field", "inside", "number", "path", "start", "type")

    def __init__(self, start: int, frame: _Frame) -> None:
        self.start, self.number, self.inside, self.field = start, frame.number, frame.inside, frame.field
        self.path = frame.path
        self.end = start
        self.type: str | None = None

    @property
    def place(self) -> str:
        return pointer(self.path)


class Document(NamedTuple):
    """``objects`` are in the order of their numbers, which are their places in it."""

    texts: list[Text]
    objects: list[Object]


def pointer(path: Path) -> str:
    """A JSON pointer (RFC 6901), fit to be read: what nobody would see in it is escaped."""
    steps: list[str] = []
    while path:
        path, step = path
        steps.append(str(step).replace("~", "~0").replace("/", "~1"))
    text = "".join(f"/{step}" for step in reversed(steps))
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class _Frame:
    __slots__ = ("field", "inside", "is_object", "key", "kind", "number", "path", "position")

    def __init__(self, path: Path, inside: Kind, is_object: bool, number: int) -> None:
        self.path, self.inside, self.kind, self.is_object, self.number = path, inside, inside, is_object, number
        self.key: str | None = None
        self.field: str | None = None
        self.position = 0

    @property
    def here(self) -> Path:
        return (self.path, self.key if self.is_object else self.position)


def unquoted(token: bytes) -> str:
    if b"\\" not in token:
        return token[1:-1].decode("utf-8", "replace")
    text: str = json.loads(token.decode("utf-8", "replace"), strict=False)
    return text


def quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")


def document(raw: bytes, root: Root, kind: Kind = Kind.TEXT) -> Document:
    """Every string that may be seen, in order. What is no JSON gives what can be read of it."""
    reader = _Reader(raw, root, kind)
    for match in _TOKEN.finditer(raw):
        reader.token(match)
    return Document(reader.texts, reader.objects)


class _Reader:
    def __init__(self, raw: bytes, root: Root, kind: Kind) -> None:
        self.texts: list[Text] = []
        self.objects: list[Object] = []
        self._raw, self._root, self._kind = raw, root, kind
        self._stack: list[_Frame] = []

    def token(self, match: re.Match[bytes]) -> None:
        first, top = self._raw[match.start()], self._stack[-1] if self._stack else None
        if first == _QUOTE:
            if top is not None and top.is_object and top.key is None:
                self._key(match, top)
            else:
                self._value(match, top)
        elif first in b"{[":
            self._open(match.start(), top, is_object=first == _OPEN)
        elif first in b"}]" and top is not None:
            self._stack.pop()
            if top.is_object:
                self.objects[top.number].end = match.end()
        elif first == _COMMA and top is not None:
            top.key = None
            top.position += 1

    def _key(self, match: re.Match[bytes], top: _Frame) -> None:
        top.key = unquoted(match[0])
        top.kind = kind_of(self._root, top.inside, top.key)
        if shows_keys(top.inside):
            self.texts.append(Text(match, top.here, top.inside, top.number, is_key=True))

    def _value(self, match: re.Match[bytes], top: _Frame | None) -> None:
        if top is None:
            self.texts.append(Text(match, (), self._kind, -1))
            return
        if top.kind is not Kind.KEPT:
            self.texts.append(Text(match, top.here, top.kind, top.number))
        elif top.is_object and top.key == "type":
            self.objects[top.number].type = unquoted(match[0])

    def _open(self, start: int, top: _Frame | None, *, is_object: bool) -> None:
        if top is None:
            frame = _Frame((), self._kind, is_object, len(self.objects) if is_object else -1)
            field = None
        else:
            inside = kind_inside(top.inside, top.kind)
            frame = _Frame(top.here, inside, is_object, len(self.objects) if is_object else top.number)
            field = top.key if top.is_object else top.field
        frame.field = field
        self._stack.append(frame)
        if is_object:
            self.objects.append(Object(start, frame))


def written(raw: bytes, texts: Iterable[Text], blocks: Mapping[Object, bytes]) -> bytes:
    """The JSON text with its texts as they are now, and ``blocks`` in the place of whole objects."""
    changes = [(one.start, one.end, quoted(one.now)) for one in texts if one.now != one.was]
    changes += [(one.start, one.end, new) for one, new in blocks.items()]
    if not changes:
        return raw
    parts: list[bytes] = []
    done = 0
    for start, end, new in sorted(changes):
        if start >= done:  # else it stood in an object that is no more
            parts += raw[done:start], new
            done = end
    parts.append(raw[done:])
    return b"".join(parts)


def kept_apart(found: Iterable[Text]) -> None:
    """Number the keys of an object that became equal: a parser would keep but one of them."""
    taken: set[tuple[int, str]] = set()
    changed: list[Text] = []
    for text in found:
        if text.is_key and text.now != text.was:
            changed.append(text)
        elif text.is_key:
            taken.add((text.owner, text.now))
    for text in changed:
        name, number = text.now, 1
        while (text.owner, text.now) in taken:
            number += 1
            text.now = f"{name} ({number})"
        taken.add((text.owner, text.now))
