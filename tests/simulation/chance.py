"""Where all chance of a simulation comes from: one seed, and a loop that lets whatever is ready go on in any order.

Nothing may depend on where objects lie in memory or on how strings are hashed, else one seed would tell two stories:
so tasks and cancel scopes get a hash that counts, for asyncio and anyio keep both in sets and go through them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from anyio._backends import _asyncio as backend

from support.virtual_time import VirtualTimeLoop


class Chance:
    """The dice of one simulation. ``random`` is at everybody's hand; the order of calls is the seed's doing too."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def happens(self, share: float) -> bool:
        return self.random.random() < share

    def bits(self, count: int) -> int:
        return self.random.getrandbits(count)

    async def lag(self) -> None:
        """What any wait may cost: nothing, a turn of the others, a moment."""
        dice = self.random.random()
        if dice < 0.35:
            return
        if dice < 0.8:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(self.random.choice((0.0005, 0.002, 0.02)))


class _AnyOrder(deque[Any]):
    """Steps of tasks leave in any order; plain callbacks keep theirs, which asyncio promises."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    def popleft(self) -> Any:
        size = len(self)
        if size > 1:
            chosen = self._dice.randrange(size)
            if chosen and _is_step(self[chosen]):
                handle = self[chosen]
                del self[chosen]
                return handle
        return super().popleft()


def _is_step(handle: Any) -> bool:
    """Whether it is a task that begins or goes on: CPython's two ways of calling one."""
    callback = handle._callback
    return type(callback).__name__ == "TaskStepMethWrapper" or getattr(callback, "__name__", "") == "task_wakeup"


class _Task(asyncio.Task[Any]):
    """A task whose place in a set is that of its birth."""

    def __init__(self, *args: Any, number: int, **named: Any) -> None:
        self.number = number
        super().__init__(*args, **named)

    def __hash__(self) -> int:
        return self.number


class SeededLoop(VirtualTimeLoop):
    """Virtual time, and an order of what is ready that the dice give."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._ready = _AnyOrder(dice)
        numbers = itertools.count(1)

        def task(loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
            return _Task(coroutine, loop=loop, number=next(numbers), **named)

        self.set_task_factory(task)


@contextmanager
def counted_scopes() -> Iterator[None]:
    """While this is open, cancel scopes are counted too. They have no room for a number, so it is kept beside them."""
    scope: Any = backend.CancelScope
    numbers: dict[int, int] = {}
    count = itertools.count(1)
    before = scope.__init__

    def init(self: Any, *args: Any, **named: Any) -> None:
        numbers[id(self)] = next(count)  # one that lived at this address before is gone
        before(self, *args, **named)

    scope.__init__ = init
    scope.__hash__ = lambda self: numbers[id(self)]
    try:
        yield
    finally:
        scope.__init__ = before
        del scope.__hash__


def played(chance: Chance, play: Any) -> Any:
    """Run ``play`` to its end on a loop of its own."""
    with counted_scopes():
        options = {"loop_factory": lambda: SeededLoop(random.Random(chance.bits(64)))}
        return anyio.run(play, backend="asyncio", backend_options=options)
