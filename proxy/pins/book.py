"""What was accepted, as this process knows it: judged when a definition is listed, written down when it is new."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fuseboard.era import Era
from fuseboard.events import Standing, Unpinned
from fuseboard.pins.canonical import NotCanonical, canonical, parsed
from fuseboard.pins.difference import Change, brief, changes
from fuseboard.pins.identity import key_of
from fuseboard.pins.lock import (
    FIELDS,
    WORDS,
    Accepted,
    Identity,
    Lock,
    Server,
    Unreadable,
    accepted,
    copied,
    is_blank,
    read,
)

_log = logging.getLogger("fuseboard.pins")

MOST: Final = 4096
"""Definitions of one kind and upstream that are accepted unseen: one may list new ones for ever."""

_OF_ERA: Final = frozenset({"execution"})
"""What one era knows and the other does not: the SDK's servers drop ``execution`` in 2026-07-28."""

_LEFT_OUT: Final = _OF_ERA | {"icons", "_meta"}
"""What may be missing in another era. Added there it is new: an icon is fetched, and a view of ``_meta`` is run."""


class PinsLike(Protocol):
    """The section ``pins`` of the configuration."""

    @property
    def on_change(self) -> str: ...
    @property
    def first_use(self) -> str: ...


class Source(Protocol):
    """The file, as others may change it."""

    def stamp(self) -> Hashable:
        """Differs once the content does. Cheap: it is asked at every listing."""
        ...

    def load(self) -> bytes | None: ...


class Taken(NamedTuple):
    """A definition that was accepted at its first use."""

    key: str
    field: str
    name: str
    entry: Accepted


class Book:
    """``shared``: other configurations write into the same file. ``wake`` is called when there is something to write.

    ``version`` counts what others changed: who remembers judgements forgets them then.
    """

    def __init__(
        self, source: Source, settings: PinsLike, *, shared: bool, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._source = source
        self.accepts = settings.first_use == "accept"
        self._shared = shared
        self._wake = wake
        self.version = 0
        self.pending: list[Taken] = []
        self.identities: dict[str, Identity] = {}
        self._stamp = source.stamp()
        self.lock = read(source.load())

    def shelf(self, alias: str, target: str) -> Shelf:
        key = key_of(alias, target, shared=self._shared)
        self.identities.setdefault(key, Identity(target))
        return Shelf(self, alias, key)

    def look(self) -> None:
        """Take in what another process changed. What cannot be read changes nothing, and is said once.

        Neither does a file that is gone, or empty: all would be accepted anew, and that is a person's to say.
        """
        stamp = self._source.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            raw = self._source.load()
            if is_blank(raw) and self.lock.servers:
                raise Unreadable("it is gone, or empty; `fuseboard pins drop` is how to forget what was accepted")
            self.adopt(read(raw), stamp)
        except (Unreadable, OSError) as fault:
            _log.error("the lock file is left as it was known: %s", fault)

    def adopt(self, lock: Lock, stamp: Hashable) -> None:
        """Know the file as it is now. What waits to be written still counts, where nothing stands in its place."""
        for taken in self.pending:
            put(lock, taken, self.identities.get(taken.key))
        self._stamp = stamp
        if _digests(lock) != _digests(self.lock):
            self.version += 1
        self.lock = lock

    def restored(self) -> Callable[[Lock], None]:
        """How a lock file that is gone is made to say what is known here: it would hold nothing but what is new."""
        known = {key: copied(server) for key, server in self.lock.servers.items()}
        return lambda lock: lock.servers.update(known)

    def take(self, taken: Taken) -> None:
        put(self.lock, taken, self.identities.get(taken.key))
        self.pending.append(taken)
        self._wake()


def put(lock: Lock, taken: Taken, identity: Identity | None) -> None:
    """Add a definition accepted at first use, unless there is one of that name and era: what came first stays."""
    server = lock.servers.setdefault(taken.key, Server())
    if identity is not None:
        server.identity = identity
    there = server.of(taken.field).get(taken.name, ())
    if not there or of_another_era(there, taken.entry):
        server.of(taken.field)[taken.name] = (*there, taken.entry)


class Shelf:
    """The pins of one upstream."""

    def __init__(self, book: Book, alias: str, key: str) -> None:
        self._book = book
        self._alias = alias
        self.key = key
        self._told: set[tuple[str, str, str]] = set()

    @property
    def version(self) -> int:
        return self._book.version

    def look(self) -> None:
        self._book.look()

    def introduced(self, server: Mapping[str, Any]) -> None:
        """What the upstream says of itself, for the file."""
        known = self._book.identities[self.key]
        name, version = (str(server.get(key) or "")[:200] for key in ("name", "version"))
        self._book.identities[self.key] = Identity(known.target, name, version)

    def judge(self, field: str, name: str, raw: bytes, era: Era) -> Unpinned | None:
        """What stands against a definition as it is listed; ``None`` where it is accepted, or is so by this."""
        entry, there = accepted(raw, era.name.lower()), self._there(field, name)
        if any(one.sha256 == entry.sha256 for one in there):
            return None
        if of_another_era(there, entry) or (not there and self._book.accepts and self._count(field) < MOST):
            self._book.take(Taken(self.key, field, name, entry))
            return None
        return self._against(field, name, entry, there)

    def accepts(self, field: str, name: str, digest: str) -> bool:
        """Whether that definition is accepted by now."""
        return any(one.sha256 == digest for one in self._there(field, name))

    def unlisted(self, field: str, name: str) -> Unpinned | None:
        """What stands against a name that no listing shows: where a person has to accept first, that nobody did."""
        if self._there(field, name) or (self._book.accepts and self._count(field) < MOST):
            return None
        return Unpinned(Standing.NEW, WORDS[field])

    def holds(self, field: str) -> bool:
        """Whether anything of that kind was ever accepted."""
        return self._count(field) > 0

    def _there(self, field: str, name: str) -> tuple[Accepted, ...]:
        server = self._book.lock.servers.get(self.key)
        return server.of(field).get(name, ()) if server is not None else ()

    def _count(self, field: str) -> int:
        server = self._book.lock.servers.get(self.key)
        return len(server.of(field)) if server is not None else 0

    def _against(self, field: str, name: str, entry: Accepted, there: tuple[Accepted, ...]) -> Unpinned:
        word = WORDS[field]
        if not there:
            self._tell(field, name, entry.sha256, f"the {word} {name!r} was never accepted")
            return Unpinned(Standing.NEW, word, digest=entry.sha256)
        what = brief(since(there, entry))
        self._tell(field, name, entry.sha256, f"the {word} {name!r} is not what was accepted: {what}")
        return Unpinned(Standing.CHANGED, word, what, entry.sha256)

    def _tell(self, field: str, name: str, digest: str, what: str) -> None:
        if (field, name, digest) not in self._told and len(self._told) < MOST:
            self._told.add((field, name, digest))
            _log.warning("%s: %s", self._alias, what)


def _digests(lock: Lock) -> dict[tuple[str, str, str], frozenset[str]]:
    return {
        (key, field, name): frozenset(one.sha256 for one in entries)
        for key, server in lock.servers.items()
        for field in FIELDS
        for name, entries in server.of(field).items()
    }


def of_another_era(there: Sequence[Accepted], entry: Accepted) -> bool:
    """Whether it is what was accepted, as an era writes it that none of those is of."""
    return bool(there) and all(one.era not in ("", entry.era) and _agree(one, entry) for one in there)


def since(there: Sequence[Accepted], entry: Accepted) -> tuple[Change, ...]:
    """What changed since it was accepted: in its own era, where there is one."""
    same_era = [one for one in there if one.era in ("", entry.era)]
    try:
        return changes(_value((same_era or there)[-1]), _value(entry))
    except (NotCanonical, RecursionError):  # too deep to be told, and not to be noticed
        return (Change("definition", None, "too deep to be shown", "definition"),)


def _agree(one: Accepted, other: Accepted) -> bool:
    """Whether ``other`` is the same definition as another era writes it."""
    was, now = _value(one), _value(other)
    if not isinstance(was, dict) or not isinstance(now, dict):
        return False
    both = was.keys() & now.keys()
    try:
        told = was.keys() - now.keys() <= _LEFT_OUT and now.keys() - was.keys() <= _OF_ERA
        return told and all(canonical(was[key]) == canonical(now[key]) for key in both)
    except NotCanonical:
        return False


def _value(entry: Accepted) -> Any:
    try:
        return parsed(bytes(entry.definition))
    except NotCanonical:
        return None
