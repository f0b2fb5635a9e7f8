"""A page of definitions as a model gets to read it: cleaned, and no description longer than anybody would read.

Pins are of what was listed, so this comes after them. Nothing here judges, and a page with nothing to mend passes byte
for byte. Whoever shows pages remembers them: this parses each once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from fuseboard.cleaning import sizes
from fuseboard.cleaning.fields import Kind, Root
from fuseboard.cleaning.result import Cleaner
from fuseboard.cleaning.tokens import document, written

_log = logging.getLogger("fuseboard.definitions")

Lists: TypeAlias = Callable[[str, bytes], bytes]
"""From a method and its result to what is shown of it."""

_PROSE: Final = Kind.TEXT
"""Not what only programs read, nor the values of a schema: those have to match."""


def as_listed(method: str, page: bytes) -> bytes:
    return page


class Wash:
    """For one upstream: ``cleaner`` takes out what hides, ``most_bytes`` is the longest single text."""

    def __init__(self, alias: str, cleaner: Cleaner, *, most_bytes: int) -> None:
        self._alias = alias
        self._cleaner = cleaner
        self._most_bytes = most_bytes

    def __call__(self, method: str, page: bytes) -> bytes:
        cleaned = self._cleaner.clean(method, page, Root.LIST)
        clean, cut = shortened(cleaned.raw, self._most_bytes)
        if cleaned.counts or cut:
            _log.warning(
                "%s of %s is cleaned: %s", method, self._alias, {**cleaned.counts, **({"cut": cut} if cut else {})}
            )
        return clean


def shortened(page: bytes, most_bytes: int) -> tuple[bytes, int]:
    """The page with each text that is longer cut, and how many were. Names and addresses stay: they have to match."""
    if len(page) <= most_bytes:
        return page, 0
    texts = document(page, Root.LIST).texts
    long = [one for one in texts if not one.is_key and one.kind is _PROSE and one.end - one.start > most_bytes]
    cut = 0
    for text in long:
        text.now, _, gone = sizes.cut(text.now, most_bytes)
        cut += bool(gone)
    return (written(page, texts, {}), cut) if cut else (page, 0)
