"""Which answers say so much that the same to other questions is none. A plain "done" is as good each time. Pure."""

from __future__ import annotations

import re
from typing import Final

from fuseboard.events import Effect, Tool
from fuseboard.results.examine import Seen

READ_BYTES: Final = 64
"""What a reading tool may say to everybody."""

WRITE_BYTES: Final = 160
_NOTE_BYTES: Final = 600
_DONE: Final = re.compile(
    r"\b(?:success\w*|succeeded|done|ok(?:ay)?|created|updated|saved|stored|written|wrote|deleted|removed|added|sent|"
    r"completed?|applied|set|moved|copied|inserted|queued|scheduled|recorded|accepted|no errors?|passed|unchanged|"
    r"valid)\b",
    re.IGNORECASE,
)


def is_telling(seen: Seen, tool: Tool) -> bool:
    """Whether the answer is more than a receipt."""
    if seen.empty or not seen.shape or seen.shape == "other":
        return False
    size = len(seen.said)
    if tool.effect is Effect.READ or tool.read_hint:
        return size >= READ_BYTES and not (size < _NOTE_BYTES and _is_receipt(seen))
    return size >= WRITE_BYTES and not (size < _NOTE_BYTES and _DONE.search(seen.text) is not None)


def _is_receipt(seen: Seen) -> bool:
    return len(seen.text) < WRITE_BYTES and _DONE.search(seen.text) is not None
