"""How long an upstream asks to be left alone, as far as its own words say so. Pure.

Some report a limit inside a good answer (panoramicdata/Meraki.Api#389): whoever reads the status alone never waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

LONGEST_S: Final = 86_400.0
"""Who asks for more gets no more."""

_HEAD_CHARS: Final = 2048
_UNITS_S: Final = {"ms": 0.001, "mi": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_AMOUNT: Final = (
    r"(\d{1,9}(?:\.\d{1,6})?)\s*(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)?\b"
)
_ASKED: Final = re.compile(
    rf"\bretry[-_ ]?(?:after|in|delay)(?:[-_ ]?(ms|millis\w*|seconds?|"
    rf"secs?))?[\"'\\]{{0,3}}\s{{0,3}}[:=]?\s{{0,3}}[\"'\\]{{0,3}}{_AMOUNT}|"
    rf"\b(?:try|retry|retrying|wait|resets?|available|call)(?: it)?(?: again)?(?: in| after| for)?(?: about|"
    rf" at least)?()\s+{_AMOUNT}",
    re.IGNORECASE,
)
_FIELDS: Final = (
    "retry_after",
    "retryAfter",
    "retry-after",
    "Retry-After",
    "retry_after_s",
    "retry_after_seconds",
    "retryAfterSeconds",
    "retryDelay",
)
_FIELDS_MS: Final = ("retry_after_ms", "retryAfterMs", "retryAfterMillis")


def asked_wait_s(text: str, value: Any = None) -> float | None:
    """The first span that is asked for, in the fields of ``value`` or in words; ``None`` where there is none."""
    if isinstance(value, Mapping) and (found := _in_fields(value)) is not None:
        return found
    match = _ASKED.search(text[:_HEAD_CHARS])
    if match is None:
        return None
    number, unit = (match[2], match[3] or match[1]) if match[2] is not None else (match[5], match[6])
    return span_s(number, unit or "")


def span_s(number: str, unit: str) -> float:
    """Seconds, where no unit says otherwise."""
    unit = unit.lower()
    if unit.startswith("mil"):
        unit = "ms"
    return min(float(number) * (_UNITS_S.get(unit[:2]) or _UNITS_S.get(unit[:1]) or 1.0), LONGEST_S)


def _in_fields(value: Mapping[str, Any]) -> float | None:
    for fields in (
        value,
        *(inner for name in ("error", "data", "details") if isinstance(inner := value.get(name), Mapping)),
    ):
        for names, unit in ((_FIELDS, ""), (_FIELDS_MS, "ms")):
            for name in names:
                found = fields.get(name)
                if isinstance(found, str) and (match := re.fullmatch(_AMOUNT, found.strip())) is not None:
                    return span_s(match[1], match[2] or unit)
                if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1e12:
                    return span_s(repr(float(found)) if found < 1e9 else "1e9", unit)
    return None
