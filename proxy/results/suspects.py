"""Whether a result says what a person has to look at first (``servers.*.tools.*.quarantine``). Pure.

Other than junk, which is told by its beginning, such words may stand anywhere, and whoever hides them looks for a place
far down. So all of it is looked through, a window at a time; a pattern finds what fits into half of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from fuseboard.events import Junk
from fuseboard.ports import Reply
from fuseboard.results.patterns import HEAD_CHARS

_STEP: Final = HEAD_CHARS // 2


def suspect(patterns: Sequence[Junk], reply: Reply) -> str:
    """The source of the first pattern that fits, empty where none does. What cannot be read fits the first."""
    try:
        value = msgspec.json.decode(reply.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return patterns[0].source if patterns else ""
    text = "\n".join(_strings(value))
    for start in range(0, max(len(text) - _STEP, 1), _STEP):
        window = text[start : start + HEAD_CHARS]
        for pattern in patterns:
            if pattern.found(window):
                return pattern.source
    return ""


def _strings(value: Any) -> Iterator[str]:
    """Keys and values, in order, without recursion: an upstream nests as deep as it likes."""
    rest = [value]
    while rest:
        now = rest.pop()
        if isinstance(now, str):
            yield now
        elif isinstance(now, dict):
            rest += [inner for pair in reversed(now.items()) for inner in reversed(pair)]
        elif isinstance(now, list):
            rest += reversed(now)
