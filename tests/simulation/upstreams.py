"""Simulated tool servers. What a call does to the world is done by the world, whatever becomes of the proxy meanwhile.

Each server has fair and foul weather, changing by the dice; in foul weather its answers are late, lost, wrong or
none. An effect is told to the ledger of the world (:class:`Effect`) at the moment at which it happens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, Protocol

from fuseboard.era import Era
from fuseboard.errors import Undelivered, UpstreamLost
from fuseboard.ports import Inbound, Reply
from fuseboard.wire import frames
from simulation.chance import Chance
from support.fake_server import Asked, FakeLink, FakeServer, FakeTool, result, text

FAULTS: Final = (
    "slow",
    "silent",
    "error",
    "failure",
    "throttled",
    "junk",
    "traceback",
    "refused",
    "lost before",
    "lost after",
    "late",
    "crash",
)


class Effect(NamedTuple):
    """Something that a server did. ``claim`` is what its caller wrote into ``_meta``."""

    at_s: float
    server: str
    tool: str
    arguments: str
    by: str


class Around(Protocol):
    """What a server has around it."""

    chance: Chance

    def now_s(self) -> float: ...
    def starts(self, work: Awaitable[None]) -> None: ...
    def happened(self, effect: Effect) -> None: ...
    def faulted(self, fault: str) -> None: ...

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong any more."""
        ...


Deed = Callable[[Asked], Awaitable[Reply]]


class SimulatedServer(FakeServer):
    """``foulness`` is the share of calls that go wrong in foul weather."""

    def __init__(
        self, around: Around, alias: str, deeds: Mapping[str, Deed], *, eras: frozenset[Era], foulness: float
    ) -> None:
        tools = [FakeTool(name, self._act) for name in deeds]
        super().__init__(alias, *tools, eras=eras)
        self._around = around
        self._deeds = deeds
        self._foulness = foulness
        self._foul_until_s = 0.0
        self._look_at_s = 0.0
        self._kind = "slow"

    async def connect(self, era: Era, inbound: Inbound) -> FakeLink:
        await self._around.chance.lag()
        return await super().connect(era, inbound)

    async def _act(self, asked: Asked) -> Reply:
        chance, fault = self._around.chance, self._fault()
        await chance.lag()
        if fault is not None:
            self._around.faulted(fault)
        if fault == "refused":
            raise Undelivered(self.alias, f"{self.alias} takes no calls now")
        if fault == "lost before":
            raise UpstreamLost(self.alias, f"{self.alias} went away")
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._around.starts(self._work(asked, fault, done))
        return await done

    async def _work(self, asked: Asked, fault: str | None, done: asyncio.Future[Reply]) -> None:
        """What goes on at the server, and does not end because nobody listens any more."""
        dice = self._around.chance.random
        await asyncio.sleep(dice.uniform(5.0, 12.0) if fault == "slow" else dice.uniform(0.001, 0.4))
        if fault in (None, "slow", "lost after", "late", "silent"):
            tool, arguments = asked.value["name"], json.dumps(asked.arguments, sort_keys=True)
            by = asked.value.get("_meta", {}).get("sim/by", "?")
            self._around.happened(Effect(self._around.now_s(), self.alias, tool, arguments, by))
        try:
            reply = await self._answer(asked, fault)
        except Exception as failed:
            _end(done, failed)
        else:
            _end(done, reply)

    async def _answer(self, asked: Asked, fault: str | None) -> Reply:
        match fault:
            case "silent":
                await asyncio.sleep(120.0)
            case "late":
                await asyncio.sleep(self._around.chance.random.uniform(15.0, 45.0))
            case "crash":
                self.crash()
            case "lost after":
                raise UpstreamLost(self.alias, f"{self.alias} went away")
            case "error":
                return result({"content": [{"type": "text", "text": "no such record"}], "isError": True})
            case "failure":
                return frames.failure(-32603, "internal error")
            case "throttled":
                return result(
                    {"content": [{"type": "text", "text": "429 Too Many Requests, Retry-After: 7"}], "isError": True}
                )
            case "junk":
                return text("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
            case "traceback":
                return text("Traceback (most recent call last):\n  File \"app.py\", line 3\nKeyError: 'id'")
        return await self._deeds[asked.value["name"]](asked)

    def _fault(self) -> str | None:
        """Weather comes in spells, so that breakers open and close and storms have something to feed on."""
        chance, now = self._around.chance, self._around.now_s()
        if self._around.calm:
            return None
        if now >= self._look_at_s:
            self._look_at_s = now + chance.random.uniform(2.0, 30.0)
            foul = chance.happens(0.6)
            self._foul_until_s = self._look_at_s if foul else now
            self._kind = chance.random.choice(FAULTS)
        if now >= self._foul_until_s or not chance.happens(self._foulness):
            return None
        return self._kind if chance.happens(0.7) else chance.random.choice(FAULTS)


def _end(done: asyncio.Future[Reply], said: Reply | Exception) -> None:
    if done.done():  # whoever waited was cancelled
        return
    if isinstance(said, Exception):
        done.set_exception(said)
    else:
        done.set_result(said)
