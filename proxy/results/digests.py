"""By what results are told apart: a digest without what changes each time, and one without any number at all. Pure.

Times of day, UUIDs, durations and the ids of requests say nothing of what was found. A plain date does, and so does any
other number: only the ``skeleton`` leaves those out too, for results in which nothing but a count went on.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

NORMALISED_BYTES: Final = 64 * 1024
"""How much of a result is looked through. The rest counts as it is, for the digest alone."""

_SIZE: Final = 10

_UUID_MIDDLE: Final = re.compile(rb"-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-")
_UUID: Final = re.compile(rb"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_ID_SIGNS: Final = (b"quest", b"race", b"orrelation")
_SPAN_FIELDS: Final = re.compile(
    rb"((?:duration|elapsed|latency|took|response[ _-]?time|"
    rb"time[ _-]?taken)[\w-]{0,16}\\?\"\s{0,3}:\s{0,3})[0-9]{1,15}(?:\.[0-9]{1,12})?",
    re.IGNORECASE,
)
_SPAN_FIELD_SIGNS: Final = (b"uration", b"lapsed", b"atency", b'took"', b"sponse", b"aken")
_IDS: Final = re.compile(
    rb"((?:request|trace|correlation)[ _-]?id)(\\?\"?\s*[:=]\s*\\?\"?)[\w.+/=-]{3,128}", re.IGNORECASE
)
_CLOCK: Final = re.compile(
    rb"[0-9](?:[0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    rb"(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?|[0-9]?:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?)"
)
_UNIX: Final = re.compile(rb"(?<![0-9.])1[0-9]{9}(?:[0-9]{3}|[0-9]{6}|[0-9]{9})?(?:\.[0-9]{1,9})?(?![0-9.])")
"""Seconds, of 2001 to 2033, or finer."""
_UNIX_SIGN: Final = re.compile(rb"1[0-9]{9}")
_SPAN: Final = re.compile(
    rb"[0-9]{1,12}(?:\.[0-9]{1,12})? ?(?:ns|us|\xc2\xb5s|ms|s|secs?|seconds?|milliseconds?|minutes?|mins?)\b"
)
_SPAN_SIGN: Final = re.compile(rb"0 ?(?:[num]?s\b|\xc2|sec|mil|min)")
_ONE_DIGIT: Final = bytes.maketrans(b"0123456789", b"0000000000")


def digests(said: bytes) -> tuple[str, str]:
    """The digest and the skeleton of what was said; both empty where that is nothing."""
    if not said:
        return "", ""
    head, rest = said[:NORMALISED_BYTES], said[NORMALISED_BYTES:]
    bare = _without_numbers(head)
    plain = _without_times(head, bare)
    digest = _hashed(plain, rest)
    if plain is not head:
        bare = _without_numbers(plain)
    return digest, digest if bare == plain and not rest else _hashed(bare)


def _without_numbers(text: bytes) -> bytes:
    """All numbers as one. Replacing is four times as fast as a regular expression."""
    text = text.translate(_ONE_DIGIT)
    while b"00" in text:
        text = text.replace(b"00", b"0")
    return text.replace(b"0.0", b"0")


def _without_times(text: bytes, bare: bytes) -> bytes:
    """``bare`` is the text without numbers: what stands in it says which of the expressions are worth their time."""
    if _UUID_MIDDLE.search(text) is not None:
        text = _UUID.sub(b"<uuid>", text)
    if any(map(text.__contains__, _ID_SIGNS)):
        text = _IDS.sub(rb"\1\2<id>", text)
    if (b'":0' in bare or b'": 0' in bare) and any(map(text.__contains__, _SPAN_FIELD_SIGNS)):
        text = _SPAN_FIELDS.sub(rb"\1<span>", text)
    if b"0:0" in bare:
        text = _CLOCK.sub(b"<time>", text)
    if _SPAN_SIGN.search(bare) is not None:
        text = _SPAN.sub(b"<span>", text)
    return _UNIX.sub(b"<time>", text) if _UNIX_SIGN.search(text) is not None else text


def _hashed(text: bytes, rest: bytes = b"") -> str:
    digest = hashlib.blake2b(text, digest_size=_SIZE)
    if rest:
        digest.update(rest)
    return digest.hexdigest()
