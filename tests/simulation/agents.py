"""Simulated agents and people: honest ones, and such as loop, retry, rename themselves, crowd and descend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc

from fuseboard.approvals import Unsettled
from fuseboard.budgets import CALLS
from fuseboard.era import Era
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Origin, Reply, Request, Result, Scope, Session, SignedRun
from simulation.scenery import BOUND_S
from support.fake_server import Asked
from support.playbook import FakeClient

if TYPE_CHECKING:
    from simulation.world import Proxy, World

_PATIENCE_S: Final = 2 * BOUND_S
"""After so long an agent takes an answer that has not come for one that never will, and the world is broken."""


class Gone(Exception):
    """The proxy died before it answered."""


class Remote:
    """A session, as far as a client has it: it ends with the proxy, and giving up is heard at the other end."""

    def __init__(self, proxy: Proxy, session: Session) -> None:
        self._proxy = proxy
        self._session = session

    async def request(self, request: Request, scope: Scope) -> Reply:
        if self._proxy.ended.is_set():
            raise Gone
        done: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        life = anyio.CancelScope()

        async def carry() -> None:
            reply = None
            try:
                with life:
                    reply = await self._session.request(request, scope)
            finally:
                if not done.done():
                    done.set_result(None if self._proxy.store.gone else reply)

        self._proxy.tasks.start_soon(carry)
        try:
            reply = await done
        except asyncio.CancelledError:
            life.cancel()
            raise
        if reply is None:
            raise Gone
        return reply

    def notified(self, method: str, params: bytes | None) -> None:
        if not self._proxy.ended.is_set():
            self._session.notified(method, params)

    async def close(self) -> None:
        if not self._proxy.ended.is_set():
            await self._session.close()


class Agent:
    """Whoever calls tools. ``meta`` goes with each call."""

    def __init__(self, world: World, name: str, *, principal: str, era: Era, meta: Mapping[str, Any]) -> None:
        self.world = world
        self.name = name
        self.principal = principal
        self.era = era
        self.meta = dict(meta)
        self._client: FakeClient | None = None
        self._proxy: Proxy | None = None

    async def call(self, tool: str, arguments: Mapping[str, Any], *, gives_up_s: float | None = None) -> Any:
        """The result or the error as a value, ``None`` where none came because the proxy died or the agent gave up."""
        world = self.world
        began_s = world.now_s()
        params = {"name": tool, "arguments": dict(arguments), "_meta": {"sim/by": self.name, **self.meta}}
        reply: Reply | None = None
        with anyio.move_on_after(_PATIENCE_S if gives_up_s is None else gives_up_s):
            try:
                client = await self._connected()
                began_s = world.now_s()
                reply = await client.reply("tools/call", params)
            except Gone:
                return None
        if reply is None:
            if gives_up_s is None:
                world.invariants.broken("I11", f"{self.name} got no answer to {tool} within {_PATIENCE_S:g} s")
            return None
        value = json.loads(reply.raw)
        world.invariants.answered(self.name, tool, world.now_s() - began_s, value)
        return value if isinstance(reply, Result) else {"isError": True, "error": value}

    async def _connected(self) -> FakeClient:
        while True:
            proxy = self.world.proxy
            if self._client is not None and proxy is self._proxy and not proxy.ended.is_set():
                return self._client
            if proxy.ended.is_set():
                await anyio.sleep(0.5)
                continue
            client = FakeClient(proxy.board, self.era, Origin(self.principal, "http"), {})
            client.session = Remote(proxy, client.session)
            try:
                if self.era is Era.HANDSHAKE:
                    await client.initialize()
            except Gone:
                continue
            self._client, self._proxy = client, proxy
            return client

    async def leave(self) -> None:
        if self.era is Era.HANDSHAKE and self._client is not None:
            await self._client.session.close()


async def descend(world: World, asked: Asked) -> str:
    """What the agent behind ``helper`` does when it is called: it calls on under the trace that it was given."""
    trace = {key: value for key, value in asked.value.get("_meta", {}).items() if key in ("traceparent", "tracestate")}
    agent = Agent(world, "helper", principal="helper", era=Era.STATELESS, meta=trace)
    dice, heard = world.chance.random, []
    for _ in range(dice.randrange(3)):
        heard.append(await agent.call(*dice.choice(_DEEDS)))
    return f"{sum(one is not None for one in heard)} of {len(heard)}"


_DEEDS: Final = (
    ("files__read", {"path": "/a"}),
    ("files__list", {"folder": "/"}),
    ("pay__charge", {"to": "ben", "amount": 5}),
    ("files__write", {"path": "/a", "to": "ben"}),
    ("helper__delegate", {"task": "the same"}),
)


class _Ways:
    """What agents do, each with the dice of its world."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._dice = agent.world.chance.random
        self._steps = self._dice.randrange(4, 12)

    async def honest(self) -> None:
        for step in range(self._steps):
            tool, arguments = self._dice.choice(
                (
                    ("files__read", {"path": f"/{step}"}),
                    ("files__list", {"folder": f"/{step % 3}"}),
                    ("pay__charge", {"to": f"nr {step}", "amount": 5}),
                    ("pay__put", {"key": step}),
                    ("pay__refund", {"receipt": step % 2}),
                    ("files__write", {"path": f"/{step % 3}", "to": "all"}),
                    ("helper__delegate", {"task": f"part {step}"}),
                )
            )
            await self._agent.call(tool, arguments)
            await anyio.sleep(self._dice.uniform(0.0, 3.0))

    async def looping(self) -> None:
        cycle = [self._dice.choice(_DEEDS) for _ in range(self._dice.randrange(1, 4))]
        for step in range(2 * self._steps):
            await self._agent.call(*cycle[step % len(cycle)])
            await anyio.sleep(self._dice.choice((0.0, 0.3)))

    async def retrying(self) -> None:
        """Until it works, and at times twice at once."""
        for deed in range(self._steps // 3 + 1):
            tool = self._dice.choice(("pay__charge", "pay__put", "files__search"))
            for _ in range(5):
                said = await self._agent.call(tool, {"to": f"nr {deed}"})
                if said is not None and not said.get("isError"):
                    break
                await anyio.sleep(self._dice.choice((0.0, 0.1, 2.0)))

    async def crowding(self) -> None:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for step in range(self._steps):
                    tool, arguments = self._dice.choice(
                        (("pay__charge", {"to": "all"}), ("files__read", {"path": step}))
                    )
                    tasks.start_soon(self._agent.call, tool, arguments)

    async def renaming(self) -> None:
        """A new name for its run with every call: no way around a budget."""
        for step in range(2 * self._steps):
            self._agent.meta["fuseboard/run"] = f"{self._agent.name} {step}"
            await self._agent.call("pay__charge", {"to": "me", "amount": 5})

    async def fickle(self) -> None:
        """Gives up on calls and makes them again."""
        for step in range(self._steps):
            arguments = {"receipt": "r"} if step % 2 else {"to": "you", "amount": step}
            tool = "pay__refund" if step % 2 else "pay__charge"
            await self._agent.call(tool, arguments, gives_up_s=self._dice.choice((0.01, 0.2, 3.0, 9.0)))


WAYS: Final = ("honest", "honest", "looping", "retrying", "crowding", "renaming", "fickle")


def cast(world: World, tasks: anyio.abc.TaskGroup) -> None:
    """Who comes on stage in this world."""
    dice = world.chance.random
    world.universe.start_soon(attend, world)
    for number in range(dice.randrange(2, 6)):
        way = dice.choice(WAYS)
        name = f"{way} {number}"
        era, principal = dice.choice(list(Era)), dice.choice(("ana", "ben"))
        agent = Agent(world, name, principal=principal, era=era, meta=_run_of(world, name, principal))
        tasks.start_soon(_live, agent, way)


def _run_of(world: World, name: str, principal: str) -> dict[str, Any]:
    """Some runs are signed, some claimed, some found by their connection; some agents share one."""
    match world.chance.random.randrange(4):
        case 0:
            at = world.now()
            return {"fuseboard/run": world.tokens.make(SignedRun(f"r-{name}", at, at + 36_000, principal))}
        case 1:
            return {"fuseboard/run": name}
        case 2:
            return {"fuseboard/run": "shared"}
    return {}


async def _live(agent: Agent, way: str) -> None:
    await anyio.sleep(agent.world.chance.random.uniform(0.0, 5.0))
    ways = _Ways(agent)
    await getattr(ways, way)()
    await agent.leave()


async def attend(world: World) -> None:
    """A person at the inbox, who takes their time, says yes or no, and pauses a run now and then."""
    dice, inbox = world.chance.random, world.inbox
    while not world.calm:
        await anyio.sleep(dice.uniform(0.3, 6.0))
        with suppress(StoreUnavailable, Unsettled):
            for asked in await inbox.pending():
                mood = dice.random()
                if mood < 0.2:
                    continue
                await inbox.decide(asked.id, approve=mood < 0.75, by="eve", through="cli", serial=asked.serial)
            if runs := list(world.invariants.runs):
                run, mood = dice.choice(runs), dice.random()
                if mood < 0.05:
                    await inbox.pause(run, by="eve")
                elif mood < 0.15:
                    await inbox.resume(run, by="eve", more={CALLS: dice.choice((2, 6))})
                elif mood < 0.16:
                    await inbox.stop(run, by="eve")
