"""What could not be carried from one era to the other, counted, so that no loss stays unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LONGEST: Final = 128
"""In characters, and kinds at most. A word may hold what a server invented."""

OTHERS: Final = "others"


class Losses:
    """The losses at one upstream, by kind. A kind is a few words, mostly a method's name and what became of it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        what = what[:LONGEST]
        self._counts[what if what in self._counts or len(self._counts) < LONGEST else OTHERS] += 1

    @property
    def counts(self) -> Mapping[str, int]:
        return MappingProxyType(self._counts)
