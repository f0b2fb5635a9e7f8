"""Many marks looked for at once in a message: whether any stands in it, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind

_SHORT_BYTES: Final = 512
LONG_BYTES: Final = 32_768
_BEGINNING: Final = 6
_UNUSUAL: Final = re.compile(rb"[^\t\n\r -\[\]-~]")
"""All but plain text: what nobody sees, what is no ASCII, and the escapes that could spell it."""


class Marks:
    """The search by Aho and Corasick gives the interpreter's lock away, whatever its documentation says of types.

    To have it back from the store's writer costs tens of times what looking through a short message does, so that is
    first looked through by an expression for how marks begin. It errs on the side of finding some.
    """

    def __init__(self, marks: Iterable[bytes]) -> None:
        known = sorted(set(marks))
        plain = {mark[:_BEGINNING] for mark in known if _UNUSUAL.search(mark) is None}
        self._begun = re.compile(b"|".join(_by_first_letter(plain)) or rb"(?!)")
        self._find = BytesAhoCorasick(known)
        self._known = known

    def any_in(self, raw: bytes) -> bool:
        """Whether any of them stands in it."""
        if len(raw) <= _SHORT_BYTES:
            if _UNUSUAL.search(raw) is None and self._begun.search(raw) is None:
                return False
        elif len(raw) > LONG_BYTES:
            return self._in_long.any_in(raw)
        return bool(self._find.find_matches_as_indexes(raw))

    @cached_property
    def _in_long(self) -> LongMarks:
        return LongMarks(self._known)


class LongMarks:
    """The same for megabytes, ten times as fast: a few dozen words at a time can be looked for many bytes in one step.

    That is how ``ahocorasick_rs`` does it where the leftmost match is wanted, there are no more than some sixty of
    them, and none has one byte alone (measured: 5 MB in 0.5 ms for 32 words, 9 to 39 ms for all marks together).
    """

    _AT_ONCE: Final = 32
    _HEAD_BYTES: Final = 16_384

    def __init__(self, marks: Sequence[bytes]) -> None:
        self._bytes = b"".join(mark for mark in marks if len(mark) == 1)
        # short ones together, for the shortest of a group says how many letters are looked at, and groups alike in size
        words = sorted((mark for mark in marks if len(mark) > 1 and mark.isascii()), key=lambda mark: min(len(mark), 4))
        others = [mark for mark in marks if len(mark) > 1 and not mark.isascii()]
        count = -(-len(words) // self._AT_ONCE)
        ends = [len(words) * at // count for at in range(count + 1)] if count else []
        self._words = [_leftmost(words[start:end]) for start, end in pairwise(ends)]
        self._others = _leftmost(others) if others else None

    def any_in(self, raw: bytes) -> bool:
        # all matches are found, or none: where a message is full of them the first few must do
        head = raw[: self._HEAD_BYTES]
        return self._any_in(head) or (len(raw) > len(head) and self._any_in(raw))

    def _any_in(self, raw: bytes) -> bool:
        if self._bytes and len(raw.translate(None, self._bytes)) != len(raw):
            return True
        if any(words.find_matches_as_indexes(raw) for words in self._words):
            return True
        return self._others is not None and not raw.isascii() and bool(self._others.find_matches_as_indexes(raw))


def _leftmost(marks: Sequence[bytes]) -> BytesAhoCorasick:
    return BytesAhoCorasick(marks, matchkind=MatchKind.LeftmostFirst)


def _by_first_letter(words: Iterable[bytes]) -> list[bytes]:
    """One branch for each first letter: a place in a text where none begins is left after a single comparison."""
    groups: dict[bytes, list[bytes]] = {}
    for word in sorted(words):
        groups.setdefault(word[:1], []).append(re.escape(word[1:]))
    return [re.escape(first) + b"(?:" + b"|".join(rests) + b")" for first, rests in groups.items()]
