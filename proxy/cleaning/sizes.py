"""Results that are too long: the longest texts lose their middle, and a marker says what went. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

_HEAD_SHARE: Final = 0.75
_MARKER_BYTES: Final = 120
_LEAST: Final = 400
"""Texts are not cut to less: then the result as a whole is withheld."""

ASK_LESS: Final = "ask for less, or for a part"
READ_ON: Final = "for all of it read the resource {}"
"""What is said of the rest, by where it can be had."""


class Cut(NamedTuple):
    """A text with its middle gone. ``was_bytes`` and ``gone_bytes`` are of its UTF-8."""

    text: str
    was_bytes: int
    gone_bytes: int


def level(lengths: Sequence[int], excess: int) -> int | None:
    """To how much each text that is longer has to be cut, so that ``excess`` goes; ``None`` where that is not possible.

    The longest give first: one huge log beside ten short notes loses all that has to go.
    """
    ordered = sorted((length for length in lengths if length > _LEAST), reverse=True)
    together = 0
    for count, length in enumerate(ordered, start=1):
        together += length
        keep = (together - excess - count * _MARKER_BYTES) // count
        if keep >= (ordered[count] if count < len(ordered) else _LEAST):
            return keep
    return None


def cut(text: str, keep_bytes: int, rest: str | None = None) -> Cut:
    """The head and the tail of a text, ``keep_bytes`` of them together, with a marker between.

    ``rest`` is where all of it can be had.
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) <= keep_bytes:
        return Cut(text, len(raw), 0)
    head = raw[: int(keep_bytes * _HEAD_SHARE)].decode("utf-8", "ignore")
    tail = raw[len(raw) - (keep_bytes - int(keep_bytes * _HEAD_SHARE)) :].decode("utf-8", "ignore")
    gone = len(raw) - len(head.encode()) - len(tail.encode())
    return Cut(f"{head}\n{marker(gone, len(raw), rest)}\n{tail}", len(raw), gone)


def marker(gone_bytes: int, was_bytes: int, rest: str | None = None) -> str:
    then = ASK_LESS if rest is None else READ_ON.format(rest)
    return f"[fuseboard: {gone_bytes:,} of {was_bytes:,} bytes were cut here; {then}]"


def withheld(was_bytes: int, most_bytes: int, rest: str | None = None) -> str:
    """What the model is told where nothing but the whole can be cut."""
    then = f"{ASK_LESS}." if rest is None else READ_ON.format(rest)  # an address is best without a full stop
    return (
        f"The result had {was_bytes:,} bytes; at most {most_bytes:,} are passed on, and its form does not allow to cut "
        f"it: {then}"
    )
