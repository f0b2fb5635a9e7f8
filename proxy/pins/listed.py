"""What one upstream lists, against what was accepted of it: tools as they are built, the others as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fuseboard import listings, shadowing
from fuseboard.era import Era
from fuseboard.events import Standing, Unpinned
from fuseboard.listings import PROMPTS, TEMPLATES, TOOLS, Kind
from fuseboard.pins.book import MOST, Shelf
from fuseboard.pins.lock import WORDS
from fuseboard.routing import fits

_PAGES_KEPT: Final = 32


class Pinned:
    """Prompts and templates are judged by the last page that showed them, whoever asked for it: a session of the
    stateless era remembers nothing. So are tools that a listing leaves out after one showed them.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._pages: dict[tuple[str, Era, bytes], Mapping[str, Unpinned | None]] = {}
        self._against: dict[str, dict[str, Unpinned]] = {kind.field: {} for kind in (TOOLS, PROMPTS, TEMPLATES)}
        self._compared: set[str] = set()
        self._seen = shelf.version
        self._server: Mapping[str, Any] | None = None

    @property
    def version(self) -> int:
        """Another one, and what was remembered by this one may not hold."""
        return self._shelf.version

    def look(self, server: Mapping[str, Any] | None) -> None:
        """Whether another process accepted something since. ``server`` is what the upstream says of itself."""
        if server is not None and server is not self._server:
            self._server = server
            self._shelf.introduced(server)
        self._shelf.look()

    def tool(self, name: str, raw: bytes, era: Era) -> Unpinned | None:
        against = self._shelf.judge(TOOLS.field, name, raw, era)
        self._remember(TOOLS.field, {name: against})
        return against

    def unlisted(self, name: str) -> Unpinned | None:
        """What stands against a tool that a listing leaves out: hidden, a definition is no better than it was."""
        return self._of(TOOLS.field, name)

    def unseen(self, kind: Kind) -> bool:
        """Whether something of that kind was accepted, and nobody has listed what it is now."""
        return kind.field not in self._compared and self._shelf.holds(kind.field)

    def compared(self, kind: Kind) -> None:
        """It was listed, as far as the upstream lists it."""
        self._compared.add(kind.field)

    def listed(self, kind: Kind, page: bytes, era: Era) -> Mapping[str, Unpinned | None]:
        """What stands against each prompt or template of a page that is being shown."""
        if self._seen != self._shelf.version:
            self._seen = self._shelf.version
            self._pages.clear()
        key = (kind.method, era, page)
        if (found := self._pages.get(key)) is None:
            if len(self._pages) >= _PAGES_KEPT:
                del self._pages[next(iter(self._pages))]
            found = self._pages[key] = self._judged(kind, page, era)
        self._remember(kind.field, found)
        return found

    def _remember(self, field: str, found: Mapping[str, Unpinned | None]) -> None:
        """What changed is bounded by what was accepted. What is new need not be remembered to be new."""
        against = self._against[field]
        for name, unpinned in found.items():
            if unpinned is None:
                if against:
                    against.pop(name, None)
            elif unpinned.standing is Standing.CHANGED or name in against or len(against) < MOST:
                against[name] = unpinned

    def still(self, field: str, name: str, against: Unpinned) -> Unpinned | None:
        """What stood against something when it was listed, unless a person has accepted it meanwhile."""
        if against.standing is Standing.MISNAMED:
            return against
        self._shelf.look()
        return None if self._shelf.accepts(field, name, against.digest) else against

    def prompt(self, name: str) -> Unpinned | None:
        return self._of(PROMPTS.field, name)

    def template_of(self, uri: str) -> Unpinned | None:
        """What stands against a template that the URI fits. Nearly always there is none, and nothing to look for."""
        field = TEMPLATES.field
        for template in [template for template in self._against[field] if fits(template, uri)]:
            if (against := self._of(field, template)) is not None:
                return against
        return None

    def _of(self, field: str, name: str) -> Unpinned | None:
        if (against := self._against[field].get(name)) is None:
            return misnamed(field, name) or self._shelf.unlisted(field, name)
        if (left := self.still(field, name, against)) is None:
            del self._against[field][name]
        return left

    def _judged(self, kind: Kind, page: bytes, era: Era) -> Mapping[str, Unpinned | None]:
        found: dict[str, Unpinned | None] = {}
        for name, raw in listings.named(kind, page):
            against = misnamed(kind.field, name) or self._shelf.judge(kind.field, name, raw, era)
            found[name] = found.get(name) or against  # of two of one name the worse counts
        return found


def misnamed(field: str, name: str) -> Unpinned | None:
    """A template is an address and no name: any character may stand in it."""
    if field == TEMPLATES.field or (what := shadowing.disguise(name)) is None:
        return None
    return Unpinned(Standing.MISNAMED, WORDS[field], what)
