"""Names that pass for others, and definitions that speak of other servers' tools. Pure.

A name in disguise is refused. What a definition says is a finding for a person: honest servers speak of others too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from fuseboard.cleaning import characters
from fuseboard.confusables import skeleton
from fuseboard.pins.canonical import NotCanonical, parsed

_DIRECTS: Final = re.compile(
    r"(?i)\b(use|using|call|calling|invoke|run|before|after|instead|first|always|never|must|replac\w*|rather)\b"
)
_NEAR_CHARS: Final = 60
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")
_TELLING: Final = re.compile(r"[A-Za-z0-9]+[_-][A-Za-z0-9_-]+|[a-z]+[A-Z]\w+")
"""A bare name that is no word of any language: ``read_file``, ``readFile``; ``search`` is in every description."""

_LEAST_CHARS: Final = 5
_UNSEEN: Final = ("Cc", "Cf", "Zl", "Zp")
_PROSE: Final = frozenset({"description", "title", "$comment", "markdownDescription", "examples", "default"})


class Hint(msgspec.Struct, frozen=True):
    """Something a person should look at. ``tool`` is of the upstream ``alias``, as that one names it."""

    alias: str
    tool: str
    what: str
    remedy: str


def disguise(name: str) -> str | None:
    """How a name hides what it is, in our own words; ``None`` where it does not."""
    if name.isascii():
        return None if name.isprintable() else "it holds control characters"
    if characters.cleaned(name)[0] != name or any(
        unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp") for one in name
    ):
        return "it holds characters that nobody sees"
    # 2025-11-25, server/tools: names should be ASCII. One that only looks so can but be meant to.
    return "it is written with letters that only look like plain ones" if skeleton(name).isascii() else None


def confusable(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names as clients see them that look alike: of plain letters too, where a ``1`` could be an ``l``."""
    seen: dict[str, str] = {}
    for exposed in names:
        looks = _looks(exposed)
        if looks in seen:
            yield seen[looks], exposed
        else:
            seen[looks] = exposed


def _looks(name: str) -> str:
    return skeleton(name).translate(_ALIKE).replace("rn", "m").replace("vv", "w")


_ALIKE: Final = str.maketrans({"0": "O", "1": "l", "I": "l", "|": "l"})


def hints(tools: Mapping[str, Sequence[tuple[str, str, bytes]]]) -> Iterator[Hint]:
    """Of all upstreams together: ``(own name, exposed name, definition)`` of each tool, by alias."""
    for alias, listed in tools.items():
        for name, _, _ in listed:
            if (what := disguise(name)) is not None:
                yield Hint(alias, name, what, "it is neither shown nor called; ask its author to rename it")
        yield from _twice(alias, [name for name, _, _ in listed])
    owner = {exposed: (alias, name) for alias, listed in tools.items() for name, exposed, _ in listed}
    for one, other in confusable(owner):
        alias, name = owner[other]
        yield Hint(alias, name, f"its name looks like {one}", "leave one of them out with `expose`, or have it renamed")
    for alias, listed in tools.items():
        others = _others(tools, alias)
        for name, _, raw in listed:
            for spoken_of in _speaks_of(raw, name, others):
                yield Hint(
                    alias,
                    name,
                    f"its definition speaks of {spoken_of}, which is another server's",
                    "read it; leave the tool out with `expose` unless you know why it does",
                )


def _twice(alias: str, names: Iterable[str]) -> Iterator[Hint]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield Hint(alias, name, "it is listed twice", "one of the two counts; ask its author which")
        seen.add(name)


def _others(tools: Mapping[str, Sequence[tuple[str, str, bytes]]], alias: str) -> Mapping[str, str]:
    """How the others' tools may be spoken of, and what is meant: by prefix, or by a name that is no plain word."""
    own = {name for name, _, _ in tools[alias]} | {exposed for _, exposed, _ in tools[alias]}
    found: dict[str, str] = {}
    for other, listed in tools.items():
        if other == alias:
            continue
        for name, exposed, _ in listed:
            for spoken in (exposed, f"{other}__{name}"):
                found[spoken] = exposed
            if len(name) >= _LEAST_CHARS and _TELLING.fullmatch(name):
                found.setdefault(name, exposed)
    return {spoken: exposed for spoken, exposed in found.items() if spoken not in own}


def _speaks_of(raw: bytes, name: str, others: Mapping[str, str]) -> list[str]:
    try:
        definition = parsed(raw)
    except NotCanonical:
        return []
    found: dict[str, None] = {}
    for text in _prose(definition):
        for match in _WORD.finditer(text):
            word = match[0].strip(".-")
            exposed = others.get(word)
            if exposed is None or word == name:
                continue
            around = text[max(match.start() - _NEAR_CHARS, 0) : match.end() + _NEAR_CHARS]
            if "__" in word or _DIRECTS.search(around):
                found[exposed] = None
    return list(found)


def _prose(value: Any) -> Iterator[str]:
    """Whatever a model reads of a definition besides names and types."""
    stack: list[tuple[Any, bool]] = [(value, False)]
    while stack:
        item, prose = stack.pop()
        if isinstance(item, dict):
            stack += [(inner, key in _PROSE) for key, inner in item.items()]
        elif isinstance(item, list):
            stack += [(inner, prose) for inner in item]
        elif isinstance(item, str) and prose:
            yield item
