"""Finding a value as a whole, and passages that two texts share. Linear in what is looked through. Pure.

For passages one side is sampled and the other one read letter by letter, as winnowing does (Schleimer et al. 2003) and
with a harder promise: any passage of :data:`PASSAGE` characters holds one of the samples, which are :data:`_STEP` apart
and as long. Texts are compared, not hashes, so nothing is found that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

PASSAGE: Final = 24
_STEP: Final = 12
_PLACES: Final = 4
"""How many places of one sample are followed up: what is repeated without end is no passage."""

_CANDIDATES: Final = 512
_GROWN: Final = 512
"""How far a passage is followed to either side: it is told by its head anyway."""


class Passage(NamedTuple):
    """A passage of the text ``of`` (its number)."""

    of: int
    begin: int
    end: int


def holds(text: str, value: str) -> bool:
    """Whether ``value`` is in ``text`` as a whole: with no letter or digit to its left and right that would go on."""
    if not value:
        return False
    first, last, long = value[0].isalnum(), value[-1].isalnum(), len(value)
    at = text.find(value)
    while at >= 0:
        end = at + long
        if not (first and at and text[at - 1].isalnum()) and not (last and end < len(text) and text[end].isalnum()):
            return True
        at = text.find(value, at + 1)
    return False


class Samples:
    """The samples of texts that others are searched for. Takes time and room linear in the texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._places: dict[str, list[tuple[int, int]]] = {}
        places = self._places
        for number, text in enumerate(texts):
            for at in range(len(text) - _STEP + 1) if len(text) >= PASSAGE else ():
                known = places.get(gram := text[at : at + _STEP])
                if known is None:
                    places[gram] = [(number, at)]
                elif len(known) < _PLACES:
                    known.append((number, at))

    def __bool__(self) -> bool:
        return bool(self._places)

    def shared(self, text: str) -> list[Passage]:
        """The passages that ``text`` has in common with them, the longest of each text that is touched there."""
        places = self._places
        hits = [at for at in range(0, len(text) - _STEP + 1, _STEP) if text[at : at + _STEP] in places]
        found: list[Passage] = []
        covered: dict[int, int] = {}
        for at in hits[:_CANDIDATES]:
            for number, begin in places[text[at : at + _STEP]]:
                if covered.get(number, -1) >= begin:
                    continue
                passage = self._grown(text, at, number, begin)
                if passage.end - passage.begin >= PASSAGE:
                    found.append(passage)
                    covered[number] = passage.end - _STEP
        return found

    def _grown(self, text: str, at: int, number: int, begin: int) -> Passage:
        own, end, far = self._texts[number], begin + _STEP, at + _STEP
        least, most = max(0, begin - _GROWN), min(len(own), end + _GROWN)
        while begin > least and at > 0 and own[begin - 1] == text[at - 1]:
            begin, at = begin - 1, at - 1
        while end < most and far < len(text) and own[end] == text[far]:
            end, far = end + 1, far + 1
        return Passage(number, begin, end)
