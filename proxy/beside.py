"""Long results are cleaned in a thread, so that no upstream holds everybody else's calls for as long as that takes."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Final

import anyio
import anyio.to_thread

from fuseboard.cleaning import phrases
from fuseboard.cleaning.fields import Root
from fuseboard.cleaning.result import Cleaned, Cleaner

LONG_BYTES: Final = 131_072
"""A megabyte made to be slow takes a second; one like this the tenth part of it."""


class Beside:
    """Cleans what came back, a long one beside the loop, unless a look at it says that there is nothing to clean.

    One at a time: the interpreter runs one thread at once, and each more of them would let the loop wait for another
    five milliseconds (``sys.getswitchinterval``).
    """

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner

    @cached_property
    def _turn(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(1)

    def phrases(self, raw: bytes) -> tuple[str, ...]:
        """Those by which it tries to give orders, where they are looked for; no more of it than a result may have."""
        return phrases.found(raw[: self._cleaner.max_bytes]) if self._cleaner.signals else ()

    async def clean(self, method: str, raw: bytes, root: Root | None = None, *, rest: str | None = None) -> Cleaned:
        """As :meth:`Cleaner.clean`. It is not cut short: the call has happened, and its record has to be closed."""
        if len(raw) <= LONG_BYTES:
            return self._cleaner.clean(method, raw, root, rest=rest)
        if self._cleaner.passes(raw):
            return Cleaned(raw)
        clean = partial(self._cleaner.clean, method, raw, root, rest=rest)
        with anyio.CancelScope(shield=True):
            return await anyio.to_thread.run_sync(clean, limiter=self._turn)
        raise AssertionError("a shielded scope lets its own cancellation alone")
