"""Amounts as people write them: ``1h30m``, ``64KB``, ``250k``, ``50%``, ``60/min burst 20``. And back again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_COUNTS = {"k": 10**3, "M": 10**6}
_PERIODS = {
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    "day": 86400.0,
}

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = rf"^(?:{_NUMBER}(?:ms|s|m|h|d))+$"
_SIZE = rf"^{_NUMBER} ?(?:B|[KMG]i?B)$"
_COUNT = rf"^{_NUMBER}[kM]$"
_SHARE = rf"^{_NUMBER}%$"
_RATE = r"^([0-9]+) ?/ ?(s|sec|second|min|minute|h|hour|day)(?: burst ([0-9]+))?$"


def wrong(text: str) -> PydanticCustomError:
    """A validation error whose message is already written for the operator: what was found; what is expected."""
    return PydanticCustomError("fuseboard", "{text}", {"text": text})


def quoted(value: object) -> str:
    """A value as an error message names it: short, and in the words of YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "keys and values"
        case list() | tuple():
            return "a list"
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "…")
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` calls in each ``per_s`` seconds in the long run, ``burst`` of them at once."""

    count: int
    per_s: float
    burst: int

    def __str__(self) -> str:
        period = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}.get(self.per_s, f"{self.per_s}s")
        return f"{self.count}/{period} burst {self.burst}"


def parse_duration(value: Any) -> float:
    """Seconds from ``500ms``, ``30s``, ``5m``, ``1h30m`` or ``14d``. A bare number is refused: of what?"""
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value.strip()):
        raise wrong(f"found {quoted(value)}, which is not a duration; write it like 30s, 5m or 1h30m")
    # The sum is rounded to the microsecond, so that 1.1s + 100ms is 1.2 and not 1.2000000000000002.
    parts = re.findall(rf"({_NUMBER})(ms|s|m|h|d)", value.strip())
    return round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 6)


def parse_size(value: Any) -> int:
    """Bytes from ``64KB``, ``10MB`` (decimal) or ``4MiB`` (binary); a bare whole number is bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(_SIZE, value.strip()):
        raise wrong(f"found {quoted(value)}, which is not a size; write it like 64KB, 10MB or 4MiB")
    return _scaled(value.strip(), _BYTES)


def parse_count(value: Any) -> int:
    """A whole number, or ``250k``, ``1.5M``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(rf"{_COUNT}|^[0-9]+$", value.strip()):
        raise wrong(f"found {quoted(value)}, which is not a count; write it like 200, 250k or 1.5M")
    return _scaled(value.strip(), _COUNTS)


def parse_share(value: Any) -> float:
    """A share from 0 to 1 out of ``50%``. A bare number is refused: 1 could be everything or a hundredth."""
    if not isinstance(value, str) or not re.fullmatch(_SHARE, value.strip()) or float(value.strip()[:-1]) > 100:
        raise wrong(f"found {quoted(value)}, which is not a percentage; write it like 50%, from 0% to 100%")
    return float(value.strip()[:-1]) / 100


def parse_rate(value: Any) -> Rate:
    """A :class:`Rate` from ``60/min burst 20``; without ``burst``, the whole count may come at once."""
    found = re.fullmatch(_RATE, value.strip()) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0 or found[3] == "0":
        raise wrong(f"found {quoted(value)}, which is not a rate; write it like 60/min or 60/min burst 20")
    return Rate(int(found[1]), _PERIODS[found[2]], int(found[3] or found[1]))


def format_duration(seconds: float) -> str:
    """The shortest spelling that :func:`parse_duration` reads back to the millisecond."""
    rest, text = round(seconds * 1000), ""
    for unit in ("d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, round(_SECONDS[unit] * 1000))
        text += f"{amount}{unit}" if amount else ""
    return text or "0s"


def format_size(size_bytes: int) -> str:
    """The largest unit that divides the size: ``10MB``, ``4MiB``, ``1500B``."""
    for unit in ("GB", "MB", "KB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def format_share(share: float) -> str:
    return f"{share * 100:.10g}%"


def _scaled(text: str, scale: dict[str, int]) -> int:
    found = re.fullmatch(rf"({_NUMBER}) ?([A-Za-z]*)", text)
    assert found is not None
    return round(float(found[1]) * scale.get(found[2], 1))


def _unless_number(parse: Callable[[Any], float]) -> BeforeValidator:
    """Code hands over plain seconds and shares (``timeout_s=30.0``); a file, which has a context, names the unit."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        given = isinstance(value, int | float) and not isinstance(value, bool)
        return value if given and info.context is None else parse(value)

    return BeforeValidator(validate)


Duration = Annotated[
    float,
    _unless_number(parse_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION, "format": "fuseboard-duration"}),
]
"""Seconds, written like ``30s``, ``5m`` or ``1h30m``."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["string", "integer"], "pattern": _SIZE, "format": "fuseboard-size"}),
]
"""Bytes, written like ``64KB`` (1,000 each) or ``4MiB``."""

Count = Annotated[
    int,
    BeforeValidator(parse_count),
    WithJsonSchema({"type": ["string", "integer"], "pattern": rf"{_COUNT}|^[0-9]+$", "format": "fuseboard-count"}),
]
"""A whole number, written like ``200`` or ``250k``."""

Share = Annotated[
    float,
    _unless_number(parse_share),
    WithJsonSchema({"type": "string", "pattern": _SHARE, "format": "fuseboard-share"}),
]
"""A share from 0 to 1, written like ``50%``."""

RateText = Annotated[
    Rate,
    PlainValidator(lambda value: value if isinstance(value, Rate) else parse_rate(value)),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": _RATE, "format": "fuseboard-rate"}),
]
"""A :class:`Rate`, written like ``60/min burst 20``."""
