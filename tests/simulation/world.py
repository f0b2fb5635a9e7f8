"""One simulated world: real proxies behind each other in time, on one store, among simulated servers and agents.

What is simulated is what the proxy does not decide: time, servers, clients, people, and when the proxy itself dies. All
else is the real thing, from the frames of the clients to the store's table.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
import msgspec

from fuseboard import fuses
from fuseboard.adapters.stores.table import Cell
from fuseboard.bulkheads import Bulkheads
from fuseboard.cedar.rules import RuleSet
from fuseboard.claims import Claims
from fuseboard.config import Config, digest
from fuseboard.entrance import Entrance
from fuseboard.errors import StoreUnavailable
from fuseboard.exchange import Exchange
from fuseboard.gateway import Board
from fuseboard.holds import Holds
from fuseboard.identity import Identity
from fuseboard.ids import Ids
from fuseboard.inbox import Inbox
from fuseboard.pipeline import Policies
from fuseboard.questioning import Questioning
from fuseboard.recording import Recorder, Redactor
from fuseboard.runs import Runs
from fuseboard.tokens import Tokens
from fuseboard.turns import Turns
from fuseboard.upstreams.upstream import Upstream
from simulation.chance import Chance
from simulation.invariants import Invariants
from simulation.on_file import FileStore
from simulation.scenery import CALL_S, VARIANTS, document, servers
from simulation.upstreams import Effect
from simulation.watched import ToldStore, WatchedStore
from support.seal import HmacSeal

BEGAN: Final = 1_790_000_000.0
REAP_EVERY_S: Final = 60.0
HORIZON_S: Final = 1500.0
"""No agent may need longer than that, whatever the weather."""

TOKENS: Final = Tokens(b"the key of a simulation")


@cache
def configured(variant: int) -> tuple[Config, RuleSet]:
    config = Config.model_validate(document(variant))
    return config, fuses.rules(config)


@cache
def judges(variant: int, life: int) -> Policies:
    """Policies keep nothing between calls, so all worlds of one variant share theirs."""
    return fuses.policies(*configured(variant), process=f"life {life}")


class Proxy:
    """One life of the proxy."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.store = WatchedStore(world.kept, world.chance, self._dies)
        self.store.down = world.store_down
        self.ended = anyio.Event()
        self.tasks: anyio.abc.TaskGroup
        self.board: Board

    async def live(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        world, clock = self.world, self.world.now
        ids = Ids(world.chance.bits)
        config = world.config
        async with anyio.create_task_group() as self.tasks:
            recorder = Recorder(arguments="full", config=digest(config), redact=Redactor(()))
            seal = HmacSeal()
            questioning = Questioning(seal, form=config.approvals.form, page=lambda: None)
            holds = Holds(
                config.approvals, self.store, clock, questioning, config="sim", redact=Redactor(()), terminal=True
            )
            turns = Turns(self.store, clock, self.tasks)
            exchange = Exchange(
                judges(world.variant, self.number),
                self.store,
                recorder,
                ids,
                clock,
                enforce=True,
                holds=holds,
                retries=config.retries,
                entrance=Entrance(Bulkheads(config.servers), turns, clock, enforce=True),
            )
            # A key of its own each life would make other runs of the same claims: the state folder keeps it.
            runs = Runs(ids.run, key=b"simulated")
            identity = Identity(runs, Claims(TOKENS), self.store, world.chance.bits)
            upstreams = {
                alias: Upstream(alias, config.servers[alias], server.connect, prefixed=True, scoped=False, clock=clock)
                for alias, server in world.servers.items()
            }
            self.board = Board(upstreams, exchange, identity, self.tasks, clock, seal=seal, idle_s=1800.0)
            self.tasks.start_soon(self._reap)
            task_status.started()
            await self.ended.wait()
            self.tasks.cancel_scope.cancel()

    def die(self) -> None:
        """As by kill -9: nothing that it still does reaches anything."""
        self.store.gone = True
        self.world.kept.died()
        for server in self.world.servers.values():
            for link in server.links:
                link.open = False
        self.ended.set()

    async def _reap(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self.store.reap(at=self.world.now())
            await anyio.sleep(REAP_EVERY_S)

    def _dies(self) -> bool:
        if not self.world.calm and self.world.chance.happens(self.world.fragility) and not self.store.gone:
            self.die()
        return self.store.gone


class World:
    """Everything that belongs to one seed."""

    def __init__(self, seed: int, *, file: Path | None = None) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        dice = self.chance.random
        self.variant = dice.randrange(VARIANTS)
        self.config, _ = configured(self.variant)
        self.invariants = Invariants(self)
        self.kept = ToldStore(self.invariants) if file is None else FileStore(self.invariants, file)
        self.desk = WatchedStore(self.kept, self.chance, lambda: False)
        """The person's own way to the store: another process, which outlives the proxies."""
        self.tokens = TOKENS
        self.effects: list[Effect] = []
        self.faults: dict[str, int] = {}
        self.skew_s = 0.0
        self.jumped_back_s = 0.0
        self.troubled = False
        """Whether the clock has jumped or the store was down."""
        self.calm = False
        self.store_down = False
        self.fragility = dice.choice((0.0, 0.0, 0.003, 0.01))
        self.foulness = dice.choice((0.0, 0.5, 0.8, 1.0))
        self.proxy: Proxy
        self.lives = 0
        self.lasted_s = 0.0
        self.universe: anyio.abc.TaskGroup
        self.servers = servers(self)

    # Time.

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        """What the clock on the wall says. It jumps at times."""
        return BEGAN + self.now_s() + self.skew_s

    # What servers tell.

    def starts(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            await work

        self.universe.start_soon(done)

    def happened(self, effect: Effect) -> None:
        self.effects.append(effect)
        self.invariants.happened(effect)

    def faulted(self, fault: str) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + 1

    # The story.

    async def play(self, cast: Callable[[World, anyio.abc.TaskGroup], None]) -> None:
        logging.getLogger("fuseboard").setLevel(logging.CRITICAL)
        async with anyio.create_task_group() as self.universe:
            await self._begin()
            self.universe.start_soon(self._keep_alive)
            self.universe.start_soon(self._turn_the_clock)
            self.universe.start_soon(self._trouble_the_store)
            with anyio.move_on_after(HORIZON_S) as horizon:
                async with anyio.create_task_group() as agents:
                    cast(self, agents)
            if horizon.cancelled_caught:
                self.invariants.broken("I11", f"an agent was not done after {HORIZON_S:g} s")
            await self._calm_down()
            await self.invariants.at_the_end()
            self.lasted_s = self.now_s()
            self.universe.cancel_scope.cancel()

    async def _begin(self) -> None:
        self.lives += 1
        self.proxy = Proxy(self, self.lives)
        await self.universe.start(self.proxy.live)

    async def _keep_alive(self) -> None:
        """Whoever runs a proxy starts it again."""
        while True:
            await self.proxy.ended.wait()
            await anyio.sleep(self.chance.random.uniform(0.1, 5.0))
            await self._begin()

    async def _turn_the_clock(self) -> None:
        dice = self.chance.random
        while self.chance.happens(0.4):
            await anyio.sleep(dice.uniform(1.0, 60.0))
            jump = dice.choice((-90.0, -2.0, 0.5, 30.0, 120.0))
            if self.calm:
                return
            self.troubled = True
            self.skew_s += jump
            self.jumped_back_s -= min(0.0, jump)

    async def _trouble_the_store(self) -> None:
        dice = self.chance.random
        while self.chance.happens(0.3):
            await anyio.sleep(dice.uniform(1.0, 60.0))
            if self.calm:
                return
            self.troubled = self.store_down = self.proxy.store.down = True
            await anyio.sleep(dice.uniform(0.05, 3.0))
            self.store_down = self.proxy.store.down = False

    async def _calm_down(self) -> None:
        """The weather turns fair, and all that may still be held runs out and is reaped."""
        self.calm = True
        self.store_down = self.proxy.store.down = False
        if self.proxy.ended.is_set():
            await anyio.sleep(6.0)
        await anyio.sleep(CALL_S + 60.0 + 2 * REAP_EVERY_S + self.jumped_back_s + 5.0)

    def kept_cell(self, key: str) -> Cell | None:
        return self.kept.cell(key)

    # What is left.

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.desk, self.now)

    def ledger_hash(self) -> str:
        """Of every entry and every effect, in their order."""
        told = hashlib.sha256()
        for entry in self.invariants.entries:
            told.update(msgspec.json.encode(entry) + b"\n")
        for effect in self.effects:
            told.update(msgspec.json.encode(effect) + b"\n")
        return told.hexdigest()
