"""A stdio upstream: a child process in a process group of its own, spoken to over its pipes.

The child gets only the environment that it needs: what the SDK hands on by default, and what the configuration names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio

from fuseboard.adapters.outbox import Outbox
from fuseboard.adapters.pipes import UNSENT_LIMIT_BYTES, Lines
from fuseboard.adapters.upstream import descendants
from fuseboard.adapters.upstream.guardian import Guardian
from fuseboard.errors import Undelivered, UpstreamUnreachable
from fuseboard.peer import Peer
from fuseboard.ports import Inbound, Reply, Scope

_log = logging.getLogger("fuseboard.upstream")
_stderr_log = logging.getLogger("fuseboard.stderr")

INHERITED: Final = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""What a child inherits, the SDK's default set (mcp 2.3, ``client/stdio.py``). The rest of our environment is ours."""

LAST_WORDS_S: Final = 0.2
"""How long the end of a child is waited for once it has hung up, and the end of its stderr once it has ended."""

EXIT_GRACE_S: Final = 0.5
"""How long a child may take to end after each step of the ladder: stdin closed, SIGTERM, SIGKILL.

The client that ends us gives us 2 s before it kills us (mcp 2.3, ``client/stdio.py``), and we must be done by then.
"""


def child_environment(own: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """The child's whole environment."""
    inherited = {name: own[name] for name in INHERITED if name in own and not own[name].startswith("()")}
    return {**inherited, **named}


class _Child(asyncio.SubprocessProtocol):
    """The callbacks of the child's three pipes and of its end."""

    def __init__(
        self, name: str, on_line: Callable[[bytes], None], on_overlong: Callable[[bytes], None], *, limit_bytes: int
    ) -> None:
        self._name = name
        self._stdout = Lines(on_line, on_overlong, limit_bytes=limit_bytes)
        self._stderr = Lines(self._complained, lambda head: None, limit_bytes=64 * 1024)
        self.complained = False
        self.parting = False
        """It takes or gives nothing any more; how it ends is not known yet."""
        self.gone = asyncio.Event()
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        """Nothing more comes on its stderr."""
        self.on_gone: Callable[[], None] = lambda: None
        self.on_exit: Callable[[], None] = lambda: None

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self._stdout if fd == 1 else self._stderr).feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 2:
            self.silent.set()
        elif not self.parting:
            self.parting = True
            # Its end mostly follows, and says more than that it hung up.
            asyncio.get_running_loop().call_later(LAST_WORDS_S, self._end)

    def process_exited(self) -> None:
        self.exited.set()
        self.on_exit()
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The child and its pipes are gone. Nobody is called any more, nor kept alive by what would call him."""
        self.on_gone = self.on_exit = lambda: None
        self._stdout = self._stderr = Lines(lambda line: None, lambda head: None, limit_bytes=1)

    def _end(self) -> None:
        if not self.gone.is_set():
            self.gone.set()
            self.on_gone()

    def _complained(self, line: bytes) -> None:
        self.complained = True
        _stderr_log.info("[%s] %s", self._name, line.decode(errors="replace"))


class StdioLink:
    """A child process and the JSON-RPC peer on its pipes. Implements :class:`fuseboard.ports.Link`."""

    def __init__(
        self, name: str, transport: asyncio.SubprocessTransport, child: _Child, peer: Peer, outbox: Outbox
    ) -> None:
        self._name = name
        self._transport = transport
        self._child = child
        self._peer = peer
        self._outbox = outbox
        self._group = transport.get_pid()
        self._guardian: Guardian | None = None
        self._closing = False
        self._closed = asyncio.Event()

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        inbound: Inbound,
        limit_bytes: int,
    ) -> StdioLink:
        """Start the child.

        Raises:
            UpstreamUnreachable: it could not be started (not found, not executable, no such folder).
        """
        peers: list[Peer] = []

        def overlong(head: bytes) -> None:
            _log.warning("%s sent a frame over %d bytes; it was dropped", name, limit_bytes)
            peers[0].dropped(head, f"a frame over {limit_bytes} bytes was dropped")

        child = _Child(name, lambda line: peers[0].receive(line), overlong, limit_bytes=limit_bytes)
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: child,
                *argv,
                env=child_environment(os.environ, env),
                cwd=cwd,
                start_new_session=True,
            )
        except (OSError, ValueError) as fault:
            raise UpstreamUnreachable(name, f"{name} could not be started: {fault}") from None
        stdin: Any = transport.get_pipe_transport(0)

        def given_up() -> None:
            _log.error("%s does not read its input; it is given up", name)
            link.die()

        outbox = Outbox(stdin, alone=lambda: peers[0].alone, limit_bytes=UNSENT_LIMIT_BYTES, on_full=given_up)
        peer = Peer(outbox.put, inbound, name=name, on_lost=inbound.lost)
        peers.append(peer)
        link = cls(name, transport, child, peer, outbox)
        child.on_gone = link._gone
        child.on_exit = link._exited
        if child.exited.is_set():
            link._exited()
        if child.gone.is_set():
            link._gone()
        return link

    @property
    def open(self) -> bool:
        return self._peer.open and not self._child.parting

    @property
    def pid(self) -> int:
        return self._group

    @property
    def runs(self) -> bool:
        return not self._child.exited.is_set()

    def guarded_by(self, guardian: Guardian) -> None:
        """From now on the child and its group die with the proxy, however that ends."""
        if self.runs:
            self._guardian = guardian
            guardian.watch(self._group)

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        if self._child.parting and self._peer.open:
            raise Undelivered(self._name, f"{self._name} is ending")
        return await self._peer.request(method, params, on_id)

    async def notify(self, method: str, params: bytes | None) -> None:
        self._peer.notify(method, params)

    async def close(self) -> None:
        """Down the ladder: close stdin, SIGTERM to the group, SIGKILL to the group, a grace period between."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        with anyio.CancelScope(shield=True):
            if self._child.parting:  # those who wait for an answer shall hear how it ended
                with anyio.move_on_after(LAST_WORDS_S):
                    await self._child.gone.wait()
                self._peer.lost(self._obituary())
            self._peer.lost(f"{self._name} was stopped")
            stdin: Any = self._transport.get_pipe_transport(0)
            strays = descendants.strays(self._group) if self.runs else set()
            self._outbox.close()
            stdin.close()
            for number in (None, signal.SIGTERM, signal.SIGKILL):
                if number is not None:
                    strays |= descendants.strays(self._group)
                    self._signal(number)
                with anyio.move_on_after(EXIT_GRACE_S):
                    await self._child.exited.wait()
                    break
            descendants.kill(strays)
            with anyio.move_on_after(LAST_WORDS_S):  # closing the pipes throws away what is still in them
                await self._child.silent.wait()
            self._transport.close()
            self._closed.set()

    def die(self) -> None:
        """End the child at once, without the ladder."""
        strays = descendants.strays(self._group) if self.runs else set()
        self._signal(signal.SIGKILL)
        descendants.kill(strays)

    def _signal(self, number: signal.Signals) -> None:
        if self.runs:  # else the number may be another group's by now
            self._signal_group(number)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)

    def _exited(self) -> None:
        """What the child itself had started stays in its group after it, and goes now."""
        self._signal_group(signal.SIGKILL)
        if self._guardian is not None:
            self._guardian.forget(self._group)

    def _gone(self) -> None:
        if not self._closing:
            self._peer.lost(self._obituary())

    def _obituary(self) -> str:
        code = self._transport.get_returncode()
        how = "closed its output" if code is None else f"ended with exit code {code}"
        # Its own words may hold secrets and orders to the model; they are for whoever runs the proxy.
        where = "; its last words are in the log" if self._child.complained else ""
        return f"{self._name} {how}{where}"
