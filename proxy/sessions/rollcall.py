"""Waiting for several upstreams without letting one of them hold up the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import anyio

GRACE_S: Final = 4.5
"""How long an answer waits at most. Cline gives up a list after some 5 s, Codex a start after 10."""

STRAGGLERS_S: Final = 3.5
"""How long it waits for the others once one is there: a server under node or Python takes 1 to 3 s to start.

What comes up later is announced, which Claude Code and Codex do not hear: they keep their first list for the whole
session. So a wait at the first start of a slow server costs less than an answer without it.

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
