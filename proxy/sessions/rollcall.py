"""Waiting for several upstreams without letting one of them hold up the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import anyio

GRACE_S: Final = 5.0
"""How long an answer waits while no upstream at all is there."""

STRAGGLERS_S: Final = 1.0
"""How long it waits for the others once one is. What comes up later is announced.

One that is known to be up only has to start another child, and is waited for through the whole grace: a first list
without it would be wrong for every client that lists but once.
"""


class RollCall:
    """Who is still awaited. ``expected`` are those worth waiting for, ``sure`` those of them that are known to be up;
    the others may come, but nobody waits.
    """

    def __init__(self, expected: Iterable[str], sure: Iterable[str] = ()) -> None:
        self._awaited = set(expected)
        self._sure = frozenset(sure)
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
            while self._awaited & self._sure:
                await self._next()

    async def _next(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()


class Awaited(Protocol):
    """An upstream, as far as waiting for it goes."""

    @property
    def worth_waiting(self) -> bool: ...
    @property
    def up(self) -> bool: ...


def awaited(upstreams: Mapping[str, Awaited]) -> tuple[list[str], list[str]]:
    """Those worth waiting for, and those of them that are known to be up."""
    expected = [alias for alias, upstream in upstreams.items() if upstream.worth_waiting]
    return expected, [alias for alias in expected if upstreams[alias].up]
