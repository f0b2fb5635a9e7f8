"""One text for one JSON value (RFC 8785), so that a digest says whether it changed and not how it was written.

Own code, not a library: it runs on whatever an upstream lists, and has to differ from the RFC in one place. The RFC
takes every number for a double, so that two integers beyond 2^53 would be the same; here they keep their digits.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

_LARGEST_PLAIN: Final = 1e21
"""From here on ECMAScript writes an exponent (ECMA-262, Number::toString)."""

_SMALLEST_PLAIN: Final = 1e-6

_BEYOND: Final = re.compile("[\U00010000-\U0010ffff]")


class NotCanonical(ValueError):
    """It is no JSON that every reader takes for the same value."""


def parsed(raw: bytes, as_float: Callable[[str], float] = float) -> Any:
    """
    Raises:
        NotCanonical: it is no JSON, or has a key twice: then two readers may see two values.
    """
    try:
        return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_number, parse_float=as_float)
    except (ValueError, RecursionError) as fault:
        raise NotCanonical(str(fault)) from None


def canonical(value: Any) -> bytes:
    """
    Raises:
        NotCanonical: it holds what JSON cannot say.
    """
    parts: list[str] = []
    try:
        _write(value, parts)
        return "".join(parts).encode()
    except (UnicodeEncodeError, RecursionError) as fault:
        raise NotCanonical(str(fault)) from None


def form(raw: bytes) -> bytes:
    """The canonical form of a JSON text.

    Raises:
        NotCanonical: there is none.
    """
    floats: list[str] = []

    def as_float(text: str) -> float:
        floats.append(text)
        return float(text)

    value = parsed(raw, as_float)
    if floats:
        return canonical(value)
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        # The order of code points is that of UTF-16 unless there is anything beyond the first plane.
        return canonical(value) if _BEYOND.search(text) else text.encode()
    except (UnicodeEncodeError, RecursionError) as fault:
        raise NotCanonical(str(fault)) from None


def digest(raw: bytes) -> str:
    """SHA-256 of the canonical form; of the very bytes where there is none, so that nothing goes unnoticed."""
    try:
        return hashlib.sha256(form(raw)).hexdigest()
    except NotCanonical:
        return hashlib.sha256(b"\0" + raw).hexdigest()


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, dict):
        before = "{"
        for key in sorted(value, key=_utf_16):
            parts.append(f"{before}{_string(key)}:")
            _write(value[key], parts)
            before = ","
        parts.append("}" if value else "{}")
    elif isinstance(value, list):
        before = "["
        for item in value:
            parts.append(before)
            _write(item, parts)
            before = ","
        parts.append("]" if value else "[]")
    elif isinstance(value, float):
        parts.append(number(value))
    elif isinstance(value, str):
        parts.append(_string(value))
    else:
        parts.append(json.dumps(value))


def number(value: float) -> str:
    """A double as ECMAScript writes it (RFC 8785, section 3.2.2.3)."""
    if not math.isfinite(value):
        raise NotCanonical("a number that is none")
    if value == 0:
        return "0"
    size = abs(value)
    if value.is_integer() and size < _LARGEST_PLAIN:
        return str(int(value)) if size < 2**53 else _plain(value)
    digits, _, exponent = repr(value).partition("e")
    if _SMALLEST_PLAIN <= size < _LARGEST_PLAIN:
        return _plain(value) if exponent else digits
    if not exponent:
        return digits
    return f"{digits.removesuffix('.0')}e{int(exponent):+d}"


def _plain(value: float) -> str:
    """The shortest digits that mean it, without an exponent."""
    sign = "-" if value < 0 else ""
    digits, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = digits.removesuffix(".0").partition(".")
    point = len(whole) + int(exponent or 0)
    figures = whole + fraction
    if point <= 0:
        return f"{sign}0.{'0' * -point}{figures}"
    if point >= len(figures):
        return sign + figures.ljust(point, "0")
    return f"{sign}{figures[:point]}.{figures[point:]}"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _utf_16(key: str) -> bytes:
    """Section 3.2.3 sorts by UTF-16 code units, which puts what is beyond the first plane before U+E000."""
    return key.encode("utf-16-be")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotCanonical("a key stands twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise NotCanonical(f"{word} is no JSON")
