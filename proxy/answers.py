"""The latest answers, so that one can be given again in place of a call that is not worth making.

Bounded in bytes and in number.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from fuseboard.ports import Result

MOST_BYTES: Final = 4 * 1024 * 1024
MOST: Final = 4096
"""As many as the windows of 64 runs hold, and hardly anybody asks for what stands in none."""

ONE_BYTES: Final = 256 * 1024
"""An answer that is larger is not kept: the agent had it, and would pay for it a second time."""

_ENTRY_BYTES: Final = 400
"""What an answer costs besides its own bytes: without it, small ones would pile up."""


class Answers:
    """By the decision that let the call through."""

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._most_bytes = most_bytes
        self._bytes = 0

    def keep(self, decision: str, reply: Result) -> None:
        if len(reply.raw) > ONE_BYTES or decision in self._kept:
            return
        self._kept[decision] = reply
        self._bytes += len(reply.raw) + _ENTRY_BYTES
        while self._bytes > self._most_bytes or len(self._kept) > MOST:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.raw) + _ENTRY_BYTES

    def get(self, decision: str) -> Result | None:
        return self._kept.get(decision)
