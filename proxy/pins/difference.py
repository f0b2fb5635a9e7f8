"""What changed in a definition, in words a person can judge: not which bytes, but what it says and takes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from fuseboard.pins.canonical import canonical

_SHOWN_CHARS: Final = 300
_DEEPEST: Final = 12
_MOST: Final = 200
"""Changes of one definition that are told."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_SCHEMAS: Final = {"inputSchema": "argument", "outputSchema": "result field"}
_PLACES: Final = {"annotations": "annotation", "_meta": "metadata", "arguments": "argument"}
_COLLECTIONS: Final = (("properties",), ("required",))
_ABSENT: Final = object()


class Change(msgspec.Struct, frozen=True):
    """``where`` is for the eye (``argument path: type``), ``was`` and ``now`` are texts or ``None``.

    ``bare`` is ``where`` without names that could be sentences.
    """

    where: str
    was: str | None
    now: str | None
    bare: str

    def __str__(self) -> str:
        if self.was is None:
            return f"{self.where} added: {self.now}"
        if self.now is None:
            return f"{self.where} removed; it was {self.was}"
        return f"{self.where} changed from {self.was} to {self.now}"


def changes(was: Any, now: Any) -> tuple[Change, ...]:
    """From one definition to another, in the order of its fields."""
    found: list[Change] = []
    for change in _differences(was, now, ()):
        found.append(change)
        if len(found) >= _MOST:
            break
    return tuple(found)


def brief(found: Sequence[Change]) -> str:
    """For a refusal: what kind of thing changed. It quotes nothing of the upstream's but plain names: the new text is
    what nobody accepted, and a model reads the refusal.
    """
    said = dict.fromkeys(f"{change.bare} {_verb(change)}" for change in found)
    shown = list(said)[:4]
    more = len(said) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _verb(change: Change) -> str:
    return "added" if change.was is None else "removed" if change.now is None else "changed"


def _change(path: tuple[str, ...], was: str | None, now: str | None) -> Change:
    bare = tuple(part if _PLAIN.fullmatch(part) else "…" for part in path)
    return Change(_where(path), was, now, _where(bare))


def _differences(was: Any, now: Any, path: tuple[str, ...]) -> Iterator[Change]:
    if _same(was, now):
        return
    if path[-1:] in _COLLECTIONS:
        was, now = _instead(was, now), _instead(now, was)
    if isinstance(was, dict) and isinstance(now, dict) and len(path) < _DEEPEST:
        for key in dict.fromkeys((*was, *now)):
            yield from _differences(was.get(key, _ABSENT), now.get(key, _ABSENT), (*path, key))
    elif path[-1:] == ("required",) and isinstance(was, list) and isinstance(now, list):
        yield from _required(was, now, path)
    elif _named(was) is not None and _named(now) is not None and len(path) < _DEEPEST:
        yield from _differences(_named(was), _named(now), path)  # a prompt's arguments, by name
    else:
        yield _change(path, _text(was), _text(now))


def _instead(value: Any, other: Any) -> Any:
    """A schema without any properties, or none that are required: an empty collection, unless that is the change."""
    return type(other)() if value is _ABSENT and isinstance(other, dict | list) and other else value


def _same(was: Any, now: Any) -> bool:
    """``1`` and ``true`` are one to Python, and not to JSON; ``1`` and ``1.0`` are."""
    if was is _ABSENT or now is _ABSENT:
        return was is now
    return canonical(was) == canonical(now)


def _required(was: list[Any], now: list[Any], path: tuple[str, ...]) -> Iterator[Change]:
    names = [name for name in (*was, *now) if isinstance(name, str)]
    told = False
    for name in dict.fromkeys(names):
        if (name in was) != (name in now):
            told = True
            here = (*path[:-1], "properties", name)
            must, need_not = "required", "optional"
            yield _change(here, must if name in was else need_not, must if name in now else need_not)
    if not told:
        yield _change(path, _text(was), _text(now))


def _named(value: Any) -> Mapping[str, Any] | None:
    if not isinstance(value, list) or not value:
        return None
    found = {item["name"]: item for item in value if isinstance(item, dict) and isinstance(item.get("name"), str)}
    return found if len(found) == len(value) else None


def _where(path: tuple[str, ...]) -> str:
    """``inputSchema/properties/path/type`` -> ``argument path: type``."""
    if not path:
        return "definition"
    first, rest = path[0], list(path[1:])
    if first in _SCHEMAS and rest[:1] == ["properties"] and len(rest) > 1:
        names = [part for part in rest[1:] if part != "properties"]
        return _joined(_SCHEMAS[first], names)
    if first in _PLACES and rest:
        return _joined(_PLACES[first], rest)
    return ": ".join((first, ".".join(rest))) if rest else first


def _joined(word: str, names: list[str]) -> str:
    head, *tail = names
    return f"{word} {head}" + (f": {'.'.join(tail)}" if tail else "")


def _text(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return _elided(text)


def _elided(text: str) -> str:
    """Hidden characters are escaped: they are often all that changed."""
    seen = "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
    return seen if len(seen) <= _SHOWN_CHARS else f"{seen[:_SHOWN_CHARS]}… ({len(text):,} characters)"
