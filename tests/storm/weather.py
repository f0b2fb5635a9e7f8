"""A storm: agents that repeat what failed, at once and again, and an upstream that has a bad time. In virtual time.

Everything between them is the proxy itself: the board, the exchange, the pipeline, a store. The agents know no manners
beyond the names of the tools: half of them wait as long as they are told, the others just call again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import anyio

from fuseboard import pipeline
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.config.guards import Breaker, Loops, PrincipalLimits, Retries, RunLimits
from fuseboard.errors import UpstreamLost, UpstreamThrottled
from fuseboard.ports import Reply
from fuseboard.wire import frames
from support.fake_server import Asked, FakeServer, FakeTool, text
from support.playbook import FakeClient, RpcError, playing
from support.virtual_time import VirtualTimeLoop

BEFORE_S, BAD_S, AFTER_S = 30.0, 60.0, 60.0
THINKS_S = (1.0, 3.0)
WORKS_S = (0.02, 0.2)
TIMEOUT_S = 3.0
TRIES = 12
SHARE, FLOOR_PER_S, FLOOR_BURST = 0.1, 1.0, 2.0
"""The documented defaults of ``retries.budget`` and ``retries.floor``."""


class Storm(NamedTuple):
    """``fails`` and ``throttles`` are shares of the calls in the bad time; ``loses`` is the share of all calls whose
    answer never comes though they took effect. ``retry_after_s`` is what a throttled call is told.
    """

    name: str
    fails: float = 0.0
    throttles: float = 0.0
    loses: float = 0.0
    retry_after_s: float | None = None
    writes: bool = False
    heedless: bool = False
    """Whether what was lost is answered late all the same."""
    agents: int = 50
    unprotected: bool = False
    """Whether the proxy does nothing about it."""
    alone: bool = False
    """Whether the limits of ``retries:`` are all that it has; else breakers and loops are looked for, too."""


STORMS = (
    Storm("fails 30 %", fails=0.3),
    Storm("fails 100 %", fails=1.0),
    Storm("throttles, says for how long", throttles=1.0, retry_after_s=20.0),
    Storm("throttles, says nothing", throttles=1.0),
    Storm("throttles a third", throttles=0.33, retry_after_s=5.0),
    Storm("writes, fails 30 %", fails=0.3, writes=True),
    Storm("writes, loses 30 % after effect", loses=0.3, writes=True),
    Storm("writes, loses and fails", fails=0.5, loses=0.3, writes=True),
    Storm("writes, answers what was given up", loses=0.1, writes=True, heedless=True),
    Storm("writes, throttles and loses", throttles=0.5, loses=0.2, writes=True, retry_after_s=10.0),
)


class Told(NamedTuple):
    """What a storm came to. Rates are calls a second at the upstream."""

    storm: Storm
    offered: int
    """First attempts that agents made, whatever became of them."""
    asked: int
    """All that agents called."""
    seen: int
    """What the upstream saw."""
    normal: float
    """The rate in fine weather, as agents think and tools work."""
    peak: float
    """The highest in any second after it."""
    back_s: float
    """How long after it the rate was half the normal one again."""
    effects: int
    duplicates: int
    done: int
    """Pieces of work that came to a good end."""

    @property
    def allowed(self) -> float:
        return (1 + SHARE) * self.offered + FLOOR_PER_S * (BEFORE_S + BAD_S + AFTER_S) + FLOOR_BURST

    def missed(self) -> list[str]:
        """The bars that it does not hold."""
        said = []
        if self.seen > self.allowed:
            said.append(f"the upstream saw {self.seen} calls, of {self.allowed:.0f} allowed")
        if self.peak > 3 * self.normal:
            said.append(f"{self.peak:.0f} calls in one second after it, of {3 * self.normal:.0f} allowed")
        if self.duplicates:
            said.append(f"{self.duplicates} effects were made twice")
        return said


class Upstream:
    """Counts what it sees, and has its bad time between ``BEFORE_S`` and ``BEFORE_S + BAD_S``."""

    def __init__(self, storm: Storm, dice: Random) -> None:
        self.seen: list[float] = []
        self.effects: Counter[str] = Counter()
        self._storm = storm
        self._dice = dice

    async def act(self, asked: Asked) -> Reply:
        storm, dice = self._storm, self._dice
        self.seen.append(anyio.current_time())
        await anyio.sleep(dice.uniform(*WORKS_S))
        bad = BEFORE_S <= self.seen[-1] < BEFORE_S + BAD_S
        if bad and dice.random() < storm.throttles:
            fault = UpstreamThrottled("up", "up takes no more for now")
            fault.retry_after_s = storm.retry_after_s
            raise fault
        if bad and dice.random() < storm.fails:
            return frames.failure(-32603, "database is locked")
        self.effects[asked.arguments["job"]] += 1
        if dice.random() < storm.loses:
            if storm.heedless:
                await anyio.sleep(2 * TIMEOUT_S)
            else:
                raise UpstreamLost("up", "up closed the connection before it answered")
        return text("done")


class Agent:
    """Does one piece of work after the other, and does not take no for an answer."""

    def __init__(self, name: str, client: FakeClient, dice: Random) -> None:
        self.offered = self.asked = self.done = 0
        self._name = name
        self._client = client
        self._dice = dice
        self._polite = dice.random() < 0.5

    async def work(self) -> None:
        while True:
            await anyio.sleep(self._dice.uniform(*THINKS_S))
            self.offered += 1
            if await self._insisted(f"{self._name}-{self.offered}"):
                self.done += 1

    async def _insisted(self, job: str) -> bool:
        for _ in range(TRIES):
            self.asked += 1
            done, wait_s = await self._tried(job)
            if done:
                return True
            impatient_s = self._dice.uniform(0.05, 0.5)
            await anyio.sleep(wait_s if self._polite and wait_s is not None else impatient_s)
        return False

    async def _tried(self, job: str) -> tuple[bool, float | None]:
        """Whether it worked, and how long one is asked to wait otherwise."""
        with suppress(RpcError):
            result = await self._client.call("act", job=job)
            decision = result.get("_meta", {}).get("fuseboard/decision", {})
            return not result.get("isError"), decision.get("retry_after_s")
        return False, None


def weather(storm: Storm, *, seed: int = 1, retries: Retries | None = None) -> Told:
    """Let it pass over, in no time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_weather(storm, Random(f"{storm.name} {seed}"), retries or Retries()))


async def _weather(storm: Storm, dice: Random, retries: Retries) -> Told:
    upstream = Upstream(storm, dice)
    facts = {"effect": "write" if storm.writes else "read", "timeout": f"{TIMEOUT_S:g}s"}
    server = FakeServer("up", FakeTool("act", upstream.act), tools={"act": facts})
    server.heedless = storm.heedless
    agents: list[Agent] = []
    # Only what is looked at here shall hold anything back.
    limits = RunLimits(calls=None, time=None, output=None, tokens=None, rate=None, pause_at=None)
    fuses = pipeline.Fuses(limits, PrincipalLimits(calls=None), process="storm")
    if not storm.unprotected:
        fuses = fuses._replace(retries=retries)
    if not (storm.unprotected or storm.alone):
        fuses = fuses._replace(breaker=Breaker(), loops=Loops())
    async with playing(server, fuses=fuses, store=MemoryStore(keep=1)) as play, anyio.create_task_group() as tasks:
        for number in range(storm.agents):
            client = await play.connect(transport="http")
            agents.append(Agent(f"agent-{number}", client, dice))
            tasks.start_soon(agents[-1].work)
        await anyio.sleep(BEFORE_S + BAD_S + AFTER_S)
        tasks.cancel_scope.cancel()
    return _told(storm, upstream, agents)


def _told(storm: Storm, upstream: Upstream, agents: list[Agent]) -> Told:
    over_s = BEFORE_S + BAD_S
    normal = storm.agents / (_mean(THINKS_S) + _mean(WORKS_S))
    after = [at for at in upstream.seen if at >= over_s]
    return Told(
        storm,
        sum(agent.offered for agent in agents),
        sum(agent.asked for agent in agents),
        len(upstream.seen),
        normal,
        max(_seconds(after), default=0),
        next((at - over_s for at in after if sum(at <= other < at + 1 for other in after) >= normal / 2), AFTER_S),
        sum(upstream.effects.values()),
        sum(times - 1 for times in upstream.effects.values()),
        sum(agent.done for agent in agents),
    )


def _mean(span_s: tuple[float, float]) -> float:
    return sum(span_s) / 2


def _seconds(times: list[float]) -> Iterator[int]:
    """How many fall into the second that begins with each of them."""
    last = 0
    for first, begun in enumerate(times):
        while last < len(times) and times[last] < begun + 1:
            last += 1
        yield last - first


def row(told: Told) -> dict[str, Any]:
    return {
        "storm": told.storm.name,
        "offered": told.offered,
        "asked": told.asked,
        "seen": told.seen,
        "ratio": f"{told.seen / told.offered:.2f}",
        "normal/s": f"{told.normal:.0f}",
        "peak/s": f"{told.peak:.0f}",
        "back s": f"{told.back_s:.0f}",
        "done": told.done,
        "effects": told.effects if told.storm.writes else "",
        "twice": told.duplicates if told.storm.writes else "",
        "": "MISS" if told.missed() else "PASS",
    }
