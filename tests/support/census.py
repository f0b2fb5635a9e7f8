"""Which of our own objects are alive, counted while the garbage collector rests.

with census() as left:
    await visit()                    # as often as one likes
    await eventually(lambda: not left())

What is still there then is held by something, or by itself: a cycle, which in a proxy with long sessions the collector
finds only after tens of thousands of them.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

_OURS = "fuseboard."
_LASTING = {
    "fuseboard.adapters.stores.table.Cell",
    "fuseboard.windows.Past",
    "fuseboard.breakers.tails.Outcome",
    "fuseboard.policies.budgets.Account",
    "fuseboard.policies.budgets._Drawn",
}
"""State, and what stands in it: an account ends by the clock, a minute after its session, and tails are bounded."""


@contextmanager
def census() -> Generator[Callable[[], Counter[str]], None, None]:
    """Gives a function that tells what is alive now and was not at the beginning."""
    gc.collect()
    before = _alive()
    gc.disable()
    try:
        yield lambda: _alive() - before
    finally:
        gc.enable()


def _alive() -> Counter[str]:
    kinds = (type(one) for one in gc.get_objects())
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if str(kind.__module__).startswith(_OURS))
    return Counter(name for name in names if name not in _LASTING)
