"""The secrets that the proxy itself holds, exactly, in every encoding that they could come back in. Pure and linear.

Aho-Corasick (CACM 18:6, 1975) over all forms at once: a kilobyte against 300 forms takes 3 us, where one alternation of
Python's takes 165 and 300 searches take 100. What has many spellings is decoded first: percent signs, JSON's escapes.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick

from fuseboard.cleaning.marks import LONG_BYTES, LongMarks

MASK: Final = "«secret»"
_SHORTEST: Final = 4
_URLSAFE: Final = str.maketrans("+/", "-_")
_PERCENT: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
_ESCAPE: Final = re.compile(
    rb'\\(?:(u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})|(["\\/bfnrt]))'
)
_SPACE: Final = re.compile(rb"[ \t\r\n]++")
_PLAIN_ESCAPES: Final = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))
_UNESCAPED: Final = re.compile(r"[A-Za-z0-9._~-]*")


class Span(NamedTuple):
    """Where in a text (UTF-8) a secret stands."""

    start: int
    end: int


class Secrets:
    """Finds ``secrets`` in texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        held = [secret for secret in secrets if len(secret) >= _SHORTEST]
        self.forms: tuple[bytes, ...] = tuple(sorted({form.encode() for one in held for form in _forms(one)}))
        self._find = BytesAhoCorasick(self.forms) if self.forms else None
        self.spelt: bool = any(_UNESCAPED.fullmatch(secret) is None for secret in held)

    def __bool__(self) -> bool:
        return self._find is not None

    def may_be_in(self, raw: bytes) -> bool:
        """Whether a form stands in it as it is."""
        if self._find is None:
            return False
        if len(raw) > LONG_BYTES:
            return self._in_long.any_in(raw)
        return bool(self._find.find_matches_as_indexes(raw))

    @cached_property
    def _in_long(self) -> LongMarks:
        return LongMarks(self.forms)

    def spans(self, text: bytes) -> list[Span]:
        """Where secrets stand in a text (UTF-8), in order, none touching another."""
        if self._find is None:
            return []
        whole = View(text, ())
        found = list(self._in(whole, whole))
        if b"%" in text:
            found += self._behind(whole, _PERCENT, _percent)
        if b"\\" in text:
            found += self._behind(whole, _ESCAPE, _escape)
            if b"\\\\" in text or b"\\u" in text:  # JSON in a string of JSON
                once = seen(whole, _ESCAPE, _escape)
                found += [_traced(span, once) for span in self._behind(once, _ESCAPE, _escape)]
        if self.may_be_in(text.translate(None, b" \t\r\n")):
            found += self._behind(whole, _SPACE, _nothing)
        return _merged(found)

    def _behind(self, view: View, pattern: re.Pattern[bytes], decode: Callable[[re.Match[bytes]], bytes]) -> list[Span]:
        """Spans of ``view``'s own text. Where everything came from is only asked once something is found."""
        if not self.may_be_in(pattern.sub(decode, view.text)):
            return []
        decoded = seen(View(view.text, ()), pattern, decode)
        return list(self._in(decoded, decoded))

    def _in(self, view: View, back: View) -> Iterator[Span]:
        assert self._find is not None
        for _, start, end in self._find.find_matches_as_indexes(view.text, overlapping=True):
            yield _traced(Span(start, end), back)


class View(NamedTuple):
    """A text as it reads once decoded. ``turns``, each ``(start, end, start before, end before)``, lead back."""

    text: bytes
    turns: Sequence[tuple[int, int, int, int]]


def seen(view: View, pattern: re.Pattern[bytes], decode: Callable[[re.Match[bytes]], bytes]) -> View:
    """``view`` with everything that matches decoded."""
    parts: list[bytes] = []
    turns: list[tuple[int, int, int, int]] = []
    done = at = 0
    for match in pattern.finditer(view.text):
        parts.append(view.text[done : match.start()])
        at += match.start() - done
        piece = decode(match)
        parts.append(piece)
        turns.append((at, at + len(piece), match.start(), match.end()))
        at += len(piece)
        done = match.end()
    parts.append(view.text[done:])
    return View(b"".join(parts), turns)


def _traced(span: Span, view: View) -> Span:
    """Where a span of the decoded text stood before: what is decoded in one piece goes in one piece."""
    if not view.turns:
        return span
    return Span(_before(view, span.start, first=True), _before(view, span.end - 1, first=False))


def _before(view: View, place: int, *, first: bool) -> int:
    turn = bisect_right(view.turns, place, key=lambda one: one[0]) - 1
    if turn < 0:
        return place if first else place + 1
    _, end, start_before, end_before = view.turns[turn]
    if place < end:
        return start_before if first else end_before
    return end_before + place - end + (0 if first else 1)


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _percent(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[0][1:], 16),))


def _escape(match: re.Match[bytes]) -> bytes:
    """One escape of JSON. The halves of a character beyond the BMP come as one match."""
    if match[2] is not None:
        return bytes((_PLAIN_ESCAPES[match[2][0]],))
    text: str = json.loads(b'"' + match[0] + b'"')
    return text.encode("utf-8", "replace")


def _nothing(match: re.Match[bytes]) -> bytes:
    return b""


def _forms(secret: str) -> Iterator[str]:
    """A secret as it stands in plain text and in the encodings that texts are commonly put through.

    Escapes and percent signs are decoded besides; these forms are for the one look at a message as it came.
    """
    raw = secret.encode()
    plain = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *_base64(raw)]
    yield from plain
    for text in plain:
        for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            yield escaped
            yield escaped.replace("/", "\\/")
            yield json.dumps(escaped)[1:-1]
    yield (digits := raw.hex())
    yield digits.upper()


def _base64(secret: bytes) -> Iterator[str]:
    """What the secret alone decides of its Base64, wherever in groups of three bytes it begins."""
    for before in range(3):
        # Six bits a character: those that a neighbour has a part in are left out.
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        encoded = base64.b64encode(bytes(before) + secret)[first:last].decode()
        yield encoded
        yield encoded.translate(_URLSAFE)
