"""Waiting for several upstreams without letting one of them hold up the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import anyio

GRACE_S: Final = 5.0
"""How long an answer waits while no upstream at all is there."""

STRAGGLERS_S: Final = 1.0
"""How long it waits for the others once one is. What comes up later is announced."""


class RollCall:
    """Who is still awaited. ``expected`` are those worth waiting for; the others may come, but nobody waits."""

    def __init__(self, expected: Iterable[str]) -> None:
        self._awaited = set(expected)
        self._changed = anyio.Event()
        self._anyone = False

    def present(self, name: str) -> None:
        self._anyone = True
        self.absent(name)

    def absent(self, name: str) -> None:
        """It will not come, or not soon."""
        self._awaited.discard(name)
        self._changed.set()

    async def wait(self) -> None:
        """Return when all have been heard of, or the patience is over."""
        with anyio.move_on_after(GRACE_S):
            while self._awaited and not self._anyone:
                await self._next()
            with anyio.move_on_after(STRAGGLERS_S):
                while self._awaited:
                    await self._next()

    async def _next(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()
