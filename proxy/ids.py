"""Identifiers that sort by time and can be read aloud: ``d-`` for decisions, ``r-`` for runs, ``a-`` for approvals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_SUPPLY_BYTES: Final = 4000
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)


def _base32(number: int) -> str:
    """Eight digits for 40 bits, two at a time: every call mints one of these."""
    pairs = _PAIRS
    return pairs[number >> 30 & 1023] + pairs[number >> 20 & 1023] + pairs[number >> 10 & 1023] + pairs[number & 1023]


def derived(digest: bytes, prefix: str = "r-") -> str:
    """An id, by default of a run, that is always the same for the same digest. It tells no time."""
    return prefix + _base32(int.from_bytes(digest[:5], "big")) + _base32(int.from_bytes(digest[5:10], "big"))


def first_at(at: float) -> str:
    """Not above the id of any decision from ``at`` on (Unix seconds), and above those of all before."""
    return "d-" + _base32(int(at * 1000)) + "0" * 8


class Chance:
    """Random bits out of a supply. Asking the system lets go of the interpreter's lock, which costs more than the bits.

    ``source`` gives that many random bytes.
    """

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._supply = b""
        self._used = 0

    def __call__(self, bits: int) -> int:
        """A number of ``bits`` bits, which are whole bytes."""
        start, end = self._used, self._used + bits // 8
        if end > len(self._supply):
            self._supply = self._source(_SUPPLY_BYTES)
            start, end = 0, bits // 8
        self._used = end
        return int.from_bytes(self._supply[start:end], "big")


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
