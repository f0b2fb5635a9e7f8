"""The deadline of a call, as cheap as a timer: every call has one, and next to none is ever reached.

``asyncio.timeout`` costs twice as much and a cancel scope of anyio's five times, which is felt where each call pays it.
"""

from __future__ import annotations

import asyncio


class Deadline:
    """Cancels the running task after ``timeout_s``, unless it is ``over`` before."""

    __slots__ = ("_cancelling", "_reached", "_task", "_timer")

    def __init__(self, timeout_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._reached = False
        self._timer = task.get_loop().call_later(timeout_s, self._expire)

    def was_it(self) -> bool:
        """Whether a cancellation that has come is this one's alone. If so, the task goes on as if there were none."""
        return self._reached and self._task.uncancel() <= self._cancelling

    def over(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self._reached = True
        self._task.cancel()
