"""A whole message is cleaned: every string in it that may be seen, by the kind of its field. Pure, linear, idempotent.

``Cleaner.clean`` is the way in, for results, errors, notifications and questions alike. The order: characters first,
since they hide everything else; then our own secrets, over all strings in a row; then others' secrets, links, media,
and at last the size.
"""

from __future__ import annotations

import copy
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, Protocol

import msgspec

from fuseboard.cleaning import blocks, characters, documents, known, links, sizes
from fuseboard.cleaning.fields import Kind, Root, root_of
from fuseboard.cleaning.quick import Quick
from fuseboard.cleaning.secrets import MASK, Secrets, Span
from fuseboard.cleaning.tokens import Document, Object, Text, document, kept_apart, written

PLACES: Final = characters.PLACES
"""So many places are told one by one; the counts are of all."""

_LINKED: Final = (Kind.TEXT, Kind.VALUE)
_ROUNDS: Final = 6


class LinksLike(Protocol):
    @property
    def allow(self) -> Sequence[str]: ...


class OutputLike(Protocol):
    """The section ``output`` of the configuration."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def invisible(self) -> str: ...
    @property
    def arguments(self) -> str: ...
    @property
    def phrases(self) -> str: ...
    @property
    def redact(self) -> Sequence[str]: ...
    @property
    def links(self) -> LinksLike: ...
    @property
    def media(self) -> str: ...
    @property
    def unknown(self) -> str: ...


class Place(msgspec.Struct, frozen=True):
    """What was changed, and where: a JSON pointer into the message as it came, and an offset in that string."""

    what: str
    at: str
    offset: int


class Cleaned(msgspec.Struct, frozen=True):
    """``raw`` is the very same object where there was nothing to clean. ``counts`` are by what was changed."""

    raw: bytes
    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    places: tuple[Place, ...] = ()
    uncut: bytes | None = None
    """The same before it was cut, where it was too long."""

    @property
    def facts(self) -> dict[str, Any]:
        """For the record. It quotes nothing of what went."""
        return {"counts": dict(self.counts), "places": [msgspec.structs.asdict(place) for place in self.places]}


class Light(Protocol):
    """Sets texts apart: :class:`fuseboard.cleaning.spotlight.Spotlight`."""

    def facts(self, upstream: str) -> dict[str, Any] | None: ...
    def lit(self, upstream: str, run: str, raw: bytes) -> Cleaned: ...


class Cleaner:
    """``secrets`` are those that the proxy holds. One for each configuration: making it costs milliseconds.

    ``light`` is what the last hand puts on a result, where texts of some upstreams are to be set apart.
    """

    def __init__(self, settings: OutputLike, secrets: Iterable[str] = (), light: Light | None = None) -> None:
        self.light = light
        redacts = "secrets" in settings.redact
        self._secrets = Secrets(secrets if redacts else ())
        self._characters = settings.invisible == "strip"
        self._formats = redacts
        self._allowed = links.allowing(settings.links.allow)
        self._media = settings.media == "check"
        self._drops = settings.unknown == "drop"
        self.max_bytes = settings.max_bytes
        self._cleans_arguments = settings.arguments == "clean"
        self.signals = settings.phrases == "signal"
        self._quick = self._look()

    def _look(self, *, alone: bool = False) -> Quick:
        return Quick(
            self._secrets,
            characters=self._characters,
            formats=self._formats,
            addresses=self._allowed is not None,
            media=self._media,
            strange=self._drops,
            alone=alone,
        )

    def outgoing(self) -> Cleaner | None:
        """One for what goes to an upstream, where that is cleaned: of characters and our own secrets alone."""
        if not self._cleans_arguments:
            return None
        other = copy.copy(self)
        other._formats = other._media = other._drops = False
        other._allowed, other.max_bytes = None, sys.maxsize
        # whoever can take one of our secrets to pieces has it; a program puts nothing together as a model does
        other._quick = other._look(alone=True)
        return other

    def passes(self, raw: bytes) -> bool:
        """Whether there is certainly nothing to clean in it."""
        return len(raw) <= self.max_bytes and self._quick.passes(raw)

    def clean(self, method: str, raw: bytes, root: Root | None = None, *, rest: str | None = None) -> Cleaned:
        """What ``method`` was answered with, or a notification's parameters; an ``error`` with its own root.

        ``rest`` is where all of it can be had if it has to be cut.
        """
        if self.passes(raw):
            return Cleaned(raw)
        root = root or root_of(method)
        told = _Told()
        try:
            found = document(raw, root)
        except ValueError:  # a string with an escape that is none: whoever parses it next says so
            return Cleaned(raw)
        clean = self._rewritten(raw, found, told)
        uncut = None
        if len(clean) > self.max_bytes and root in (Root.RESULT, Root.ERROR):
            uncut, clean = clean, self._shortened(method, clean, root, told, rest)
        return Cleaned(clean, dict(told.counts), tuple(told.places), uncut) if told.counts else Cleaned(raw)

    def _rewritten(self, raw: bytes, found: Document, told: _Told) -> bytes:
        for text in found.texts:
            if text.kind is not Kind.MEDIA:
                self._characters_of(text, told)
        self._documents(found, told)
        if self._secrets:
            self._own_secrets(found.texts, told)
        if self._formats:
            _formats_of(found.texts, told)
        for text in found.texts:
            if text.kind is Kind.MEDIA:
                continue
            self._links_of(text, told)
        replaced = blocks.replaced(found, told.one, media=self._media, drops=self._drops, allowed=self._allowed)
        kept_apart(found.texts)
        return written(raw, found.texts, replaced)

    def _characters_of(self, text: Text, told: _Told) -> None:
        if not self._characters:
            return
        text.now, removed = characters.cleaned(text.now)
        told.removed(text, removed)

    def _documents(self, found: Document, told: _Told) -> None:
        """What is done with any other text is done with one that comes as Base64."""
        declared = {text.owner: text.now for text in found.texts if text.name == "mimeType"}
        for text in found.texts:
            if text.kind is not Kind.MEDIA or not documents.is_text(declared.get(text.owner, "")):
                continue
            if (was := documents.decoded(text.now)) is None:
                continue
            coded, text.now, text.kind = text.now, was, Kind.TEXT
            self._characters_of(text, told)
            if self._secrets:
                _struck([text], self._secrets.spans, told)
            if self._formats:
                _others_secrets(text, told)
            self._links_of(text, told)
            text.now, text.kind = coded if text.now == was else documents.encoded(text.now), Kind.MEDIA

    def _links_of(self, text: Text, told: _Told) -> None:
        if self._allowed is not None and text.kind in _LINKED and not text.is_key:
            text.now, places = links.disarmed(text.now, self._allowed)
            told.all("link", text, places)

    def _own_secrets(self, texts: Sequence[Text], told: _Told) -> None:
        """In each way in which a reader may string the texts together: prose alone, values, keys and values."""
        ways = [texts]
        if any(text.is_key for text in texts):
            ways.append([text for text in texts if not text.is_key])
        if len(prose := _prose(texts)) > 1:
            ways.append(prose)
        for way in ways:
            _struck(way, self._secrets.spans, told)

    def _shortened(self, method: str, raw: bytes, root: Root, told: _Told, rest: str | None) -> bytes:
        cutting: dict[str, tuple[Text, int]] = {}
        clean, was_bytes = raw, len(raw)
        for attempt in range(_ROUNDS):
            excess = len(clean) - self.max_bytes
            if excess <= 0:
                for text, gone in cutting.values():
                    told.one("cut", text, 0, gone)
                return clean
            found = document(clean, root).texts
            long = [text for text in found if text.kind in _LINKED and not text.is_key]
            keep = sizes.level([text.end - text.start for text in long], excess + (excess >> 3) * bool(attempt))
            if keep is None:
                break
            for text in long:
                if text.end - text.start > keep:
                    utf8 = len(text.now.encode("utf-8", "replace"))
                    text.now, _, gone = sizes.cut(text.now, keep * utf8 // (text.end - text.start), rest)
                    cutting[text.place] = (text, cutting.get(text.place, (text, 0))[1] + gone)
            clean = written(clean, found, {})
        told.counts["withheld"] += 1
        told.places.append(Place("withheld", "", 0))
        return blocks.withheld(method, root, sizes.withheld(was_bytes, self.max_bytes, rest), raw)


class _Told:
    """What was changed so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: list[Place] = []

    @property
    def more(self) -> bool:
        """Whether a place would still be told."""
        return len(self.places) < PLACES

    def one(self, what: str, where: Text | Object, offset: int = 0, count: int = 1) -> None:
        self.counts[what] += count
        if self.more:
            self.places.append(Place(what, where.place, offset))

    def removed(self, text: Text, removed: characters.Removed) -> None:
        for what, count in removed.counts.items():
            self.counts[what] += count
        for what, offset in removed.places[: max(PLACES - len(self.places), 0)]:
            self.places.append(Place(what, text.place, offset))

    def all(self, what: str, text: Text, offsets: Iterable[int]) -> None:
        for offset in offsets:
            self.one(what, text, offset)


def _others_secrets(text: Text, told: _Told) -> None:
    spans = known.spans(text.now)
    if not spans:
        return
    parts: list[str] = []
    done = 0
    for name, start, end in spans:
        parts += text.now[done:start], known.masked(name)
        done = end
    text.now = "".join((*parts, text.now[done:]))
    told.all("known secret", text, [span.start for span in spans])


def _prose(texts: Sequence[Text]) -> list[Text]:
    """What is read in a row, whatever stands between it in the message."""
    return [text for text in texts if text.name == "text" and not text.is_key]


def _formats_of(texts: Sequence[Text], told: _Told) -> None:
    """What is spread over texts first, else of a secret that is whole in its first part the rest would stay; and once
    more for as long as a mask leaves two parts of another in a row."""
    prose = _prose(texts)
    for _ in range(_ROUNDS):
        before = told.counts["known secret"]  # a Counter keeps no word of what was only asked for
        if len(prose) > 1:
            _in_several(prose, told)
        for text in texts:
            if text.kind is not Kind.MEDIA:
                _others_secrets(text, told)
        if len(prose) < 2 or told.counts["known secret"] == before:
            break


def _in_several(texts: Sequence[Text], told: _Told) -> None:
    """Secrets of others that are spread over texts: of each the first part is masked, and the others go."""
    spans = known.spans("".join(text.now for text in texts), whole=True)
    ends = list(accumulate(len(text.now) for text in texts))
    was = [text.now for text in texts]
    for name, start, end in reversed(spans):
        first, last = bisect_right(ends, start), bisect_left(ends, end)
        if first == last:
            continue  # it will be looked at by itself
        for at in range(first, last + 1):
            begins = ends[at] - len(was[at])
            kept_from = max(end - begins, 0) if at == last else len(was[at])
            mask = known.masked(name) if at == first else ""
            texts[at].now = was[at][: max(start - begins, 0)] + mask + texts[at].now[kept_from:]
        told.one("known secret", texts[first], start - ends[first] + len(was[first]))


def _struck(texts: Sequence[Text], find: Callable[[bytes], list[Span]], told: _Told) -> None:
    """Mask what ``find`` finds in all texts in a row; of a secret in several, each part goes."""
    encoded = [text.now.encode("utf-8", "replace") for text in texts]
    spans = find(b"".join(encoded))
    if not spans:
        return
    at, done = 0, 0
    for text, raw in zip(texts, encoded, strict=True):
        parts: list[bytes] = []
        kept_from = 0
        while done < len(spans) and spans[done].start < at + len(raw):
            start, end = spans[done]
            begins, ends = start >= at, end <= at + len(raw)
            first, last = max(start - at, 0), min(end - at, len(raw))
            parts += raw[kept_from:first], _mask(text, last - first) if begins or text.kind is Kind.MEDIA else b""
            kept_from = last
            if begins:
                # the place in characters is a look at all before it: for those alone that are told one by one
                told.one("own secret", text, len(raw[:first].decode("utf-8", "ignore")) if told.more else 0)
            if not ends:
                break
            done += 1
        if parts:
            text.now = b"".join((*parts, raw[kept_from:])).decode("utf-8", "replace")
        at += len(raw)


def _mask(text: Text, length: int) -> bytes:
    """In Base64 of the same length, so that what is around it still decodes."""
    return b"A" * length if text.kind is Kind.MEDIA else MASK.encode()
