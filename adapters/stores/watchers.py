"""Who waits for a change of the run state, in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import anyio

from fuseboard.state import Snapshot

LOOK_S: Final = 0.25
"""How often a watcher looks for what other processes wrote."""


class Watchers:
    def __init__(self) -> None:
        self._waiting: dict[anyio.Event, frozenset[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wake(self, keys: Iterable[str]) -> None:
        """Tell whoever watches any of these keys."""
        changed = set(keys)
        for event, watched in self._waiting.items():
            if not changed.isdisjoint(watched):
                event.set()

    async def changed(
        self,
        read: Callable[[], Awaitable[Snapshot]],
        keys: Sequence[str],
        seen: Snapshot,
        *,
        timeout_s: float,
        look_s: float | None = None,
    ) -> bool:
        """Wait until ``read`` finds any of the keys otherwise than ``seen``, or the time is over.

        It looks when it is woken and, with ``look_s``, that often anyway.
        """
        ends_at = anyio.current_time() + timeout_s
        while True:
            event = anyio.Event()
            self._waiting[event] = frozenset(keys)  # before it reads: what is written from now on wakes
            try:
                now = await read()
                if any(now.versions.get(key, 0) != seen.versions.get(key, 0) for key in keys):
                    return True
                left_s = ends_at - anyio.current_time()
                if left_s <= 0:
                    return False
                with anyio.move_on_after(left_s if look_s is None else min(left_s, look_s)):
                    await event.wait()
            finally:
                del self._waiting[event]
