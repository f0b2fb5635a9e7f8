"""Calls with effects that are under way: the same call once more waits for the first one's result.

Each runs in a task of its own, so that it goes on while anybody waits for it. Once nobody does it is given up, and that
reaches the upstream; what it answers all the same is told to whoever set :func:`fuseboard.late.listen`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio

from fuseboard.errors import UpstreamFault
from fuseboard.late import Listener, listen
from fuseboard.ports import Reply

GIVING_UP_S: Final = 1.0
"""How long it may take to tell the upstream that a call is given up, before its caller goes on."""


class Attaching:
    """By the decision that let each of them through."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Crossing] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    async def made(self, id: str, call: Callable[[], Coroutine[Any, Any, Reply]], listener: Listener) -> Reply:
        """Make the call.

        Raises:
            UpstreamFault: the upstream did not answer.
        """

        async def heard() -> Reply:
            listen(listener)
            return await call()

        crossing = self._under_way[id] = _Crossing(asyncio.get_running_loop().create_task(heard()))
        return await crossing.end()

    def over(self, id: str) -> None:
        """Nobody needs to join the call any more. Until then its result is there, though it may have come already."""
        self._under_way.pop(id, None)

    def goes_on(self, id: str) -> bool:
        """Whether the call is under way for others, though whoever made it has given up."""
        crossing = self._under_way.get(id)
        return crossing is not None and crossing.waited_for

    def joined(self, id: str) -> Coroutine[Any, Any, Reply | UpstreamFault] | None:
        """Wait for a call that another one made; ``None`` where it is under way no longer."""
        crossing = self._under_way.get(id)
        return None if crossing is None else _end_of(crossing)


class _Crossing:
    __slots__ = ("_waiting", "task")

    def __init__(self, task: asyncio.Task[Reply]) -> None:
        self.task = task
        self._waiting = 0

    @property
    def waited_for(self) -> bool:
        return self._waiting > 0 and not self.task.done()

    async def end(self) -> Reply:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self.task.done():
                self.task.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait((self.task,), timeout=GIVING_UP_S)


async def _end_of(crossing: _Crossing) -> Reply | UpstreamFault:
    try:
        return await crossing.end()
    except UpstreamFault as fault:
        return fault
