"""The stdio face: own pipes to the one client that started us. Stdout carries protocol and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, Final, TextIO

import anyio

from fuseboard.adapters.outbox import Outbox
from fuseboard.adapters.pipes import UNSENT_LIMIT_BYTES, Lines
from fuseboard.era import SUBSCRIPTION_KEY, VERSION_KEY, meta_of
from fuseboard.errors import INTERNAL_ERROR
from fuseboard.peer import Peer
from fuseboard.ports import Gateway, Origin, Reply, Request, Result, Scope, Session
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.downstream")

DRAIN_S: Final = 5.0
"""What open requests get when the client closes our stdin: a script that pipes its requests in wants its answers.

A client of the SDK waits 2 s for our end and then sends SIGTERM, which ends this; 2 s later it would kill us.
"""

_LISTEN: Final = "subscriptions/listen"
_STOPPING: Final = frames.failure(INTERNAL_ERROR, "the proxy is stopping")


class _Reader(asyncio.Protocol):
    def __init__(self, feed: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._feed = feed
        self._on_end = on_end

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()


class _BothEras:
    """Hands each request to the session of its own era: on a pipe a client may probe one and then speak the other."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._origin = Origin(principal="local", transport="stdio")
        self._handshake: Session | None = None
        self._back: Scope | None = None
        self._stopping = False
        self._standing: set[anyio.CancelScope] = set()

    def attach(self, back: Scope) -> None:
        self._back = back

    async def request(self, request: Request, scope: Scope) -> Reply:
        if self._stopping:
            return _STOPPING
        if request.method == _LISTEN:
            return await self._listen(request, scope)
        return await self._answer(request, scope)

    async def _listen(self, request: Request, scope: Scope) -> Reply:
        with anyio.CancelScope() as standing:
            self._standing.add(standing)
            try:
                return await self._answer(request, scope)
            finally:
                self._standing.discard(standing)
        # 2026-07-28, subscriptions: the answer says that the server has ended it in order.
        return Result(b'{"resultType":"complete","_meta":{"%b":%b}}' % (SUBSCRIPTION_KEY.encode(), request.id))

    def quiet(self, *, stopping: bool) -> None:
        """End what would go on for ever; ``stopping`` refuses whatever comes from now on."""
        self._stopping = stopping
        for standing in self._standing:
            standing.cancel()

    async def _answer(self, request: Request, scope: Scope) -> Reply:
        if request.method != "initialize" and is_modern(request):
            return await self._gateway.stateless(self._origin).request(request, scope)
        return await self._session().request(request, scope)

    def notified(self, method: str, params: bytes | None) -> None:
        self._session().notified(method, params)

    async def close(self) -> None:
        if self._handshake is not None:
            await self._handshake.close()

    def _session(self) -> Session:
        if self._handshake is None:
            assert self._back is not None
            self._handshake = self._gateway.connect(self._origin, self._back)
        return self._handshake


def is_modern(request: Request) -> bool:
    """Whether a request names its revision in ``params._meta``; a text that only speaks of that key does not."""
    meta: Any
    if request.value is not None:
        meta = request.value.get("_meta")
    elif request.params is None or not splice.may_hold_meta(request.params):
        return False
    else:
        meta = meta_of(request.params)
    return isinstance(meta, dict) and VERSION_KEY in meta


async def serve_stdio(
    gateway: Gateway,
    *,
    limit_bytes: int,
    depth: int,
    drain_s: float = DRAIN_S,
    stop: anyio.Event | None = None,
    on_cut: Callable[[], None] | None = None,
) -> None:
    """Serve the client on stdin and stdout until it closes our stdin, or stops reading, or ``stop`` is set.

    What is open by then is answered first, for ``drain_s`` at most where we stop of our own accord. Whoever wants an
    end that is under way to be quicker says so: by closing stdin after ``stop``, or the other way round. ``on_cut`` is
    told before what is open by the end of a stop of ours is cut off.
    """
    stdin, stdout = _take_standard_streams()
    ended, gone, stop = anyio.Event(), anyio.Event(), stop or anyio.Event()
    sessions = _BothEras(gateway)
    unwatched = _watched(stdout, gone.set)
    writer = await _writer(stdout, gone.set)

    def given_up() -> None:
        _log.error("the client does not read its input; giving up")
        writer.abort()

    outbox = Outbox(writer, alone=lambda: peer.alone, limit_bytes=UNSENT_LIMIT_BYTES, on_full=given_up)
    peer = Peer(outbox.put, sessions, name="the client", depth=depth)
    sessions.attach(peer)

    def overlong(head: bytes) -> None:
        peer.dropped(head, f"a frame over {limit_bytes} bytes was dropped; send less in one message")

    lines = Lines(peer.receive, overlong, limit_bytes=limit_bytes)
    await _read(stdin, lines.feed, ended.set)
    try:
        await _any(ended.wait, gone.wait, stop.wait)
        sessions.quiet(stopping=stop.is_set())
        hurry, patience_s = (stop, DRAIN_S) if ended.is_set() else (ended, drain_s)
        _log.info("stopping; what is being answered has %g s", patience_s)
        with anyio.move_on_after(patience_s):
            await _any(peer.drained, hurry.wait, gone.wait)
    finally:
        unwatched()
        if not gone.is_set():  # it may read on after it closed our stdin
            if on_cut is not None and stop.is_set():
                on_cut()
            peer.give_up(_STOPPING)
        peer.lost("the client closed the connection")
        with anyio.CancelScope(shield=True):
            await sessions.close()
        outbox.flush()
        writer.close()


async def _any(*waits: Callable[[], Awaitable[None]]) -> None:
    """Wait for the first of them."""

    async def wait(one: Callable[[], Awaitable[None]]) -> None:
        await one()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for one in waits:
            tasks.start_soon(wait, one)


def _watched(stdout: BinaryIO, on_gone: Callable[[], None]) -> Callable[[], None]:
    """Say when nobody reads our stdout any more; what is returned ends the watch.

    uvloop notices only when it writes, and a client that died may leave our stdin open in a process that it started.
    On Linux the write end of a pipe polls as readable, for its error, as soon as the last reader has gone.
    """
    if sys.platform != "linux" or not stat.S_ISFIFO(os.fstat(stdout.fileno()).st_mode):
        return lambda: None
    loop = asyncio.get_running_loop()
    watched = os.dup(stdout.fileno())
    watching = True

    def end() -> None:
        nonlocal watching
        if watching:
            watching = False
            loop.remove_reader(watched)
            os.close(watched)

    def fired() -> None:
        end()
        on_gone()

    loop.add_reader(watched, fired)
    return end


def _take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Our stdin and stdout, moved away from the numbers 0 and 1.

    Whatever else in this process prints, goes to stderr; a child that inherits stdin reads nothing of the protocol.
    """
    stdin = os.fdopen(os.dup(0), "rb", buffering=0)
    stdout = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    errors: TextIO = sys.stderr
    sys.stdout = errors
    return stdin, stdout


async def _writer(stdout: BinaryIO, on_lost: Callable[[], None]) -> Any:
    class _Writer(asyncio.BaseProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            on_lost()

    if not _can_be_watched(stdout):
        return _FileWriter(stdout)
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(_Writer, stdout)
    return transport


def _can_be_watched(file: BinaryIO) -> bool:
    """Whether the loop can wait for it. A regular file is always ready, and uvloop aborts the process over one."""
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(file.fileno()))


class _FileWriter:
    """Just enough of a write transport for a regular file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()

    abort = close


async def _read(stdin: BinaryIO, feed: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    if _can_be_watched(stdin):
        await loop.connect_read_pipe(lambda: _Reader(feed, on_end), stdin)
    else:
        threading.Thread(target=_pump, args=(stdin, loop, feed, on_end), daemon=True).start()


def _pump(
    stdin: BinaryIO, loop: asyncio.AbstractEventLoop, feed: Callable[[bytes], None], on_end: Callable[[], None]
) -> None:
    """Read a regular file, which the loop cannot watch."""
    while data := stdin.read(1 << 16):
        loop.call_soon_threadsafe(feed, data)
    loop.call_soon_threadsafe(on_end)
