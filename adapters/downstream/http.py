"""The HTTP server: uvicorn around the edge, bound before it starts and quick to end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import nullcontext
from typing import Final

import anyio
import uvicorn

from fuseboard.adapters.downstream.edge import HttpEdge
from fuseboard.adapters.downstream.protocol import BoundedProtocol

__all__ = ["HttpEdge", "serve_http"]

KEEP_ALIVE_S: Final = 75

VANISHED_S: Final = 300.0
"""How long what was sent may stay unacknowledged, before its client counts as gone. Linux only."""

_log = logging.getLogger("fuseboard.downstream")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which would kill the process once it has ended."""

    def __init__(self, config: uvicorn.Config, edge: HttpEdge, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._edge = edge
        self._on_started = on_started
        self._ended = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams first, or uvicorn would wait for them; then what is being answered gets its grace.

        The listener stays open meanwhile: what a client answers in the middle of its call comes on a connection of
        its own.
        """
        if self._ended:
            return
        _log.info("stopping; what is being answered has %g s", self._edge.limits.grace_s)
        self._edge.quiet()
        loop = asyncio.get_running_loop()
        grace = loop.call_later(self._edge.limits.grace_s, self._edge.close)
        try:
            await self._edge.drained()
            self._ended = True
            await super().shutdown(sockets)
        finally:
            grace.cancel()
            self._edge.close()

    def stop(self) -> None:
        """The first time: gracefully. The second: now."""
        if self.should_exit:
            self.force_exit = True
            self._edge.close()
        self.should_exit = True


async def serve_http(
    edge: HttpEdge,
    host: str,
    port: int,
    *,
    ready: Callable[[int], None],
    signals: bool = True,
    ended: anyio.Event | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP comes, or the caller is cancelled. ``port`` 0 takes a free one.

    ``ready`` is told the port once connections are accepted. The caller's event loop is used, so uvloop is the
    caller's choice. A caller who looks after signals himself says with ``ended`` that it is time; without ``signals``
    only cancelling ends it.

    Raises:
        OSError: the address cannot be bound.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        edge,
        http=functools.partial(BoundedProtocol, edge.limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(edge.limits.grace_s) + 2,
    )
    server = _Server(config, edge, lambda: ready(listener.getsockname()[1]))
    with _stopped(server.stop, ended) if ended else _stop_on_signals(server.stop) if signals else nullcontext():
        try:
            await server.serve([listener])
        finally:
            server.force_exit = True
            edge.close()
            with anyio.CancelScope(shield=True):
                await server.shutdown([listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Every connection inherits it. A client that vanished without a word takes nothing of what streams send it to
        # see whether it lives; by itself the system goes on trying for a quarter of an hour.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED_S * 1000))
    return listener


@contextlib.contextmanager
def _stopped(stop: Callable[[], None], ended: anyio.Event) -> Generator[None, None, None]:
    async def wait() -> None:
        await ended.wait()
        stop()

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()


@contextlib.contextmanager
def _stop_on_signals(stop: Callable[[], None]) -> Generator[None, None, None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
