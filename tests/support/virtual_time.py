"""Time that passes only while nothing else is to be done: an hour of waiting takes no time, and nothing races.

In a test module: ``from support.virtual_time import anyio_backend  # noqa: F401``.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, Final

import pytest

_PATIENCE_S: Final = 5.0
"""How long the loop may really stand still, with no timer set, before the test counts as hanging."""


class _Selector(selectors.DefaultSelector):
    """Never waits for a timer: it says how long the wait would have been."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            ready = super().select(_PATIENCE_S)
            if not ready:
                raise RuntimeError("everything waits and no timer is set: this would hang for ever")
            return ready
        ready = super().select(0)
        if not ready:
            self._loop.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``now_s`` is the loop's time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}
