"""W3C Trace Context and Baggage, read strictly: ``traceparent``, ``tracestate``, ``baggage``.

In MCP they stand in ``params._meta`` under these bare names (2026-07-28, basic/index, ``_meta``; SEP-414), in either
era and over every transport. Nothing here is proof of anything: whoever sends a request writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"

MEMBER: Final = "fuseboard"
"""Our key in ``tracestate``: it names the span of ours below which a call stands.

An instrumented agent puts spans of its own between that and its next call, and hands the ``tracestate`` on as it came
(Trace Context, 3.3), so this is what is left of us there.
"""

BAGGAGE_BYTES: Final = 8192
BAGGAGE_MEMBERS: Final = 64
_STATE_CHARACTERS: Final = 512
_STATE_MEMBERS: Final = 32

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_\-*/]{0,255}(?:@[a-z][a-z0-9_\-*/]{0,13})?")
_VALUE: Final = re.compile(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SPACE: Final = " \t"


class TraceParent(NamedTuple):
    """Where a request stands in a trace: under the span ``span`` of the trace ``trace``, both in hexadecimal."""

    trace: str
    span: str
    flags: str

    def below(self, span: str) -> str:
        """The header for what is called from here, under a span of our own."""
        return f"00-{self.trace}-{span}-{self.flags}"


def traceparent(text: object) -> TraceParent | None:
    """``None`` where it is not what Trace Context, 3.2.2 says; a later version is read as far as this one goes."""
    if not isinstance(text, str) or len(text) > _STATE_CHARACTERS or (found := _PARENT.fullmatch(text)) is None:
        return None
    version, trace, span, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None) or not trace.strip("0") or not span.strip("0"):
        return None
    return TraceParent(trace, span, flags if version == "00" else f"{int(flags, 16) & 1:02x}")


def tracestate(text: object) -> dict[str, str] | None:
    """The members in order, ``None`` where one of them or their number is wrong: all are void then (3.3.1)."""
    if not isinstance(text, str):
        return None
    members: dict[str, str] = {}
    for part in text.split(",", _STATE_MEMBERS * 2):
        if not (member := part.strip(_SPACE)):
            continue
        key, _, value = member.partition("=")
        if key in members or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            return None
        members[key] = value
    return members if len(members) <= _STATE_MEMBERS else None


def with_member(text: object, value: str) -> str | None:
    """The ``tracestate`` with ours in front, as 3.3.1 wants it; ``None`` where what came is void and stays as it is.

    Where that would be too long, those that stand last go.
    """
    members = {} if text is None else tracestate(text)
    if members is None:
        return None
    members.pop(MEMBER, None)
    parts = [f"{MEMBER}={value}", *(f"{key}={old}" for key, old in members.items())][:_STATE_MEMBERS]
    while len(parts) > 1 and sum(map(len, parts)) + len(parts) - 1 > _STATE_CHARACTERS:
        parts.pop()
    return ",".join(parts)


def baggage_value(text: object, key: str) -> str | None:
    """The value of one member, ``None`` where there is none or the whole breaks the form or the bounds."""
    for name, value, _ in _members(text):
        if name == key:
            return unquote(value)
    return None


def without_baggage(text: object, key: str) -> str | None:
    """The baggage without one member, the others as they came; ``None`` where nothing is left."""
    return ",".join(part for name, _, part in _members(text) if name != key) or None


def _members(text: object) -> Iterator[tuple[str, str, str]]:
    """Name, value and the whole text of each member; none of a baggage over the bounds (Baggage, 3.3.2)."""
    if not isinstance(text, str) or len(text.encode(errors="replace")) > BAGGAGE_BYTES:
        return
    parts = text.split(",")
    if len(parts) > BAGGAGE_MEMBERS:
        return
    for part in parts:
        name, separator, value = part.partition(";")[0].partition("=")
        if separator and _TOKEN.fullmatch(name := name.strip(_SPACE)):
            yield name, value.strip(_SPACE), part
