"""Names: how an upstream's tool is called downstream, and whose tool a name means.

With several upstreams a tool or prompt is exposed as ``<alias>__<name>``. Model APIs accept letters, digits, ``_`` and
``-`` only, and at most 64 of them, so a name that does not fit is cut and ends in a hash of the whole: the same name
gives the same exposed name on every machine and at every start.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

SEPARATOR: Final = "__"
MAX_NAME: Final = 64
_HASH_DIGITS: Final = 8
MAX_CUT: Final = 10_000
"""Cut names that are remembered for one upstream."""
MAX_OWN: Final = 1024
"""A longer name is not remembered: no call by it would be taken either."""
MAX_URI: Final = 8192
"""A longer one is looked up as a whole, but not in templates."""
_EXPRESSION: Final = re.compile(r"(\{[^{}]+\})")
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")


def expose(alias: str, name: str) -> str:
    """The downstream name of ``name`` at upstream ``alias``."""
    plain = f"{alias}{SEPARATOR}{name}"
    fitting = _FOREIGN.sub("_", plain)
    if fitting == plain and len(plain) <= MAX_NAME:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{fitting[: MAX_NAME - _HASH_DIGITS - 1]}_{digest}"


def split(exposed: str) -> tuple[str, str] | None:
    """The alias in an exposed name and the rest, or ``None`` where there is no alias in it.

    The rest is the upstream's own name unless :func:`expose` had to cut it; :class:`Names` knows those.
    """
    alias, separator, rest = exposed.partition(SEPARATOR)
    return (alias, rest) if separator and alias and rest else None


class Names:
    """The names of one upstream that its lists showed so far, so that a cut name finds its way back.

    What was never listed is not remembered: callers could fill the memory with it, or take another name's place.
    """

    def __init__(self, alias: str, *, prefixed: bool) -> None:
        self._alias = alias
        self._prefixed = prefixed
        self._cut: dict[str, str] = {}

    def exposed(self, name: str, *, listed: bool = True) -> str:
        """The downstream name. ``listed``: the upstream showed it, so it is remembered; who came first stays."""
        if not self._prefixed:
            return name
        exposed = expose(self._alias, name)
        if listed and exposed not in self._cut and exposed != f"{self._alias}{SEPARATOR}{name}":
            self._remember(exposed, name)
        return exposed

    def _remember(self, exposed: str, name: str) -> None:
        if len(name) > MAX_OWN:
            return
        if len(self._cut) >= MAX_CUT:
            del self._cut[next(iter(self._cut))]
        self._cut[exposed] = name

    def own(self, exposed: str) -> str:
        """The upstream's own name. The prefix is known to be this upstream's."""
        if not self._prefixed:
            return exposed
        return self._cut.get(exposed) or exposed.removeprefix(self._alias + SEPARATOR)


class Origins:
    """Which upstream a resource URI came from: URIs are not renamed, so their origin has to be remembered."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._templates: dict[str, tuple[str, tuple[str, ...]]] = {}

    def remember(self, uri: str, alias: str) -> None:
        self._exact.setdefault(uri, alias)

    def remember_template(self, template: str, alias: str) -> None:
        self._templates.setdefault(template, (alias, tuple(part for part in _EXPRESSION.split(template) if part)))

    def find(self, uri: str) -> str | None:
        """The alias of the upstream that listed the URI, or whose template it fits."""
        if (alias := self._exact.get(uri)) is not None:
            return alias
        if len(uri) > MAX_URI:
            return None
        return next((alias for alias, parts in self._templates.values() if _fits(parts, uri)), None)


def _fits(parts: tuple[str, ...], uri: str) -> bool:
    """Whether a URI can come from a template (RFC 6570), generously: ``{x}`` is one segment, its kin are anything.

    All places that the parts so far may end at are carried along, so the work is the product of the two lengths;
    as a regular expression, a template of an upstream's making could keep us busy for hours.
    """
    ends = {0}
    for part in parts:
        if not _EXPRESSION.fullmatch(part):
            ends = {end + len(part) for end in ends if uri.startswith(part, end)}
        elif part[1].isalnum() or part[1] == "_":
            ends = _through_segments(uri, ends)
        elif ends:
            ends = set(range(min(ends), len(uri) + 1))
    return len(uri) in ends


def _through_segments(uri: str, starts: set[int]) -> set[int]:
    ends: set[int] = set()
    for start in starts:
        while start not in ends:
            ends.add(start)
            if start == len(uri) or uri[start] in "/?#":
                break
            start += 1
    return ends
