"""By what calls and results are told apart: digests of their canonical form, what changes each time left out. Pure.

Two calls of one fingerprint ask the same as far as a loop is concerned. Whoever answers one call with the result of
another has to compare the arguments themselves.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


VOLATILE: Final = _set(
    "_ cachebuster clientrequestid clienttime clienttimestamp correlationid currenttime nonce now reqid requestid "
    "requesttime requesttimestamp sentat spanid timestamp traceid traceparent ts xrequestid"
)
"""Arguments that differ each time and mean nothing, in lower case and without ``_`` and ``-``. Cursors, pages, offsets
and ids are what the call is about, so they stay."""

_ASKED: Final = _set("keyword keywords phrase prompt q query question search searchterm term terms")
_PLAIN, _QUESTION, _LEFT_OUT = 0, 1, 2
_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode
_SIZE: Final = 10
_BLANKS: Final = re.compile(r"\s+")
_SLASHES: Final = re.compile(r"(?<!:)/{2,}|(?<=/)(?:\./)+")
_SHORT: Final = 512


def of_call(tool: str, arguments: Mapping[str, Any], volatile: Collection[str] = ()) -> str:
    """One for the same tool and equal arguments, ``volatile`` top-level fields and spelling set aside."""
    plain: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or name in volatile:
            continue
        sort = _sort(name)
        if sort != _LEFT_OUT:
            plain[name] = _spelt(sort, value) if type(value) is str and len(value) <= _SHORT else value
    return hashlib.blake2b(tool.encode() + b"\0" + _CANONICAL(plain), digest_size=_SIZE).hexdigest()


def exact(arguments: Mapping[str, Any]) -> str:
    """One for equal arguments, spelling, types and all. Only the order of the fields is no part of it."""
    return of_text(_CANONICAL(arguments))


def of_text(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=_SIZE).hexdigest()


def _spelt(sort: int, value: str) -> Any:
    """One spelling for a path, a question and a number. All else may mean what it says, blanks and all."""
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    if sort == _QUESTION:
        return _BLANKS.sub(" ", value).strip().casefold()
    if value.isdigit() and value[0] != "0" and len(value) < 16:
        return int(value)
    if "/" in value and "\n" not in value and " " not in value:
        value = _SLASHES.sub(lambda met: "/" if met[0][0] == "/" else "", value)
        value = value.removeprefix("./") or "."
        return value.rstrip("/") or "/"
    return value


@lru_cache(2048)
def _sort(name: str) -> int:
    plain = name[:32].lower().replace("_", "").replace("-", "") or name
    return _LEFT_OUT if plain in VOLATILE else _QUESTION if plain in _ASKED else _PLAIN
