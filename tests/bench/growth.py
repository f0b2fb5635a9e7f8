"""What judging a call costs in a run that has made many calls before: detectors look at a window, not at history.

In process, without edges, sockets or disk: what grows with a run would grow here, and nothing else makes noise. Each
round measures a short, a long and a very long run one after the other, in shuffled order; only ratios within a round
count.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
from bars import HISTORY, after

sys.path.append(str(Path(__file__).parents[1]))

from fuseboard import fuses, pipeline
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.bulkheads import Bulkheads
from fuseboard.claims import Claims
from fuseboard.config import Config
from fuseboard.entrance import Entrance
from fuseboard.era import Era
from fuseboard.exchange import Exchange
from fuseboard.gateway import Board
from fuseboard.identity import Identity
from fuseboard.ids import Ids
from fuseboard.ports import Origin, Reply
from fuseboard.recording import Recorder, Redactor
from fuseboard.results import findings
from fuseboard.runs import Runs
from fuseboard.turns import Turns
from fuseboard.upstreams.upstream import Upstream
from support.fake_server import Asked, FakeServer, FakeTool, text
from support.playbook import FakeClient
from support.seal import HmacSeal

Row: TypeAlias = dict[str, Any]
CALLS: Final = (10, 1_000, 100_000)
BURST: Final = 200
ROUNDS: Final = 7
_PAGE: Final = 40

DOCUMENT: Final[dict[str, Any]] = {
    "servers": {
        "shop": {
            "command": "in process",
            "parallel": None,
            "tools": {"page": {"effect": "read"}, "order": {"effect": "write", "lock": "order:{args.item}"}},
        }
    },
    "run": dict.fromkeys(("calls", "time", "output", "tokens", "rate", "pause_at")),
    "principal": {"calls": None},
    "approvals": {"ask_above": None},
}
"""Everything is watched, and nothing is limited: the runs are honest, and long."""


class Judging:
    """How long the policies and the findings took, all together."""

    def __init__(self) -> None:
        self.spent_ns = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While this is open, what they take is counted."""
        spots = (
            (pipeline, "keys"),
            (pipeline, "descend"),
            (pipeline, "ascend"),
            (findings, "found"),
            (findings, "learnt"),
        )
        before = [(room, name, getattr(room, name)) for room, name in spots]
        for room, name, judges in before:
            setattr(room, name, self._timed(judges))
        try:
            yield
        finally:
            for room, name, judges in before:
                setattr(room, name, judges)

    def _timed(self, judges: Any) -> Any:
        def timed(*args: Any, **named: Any) -> Any:
            began = time.thread_time_ns()
            try:
                return judges(*args, **named)
            finally:
                self.spent_ns += time.thread_time_ns() - began

        return timed


class Agent:
    """One run: it turns pages, each of which says something else, and orders something now and then."""

    def __init__(self, client: FakeClient, name: str) -> None:
        self._client = client
        self._name = name
        self.made = 0

    async def calls(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            order = self.made % 10 == 0
            arguments = {"item": self.made} if order else {"page": self.made, "size": _PAGE}
            params = {
                "name": "order" if order else "page",
                "arguments": arguments,
                "_meta": {"fuseboard/run": self._name},
            }
            answer = await self._client.request("tools/call", params)
            if answer.get("isError"):
                raise AssertionError(f"call {self.made} of an honest run was refused: {answer}")


async def histories(calls: Sequence[int] = CALLS, *, rounds: int = ROUNDS, burst: int = BURST) -> AsyncIterator[Row]:
    """CPU of a call, and of what judges it, after so many calls of one run."""
    judging = Judging()
    async with _board() as board:
        client = FakeClient(board, Era.STATELESS, Origin("bench", "http"), {})
        agents = {count: Agent(client, f"run of {count}") for count in calls}
        for count, agent in agents.items():
            await agent.calls(count)
        with judging.watched():
            for round_ in range(rounds):
                agents[calls[0]] = Agent(client, f"run {round_}")  # the short one has to be short each time
                await agents[calls[0]].calls(calls[0])
                for count in random.sample(calls, len(calls)):
                    judging.spent_ns, began = 0, time.process_time_ns()
                    await agents[count].calls(burst)
                    cpu_us = (time.process_time_ns() - began) / burst / 1000
                    judged_us = judging.spent_ns / burst / 1000
                    measured = {"callers": 1, "cpu_us": cpu_us, "judged_us": judged_us}
                    yield {"board": HISTORY, "target": after(count), "round": round_, **measured}


async def _page(asked: Asked) -> Reply:
    number = asked.arguments["page"]
    return text("\n".join(f"item {number * _PAGE + nth}: {(number * 7919 + nth) % 104_729}" for nth in range(5)))


async def _order(asked: Asked) -> Reply:
    return text(f"order {asked.arguments['item']} was taken")


@asynccontextmanager
async def _board() -> AsyncIterator[Board]:
    server = FakeServer("shop", FakeTool("page", _page), FakeTool("order", _order))
    server.asked = _Forgetful()
    config = Config.model_validate(DOCUMENT)
    store, ids, clock = MemoryStore(keep=1), Ids(random.getrandbits), time.time
    async with anyio.create_task_group() as tasks:
        entrance = Entrance(Bulkheads(config.servers), Turns(store, clock, tasks), clock, enforce=True)
        recorder = Recorder(arguments="full", config="bench", redact=Redactor(()))
        judges = fuses.policies(config, fuses.rules(config), process="bench")
        exchange = Exchange(
            judges, store, recorder, ids, clock, enforce=True, retries=config.retries, entrance=entrance
        )
        upstream = Upstream("shop", config.servers["shop"], server.connect, prefixed=False, scoped=False, clock=clock)
        identity = Identity(Runs(ids.run), Claims(None), store, random.getrandbits)
        board = Board({"shop": upstream}, exchange, identity, tasks, clock, seal=HmacSeal(), idle_s=1800.0)
        try:
            yield board
        finally:
            await board.close()
            tasks.cancel_scope.cancel()


class _Forgetful(list[Asked]):
    """The requests that reached the server: a test reads them, a measurement must not grow by them."""

    def append(self, asked: Asked) -> None:
        return None
