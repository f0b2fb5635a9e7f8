"""Names: how an upstream's tool is called downstream, and whose tool a name means.

With several upstreams a tool or prompt is exposed as ``<alias>__<name>``. Model APIs accept letters, digits, ``_`` and
``-`` only, and at most 64 of them, so a name that does not fit is cut and ends in a hash of the whole: the same name
gives the same exposed name on every machine and at every start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

SEPARATOR: Final = "__"
MAX_NAME: Final = 64
_HASH_DIGITS: Final = 8
MAX_CUT: Final = 10_000
"""Cut names that are remembered for one upstream."""
MAX_OWN: Final = 1024
"""A longer name is not remembered: no call by it would be taken either."""
MAX_URI: Final = 8192
"""A longer one is looked up as a whole, but not in templates."""
MAX_ORIGINS: Final = 10_000
"""URIs, and templates, whose origin one client's session remembers: an upstream may list new ones for ever."""
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
    """Which upstream a resource URI came from: URIs are not renamed, so their origin has to be remembered.

    One client's own: an upstream may list other resources to another. ``order`` are the aliases as configured. Who
    stands first there owns what several list, whoever answered first.
    """

    def __init__(self, order: Iterable[str] = (), *, limit: int = MAX_ORIGINS) -> None:
        self._rank = {alias: rank for rank, alias in enumerate(order)}
        self._limit = limit
        self._exact: dict[str, str] = {}
        self._views: dict[str, str] = {}
        self._templates: dict[str, tuple[str, tuple[str, ...]]] = {}

    def remember(self, uri: str, alias: str) -> None:
        if self._is_first(alias, self._exact.get(uri)):
            _make_room(self._exact, uri, self._limit)
            self._exact[uri] = alias

    def remember_view(self, uri: str, alias: str) -> None:
        """A tool names the URI as its view, which anybody's tool could do: that counts for less than a listing."""
        if self._is_first(alias, self._views.get(uri)):
            _make_room(self._views, uri, self._limit)
            self._views[uri] = alias

    def remember_template(self, template: str, alias: str) -> None:
        if self._is_first(alias, self.of_template(template)):
            _make_room(self._templates, template, self._limit)
            self._templates[template] = (alias, tuple(part for part in _EXPRESSION.split(template) if part))

    def find(self, uri: str) -> str | None:
        """The alias of the upstream that listed the URI, or, of those with a template that it fits, the first."""
        if (alias := self._exact.get(uri)) is not None:
            return alias
        if len(uri) > MAX_URI:
            return None
        found: str | None = None
        for alias, parts in self._templates.values():
            if self._is_first(alias, found) and _fits(parts, uri):
                found = alias
        return found

    def of_view(self, uri: str) -> str | None:
        """The alias of the first upstream with a tool that names the URI as its view."""
        return self._views.get(uri)

    def listed(self, uri: str) -> str | None:
        """The alias of the upstream that listed exactly this URI."""
        return self._exact.get(uri)

    def of_template(self, template: str) -> str | None:
        """The alias of the upstream that listed exactly this template."""
        known = self._templates.get(template)
        return known[0] if known is not None else None

    def _is_first(self, alias: str, other: str | None) -> bool:
        """Whether ``alias`` goes before ``other``. Of two that nobody configured the earlier one stays."""
        if other is None:
            return True
        last = len(self._rank)
        return self._rank.get(alias, last) < self._rank.get(other, last)


def _make_room(kept: dict[str, Any], key: str, limit: int) -> None:
    if key not in kept and len(kept) >= limit:
        del kept[next(iter(kept))]


def fits(template: str, uri: str) -> bool:
    """Whether the URI can come from the template; one that is too long to be looked up comes from none."""
    return len(uri) <= MAX_URI and _fits(tuple(part for part in _EXPRESSION.split(template) if part), uri)


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
