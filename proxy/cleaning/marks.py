"""Many marks looked for at once in a message: whether any stands in it, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ahocorasick_rs import BytesAhoCorasick

_SHORT_BYTES: Final = 512
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

    def any_in(self, raw: bytes) -> bool:
        """Whether any of them stands in it."""
        if len(raw) <= _SHORT_BYTES and _UNUSUAL.search(raw) is None and self._begun.search(raw) is None:
            return False
        return bool(self._find.find_matches_as_indexes(raw))


def _by_first_letter(words: Iterable[bytes]) -> list[bytes]:
    """One branch for each first letter: a place in a text where none begins is left after a single comparison."""
    groups: dict[bytes, list[bytes]] = {}
    for word in sorted(words):
        groups.setdefault(word[:1], []).append(re.escape(word[1:]))
    return [re.escape(first) + b"(?:" + b"|".join(rests) + b")" for first, rests in groups.items()]
