"""How long an upstream asks to be left alone, in the headers of its answer. Nobody's SDK reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

Get: TypeAlias = Callable[[str], str | None]

LONGEST_S: Final = 86_400.0
"""Who asks for more gets no more."""

_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
_SPAN: Final = re.compile(
    r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d+)?)ms)?"
)
_IN_LIST: Final = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d{1,9})")
_UNIX_S: Final = 1_000_000_000.0
_UNIX_MS: Final = 1_000_000_000_000.0

_RESETS: Final = (
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
)
"""Of vendors. Some give a span, some a point in time, under the same name."""


def asked_wait_s(get: Get, *, now: float) -> float | None:
    """``now`` is Unix seconds by our clock; where the answer has a ``Date``, points in time are measured from that."""
    if (wait_ms := _number(get("retry-after-ms"))) is not None:
        return _bounded(wait_ms / 1000)
    if (value := get("retry-after")) is not None and (wait_s := _wait_s(value, get, now)) is not None:
        return wait_s
    if (wait_s := _number(get("x-ratelimit-reset-after"))) is not None:
        return _bounded(wait_s)
    for name in _RESETS:
        if (value := get(name)) is not None and (wait_s := _wait_s(value, get, now)) is not None:
            return wait_s
    listed = _IN_LIST.search(get("ratelimit") or "")  # draft-ietf-httpapi-ratelimit-headers: "default";r=0;t=30
    return _bounded(float(listed[1])) if listed is not None else None


def _wait_s(value: str, get: Get, now: float) -> float | None:
    """A span as a number or as ``6m0s``, or a point in time as a number, a date of HTTP or one of RFC 3339."""
    value = value.strip()
    if (number := _number(value)) is not None:
        if number >= _UNIX_S:
            return _bounded((number / 1000 if number >= _UNIX_MS else number) - _here(get, now))
        return _bounded(number)
    if value and (span := _SPAN.fullmatch(value)) is not None:
        factors = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
        return _bounded(sum(float(part or 0) * factor for part, factor in zip(span.groups(), factors, strict=True)))
    at = _date_at(value)
    return _bounded(at - _here(get, now)) if at is not None else None


def _here(get: Get, now: float) -> float:
    """The time by the upstream's clock, which points in time are of."""
    at = _date_at(get("date") or "")
    return now if at is None else at


def _date_at(value: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(value).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _number(value: str | None) -> float | None:
    value = (value or "").strip()
    return float(value) if _NUMBER.fullmatch(value) is not None else None


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, 0.0), LONGEST_S)
