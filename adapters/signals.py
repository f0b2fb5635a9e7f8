"""How signals end the proxy: the first in order, the next at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ONE_EVENT_S: Final = 0.3
"""Signals so close together count as one: a closing terminal sends SIGHUP twice, systemd SIGHUP right after SIGTERM."""


@contextmanager
def caught(now: Callable[[], None], *, first: Callable[[signal.Signals], None] | None = None) -> Iterator[anyio.Event]:
    """SIGINT, SIGTERM and SIGHUP set the event. One more calls ``now`` and ends the process where it stands.

    ``first`` is told which it was that came first.

    The handlers stay until the context is left, so a clean-up belongs inside it.
    """
    ended = anyio.Event()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    loop = asyncio.get_running_loop()
    first_at = 0.0

    def received(number: signal.Signals) -> None:
        nonlocal first_at
        if not ended.is_set():
            first_at = loop.time()
            if first is not None:
                first(number)
            ended.set()
        elif loop.time() - first_at > ONE_EVENT_S:
            now()
            os._exit(128 + number)

    # Under nohup SIGHUP is ignored, and is to stay so.
    numbers = [n for n in _SIGNALS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, received, number)
    try:
        yield ended
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
