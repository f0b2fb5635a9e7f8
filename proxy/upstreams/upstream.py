"""One upstream as this process knows it: how to reach it, whether it answers, which eras it speaks, what it lists."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Protocol

import anyio

from fuseboard.bridges.losses import Losses
from fuseboard.catalog import Definitions, ServerFacts
from fuseboard.definitions import Lists, as_listed
from fuseboard.era import Era
from fuseboard.errors import Undelivered, UpstreamFault, UpstreamTimeout, UpstreamUnreachable
from fuseboard.pins.listed import Pinned
from fuseboard.ports import Inbound, Link
from fuseboard.routing import Names

_log = logging.getLogger("fuseboard.upstream")

START_TIMEOUT_S: Final = 60.0
"""How long an upstream may take from its start to its first answer: `npx` may have to fetch it first."""

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0

PATIENCE_S: Final = 4.0
"""How long after its first start everybody waits for an upstream that has not answered yet. By then it is not merely
starting, but being fetched, or hangs."""
_DOUBLINGS: Final = 7
"""From the first pause to the longest; beyond a thousand a float would overflow."""


class Connect(Protocol):
    """Makes a link in one era. ``inbound`` takes what comes outside any request."""

    def __call__(self, era: Era, inbound: Inbound) -> Awaitable[Link]: ...


class Server(ServerFacts, Protocol):
    """What the configuration says of an upstream."""

    @property
    def timeout_s(self) -> float | None: ...
    @property
    def idle_timeout_s(self) -> float | None: ...
    @property
    def share(self) -> str | None: ...
    @property
    def bridge(self) -> bool: ...
    @property
    def agent(self) -> bool: ...


@dataclass(slots=True)
class Health:
    """What is known of an upstream's health. ``state`` is ``unknown``, ``up`` or ``down``."""

    state: str = "unknown"
    error: str | None = None
    failures: int = 0
    retry_at: float = 0.0
    server: dict[str, Any] | None = None
    """``serverInfo`` of its last handshake or discovery."""
    tried_at: float | None = None
    """When it was first tried (Unix seconds)."""


class Upstream:
    """Owned by the gateway; every session has a seat at it.

    ``scoped`` says that notifications arrive on the stream of the request that they belong to (Streamable HTTP), which
    a pipe cannot tell. ``lists`` makes a page of definitions fit to be shown, once it was compared with ``pins``.
    """

    def __init__(
        self,
        alias: str,
        server: Server,
        connect: Connect,
        *,
        prefixed: bool,
        scoped: bool,
        clock: Callable[[], float],
        pins: Pinned | None = None,
        lists: Lists = as_listed,
    ) -> None:
        self.alias = alias
        self.server = server
        self.scoped = scoped
        self.names = Names(alias, prefixed=prefixed)
        self.health = Health()
        self.stateless: bool | None = None
        """Whether it speaks the stateless era; ``None`` until it was asked."""
        self.handshake: bool | None = None
        """``False`` once it is known to speak the stateless era alone, ``True`` once it answered a handshake."""
        self.first_handshake: anyio.Event | None = None
        """Set when whoever shakes hands first has been answered."""
        self._connect = connect
        self._clock = clock
        self.definitions = Definitions(alias, server, self.names, pins)
        self.lists = lists
        self.losses = Losses()

    async def connect(self, era: Era, inbound: Inbound) -> Link:
        """Make a link, unless the last tries failed so lately that it is too early for another.

        Raises:
            UpstreamUnreachable: it cannot be reached, or is not tried again yet.
        """
        health = self.health
        if (wait_s := health.retry_at - self._clock()) > 0:
            raise Undelivered(
                self.alias,
                f"{self.alias} is down ({health.error}); it will be tried again in {ceil(wait_s)} s",
            )
        if health.tried_at is None:
            health.tried_at = self._clock()
        try:
            with anyio.fail_after(START_TIMEOUT_S):
                return await self._connect(era, inbound)
        except TimeoutError:
            fault = UpstreamUnreachable(self.alias, f"{self.alias} did not answer within {START_TIMEOUT_S:.0f} s")
            self.failed(fault)
            raise fault from None
        except UpstreamFault as fault:
            self.failed(fault)
            raise

    @property
    def up(self) -> bool:
        """Whether it answered when it was last asked."""
        return self.health.state == "up"

    @property
    def worth_waiting(self) -> bool:
        """Whether an answer soon is likely: it answers, or has only just been tried for the first time."""
        if self.health.state == "up" or self.health.tried_at is None:
            return True
        return self.health.state == "unknown" and self._clock() - self.health.tried_at < PATIENCE_S

    def failed(self, fault: UpstreamFault) -> None:
        """It could not be started, or died: the pause before the next try doubles."""
        health = self.health
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(health.failures, _DOUBLINGS), _LONGEST_PAUSE_S)
        health.failures += 1
        health.retry_at = self._clock() + pause_s
        if health.state != "down" or health.error != fault.message:
            _log.warning("upstream %s is down: %s", self.alias, fault.message)
        health.state, health.error = "down", fault.message

    def ailing(self, reason: str) -> None:
        """Its links die as soon as they are opened; whether it may be tried again is for each seat to say."""
        if self.health.state != "down":
            _log.warning("upstream %s is down: %s", self.alias, reason)
        self.health.state, self.health.error = "down", reason

    def now(self) -> float:
        return self._clock()

    def answered(self) -> None:
        """It gave a sign of life."""
        health = self.health
        if health.state != "up":
            _log.info("upstream %s is up", self.alias)
            health.state, health.error, health.failures, health.retry_at = "up", None, 0, 0.0

    def silent(self, method: str, idle_s: float) -> UpstreamTimeout:
        return UpstreamTimeout(
            self.alias,
            f"{self.alias} said nothing about {method} for {idle_s:g} s; whether it took effect is unknown",
        )

    def timed_out(self, method: str, timeout_s: float) -> UpstreamTimeout:
        return UpstreamTimeout(
            self.alias,
            f"{self.alias} did not answer {method} within {timeout_s:g} s; whether it took effect is unknown",
        )
