"""Identifiers that sort by time and can be read aloud: ``d-`` for decisions, ``r-`` for runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)


def _base32(number: int) -> str:
    """Eight digits for 40 bits, two at a time: every call mints one of these."""
    pairs = _PAIRS
    return pairs[number >> 30 & 1023] + pairs[number >> 20 & 1023] + pairs[number >> 10 & 1023] + pairs[number & 1023]


class Ids:
    """Mints identifiers. ``entropy`` gives that many random bits; a simulation gives its own."""

    def __init__(self, entropy: Callable[[int], int]) -> None:
        self._entropy = entropy

    def decision(self, at: float) -> str:
        return "d-" + self._stamp(at)

    def run(self, at: float) -> str:
        return "r-" + self._stamp(at)

    def _stamp(self, at: float) -> str:
        """Eight digits of milliseconds (which start anew in September 2039) and eight of chance."""
        return _base32(int(at * 1000)) + _base32(self._entropy(40))
