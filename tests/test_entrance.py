"""Calls on their way in: places, circles over agents, and what neither of them may ever refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from fuseboard.bulkheads import Turned
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.entrance import Entrance, fenced
from fuseboard.era import Era
from fuseboard.events import CallProposed
from fuseboard.lock_names import Rule
from fuseboard.pipeline import Fuses, Outcome
from fuseboard.ports import Reply
from fuseboard.settlement import Judgement
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny, Waits
from support.fake_server import Asked, FakeServer, FakeTool, echoes, hangs, text
from support.judging import READ, call
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend  # noqa: F401

WIDE = RunLimits(parallel=None, rate=None, pause_at=None, depth=8)
ALL = PrincipalLimits(calls=None)


class Agents:
    """Servers that are agents: each asks whom its call names next, through the proxy, and answers when it was answered.

    ``ask`` takes ``{"plan": ["b", "a", ...]}``: the servers that are to ask on, one through the other.
    """

    def __init__(self, *aliases: str) -> None:
        self.servers = [FakeServer(one, FakeTool("ask", self._act), agent=True) for one in aliases]
        self.client: FakeClient | None = None
        self.refused: list[dict[str, Any]] = []
        self.refused_after_s: list[float] = []

    async def _act(self, asked: Asked) -> Reply:
        plan = asked.arguments["plan"]
        meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
        for step in plan if isinstance(plan, list) and plan and isinstance(plan[0], list) else [plan]:
            if step:
                await self.ask(step, meta)
        return text("done")

    async def ask(self, plan: list[str], meta: dict[str, Any] | None = None, *, tool: str | None = None) -> Any:
        assert self.client is not None
        began = anyio.current_time()
        name = tool or f"{plan[0]}__ask"
        params = {"name": name, "arguments": {"plan": plan[1:]}, "_meta": meta or {}}
        result = await self.client.request("tools/call", params)
        if "fuseboard/decision" in result.get("_meta", {}):
            self.refused.append(result["_meta"]["fuseboard/decision"])
            self.refused_after_s.append(anyio.current_time() - began)
        return result


@asynccontextmanager
async def agents(
    *aliases: str, others: tuple[FakeServer, ...] = (), **locked: Any
) -> AsyncIterator[tuple[Agents, Play]]:
    those = Agents(*aliases)
    fuses = Fuses(WIDE, ALL, agents=frozenset(aliases), locks=locked)
    async with playing(*those.servers, *others, fuses=fuses) as play:
        those.client = await play.connect(Era.STATELESS)
        yield those, play


@pytest.mark.parametrize(
    "plan", [["a", "a"], ["a", "b", "a"], ["a", "b", "c", "a"], ["a", "b", "c", "d", "e", "b"]], ids="-".join
)
async def test_an_agent_that_waits_for_the_answer_itself_is_refused_at_once(plan: list[str]) -> None:
    async with agents(*"abcde") as (those, play):
        await those.ask(plan)
        (refused,) = those.refused
        assert refused["rule"] == "locks.call_cycle"
        assert those.refused_after_s == [0.0]
        ring = plan[plan.index(plan[-1]) :]
        assert " -> ".join(f"{one}__ask" for one in ring) in refused["reason"]
        checks = play.proposed[-1].checks
        assert checks[-1]["facts"]["cycle"] == [f"{one}__ask" for one in ring]


async def test_the_same_agent_twice_in_a_row_is_no_circle() -> None:
    async with agents(*"ab") as (those, _):
        await those.ask([*"ab"])
        await those.ask([*"ba"])
        await those.ask([*"ab"])
        assert those.refused == []


async def test_fifty_children_side_by_side_are_no_circle() -> None:
    """An agent that asks another fifty times at once, and each of those a tool, is busy and not stuck."""
    tool = FakeServer("files", FakeTool("read", echoes))
    async with agents(*"ab", others=(tool,)) as (those, _):
        assert those.client is not None
        await those.client.call("a__ask", plan=[])
        a = those.servers[0]

        async def fans_out(asked: Asked) -> Reply:
            meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
            async with anyio.create_task_group() as tasks:
                for _ in range(25):
                    tasks.start_soon(lambda: those.ask(["b"], meta))
                    tasks.start_soon(lambda: those.ask(["read"], meta, tool="files__read"))
            return text("done")

        a.tools["ask"].act = fans_out
        await those.ask(["a"])
        assert those.refused == []
        assert len(tool.calls) == 25


async def test_an_agent_that_wants_what_its_own_caller_holds_is_refused_at_once() -> None:
    alone = Rule("desk", exclusive=True, by_run=False, hold_s=60.0, wait_s=20.0)
    tool = FakeServer("files", FakeTool("read", echoes))
    async with agents("a", others=(tool,), a__ask=(alone,), files__read=(alone,)) as (those, _):
        a = those.servers[0]

        async def reads(asked: Asked) -> Reply:
            meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
            await those.ask(["read"], meta, tool="files__read")
            return text("done")

        a.tools["ask"].act = reads
        await those.ask(["a"])
        (refused,) = those.refused
        assert (refused["rule"], those.refused_after_s) == ("locks.cycle", [0.0])
        assert "desk" in refused["reason"]
        assert "a__ask" in refused["reason"]


async def test_a_busy_upstream_is_waited_for_and_then_said_to_be_busy() -> None:
    async def slow(asked: Asked) -> Reply:
        await anyio.sleep(4.0)
        return text("done")

    server = FakeServer("files", FakeTool("read", slow), parallel=2, queue_wait="5s")
    ends: dict[int, tuple[float, str | None]] = {}
    async with playing(server, fuses=Fuses(WIDE, ALL)) as play:

        async def one(n: int) -> None:
            client = await play.connect(transport="http")
            result = await client.call("read", n=n)
            rule = result.get("_meta", {}).get("fuseboard/decision", {}).get("rule")
            ends[n] = (anyio.current_time(), rule)

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for n in range(6):
                tasks.start_soon(one, n)
            await anyio.sleep(1.0)
            assert play.board.health()["files"]["busy"] == {"under_way": 2, "waiting": 4}
        assert sorted((round(at - began, 1), rule) for at, rule in ends.values() if rule is None) == [
            (4.0, None),
            (4.0, None),
            (8.0, None),
            (8.0, None),
        ]
        assert [(round(at - began, 1), rule) for at, rule in ends.values() if rule] == [(5.0, "upstream.busy")] * 2
        refused = [entry for entry in play.proposed if entry.verdict == "deny"]
        assert [(entry.policy, entry.final) for entry in refused] == [("bulkheads", True)] * 2
        assert len(play.server("files").calls) == 4


class Bouncing:
    """Whoever gets a place finds the lock taken, and whoever gets the lock finds the places taken: two seconds each."""

    def __init__(self) -> None:
        self.locks = True
        self.asked: list[tuple[str, float, float]] = []

    def at(self, upstream: str) -> Bouncing:
        return self

    def enter(self, event: CallProposed) -> bool:
        return False

    def leave(self, call: str) -> None:
        pass

    async def turn(self, event: CallProposed, *, most_s: float, spent_s: float) -> Turned | None:
        self.asked.append(("place", most_s, spent_s))
        await anyio.sleep(2.0)
        return Turned(1, 0, spent_s, shed=False) if spent_s >= 10.0 else None

    async def taken(
        self, event: CallProposed, said: Judgement, judge: Any, *, spent_s: float, elsewhere_s: float
    ) -> Judgement:
        self.asked.append(("lock", elsewhere_s, spent_s))
        await anyio.sleep(2.0)
        return self.judgement(event, locks=False)

    def judgement(self, event: CallProposed, *, locks: bool = True) -> Judgement:
        verdict = Deny("locks.held", "in use", waits=Waits({}, 5.0, False)) if locks else Allow()
        return Judgement(Outcome(verdict, "locks", (), (), event), EMPTY)


async def test_what_is_waited_for_locks_and_for_places_in_turn_is_added_up() -> None:
    """Else a call that never gets both at once would wait for ever, a little for each."""
    bouncing: Any = Bouncing()
    event = msgspec.structs.replace(call(READ), timeout_s=60.0)

    async def judge(now: CallProposed) -> Judgement:
        said: Judgement = bouncing.judgement(now)
        return said

    entrance = Entrance(bouncing, bouncing, lambda: 0.0, enforce=True)
    said = await entrance.passed(event, bouncing.judgement(event), judge)
    assert isinstance(said.outcome.verdict, Deny)
    assert said.outcome.verdict.rule == "upstream.busy"
    assert bouncing.asked[:4] == [("lock", 0.0, 0.0), ("place", 58.0, 0.0), ("lock", 2.0, 2.0), ("place", 56.0, 2.0)]
    assert bouncing.asked[-1] == ("place", 48.0, 10.0)


async def test_a_client_that_goes_away_gives_its_place_to_the_next() -> None:
    server = FakeServer("files", FakeTool("hang", hangs), FakeTool("read", echoes), parallel=1)
    async with playing(server, fuses=Fuses(WIDE, ALL)) as play:
        one, two = await play.connect(transport="http"), await play.connect(transport="http")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.call, "hang")
            await server.reached("tools/call")
            began = anyio.current_time()
            with anyio.move_on_after(1.0):
                async with anyio.create_task_group() as both:
                    both.start_soon(two.call, "read")
                    await anyio.sleep(0.5)
                    tasks.cancel_scope.cancel()
        assert anyio.current_time() - began < 1.0
        assert (await two.call("read"))["content"]


async def test_what_a_rule_denies_waits_for_nothing() -> None:
    server = FakeServer("files", FakeTool("hang", hangs), FakeTool("write", echoes), parallel=1)
    rules = [{"id": "no", "decide": "deny", "tools": ["files__write"]}]
    async with playing(server, fuses=Fuses(WIDE, ALL), rules=rules) as play:
        one, two = await play.connect(transport="http"), await play.connect(transport="http")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.call, "hang")
            await server.reached("tools/call")
            began = anyio.current_time()
            assert (await two.refusal("write"))[1]["rule"] == "no"
            assert anyio.current_time() == began
            tasks.cancel_scope.cancel()


async def test_where_nothing_is_enforced_nobody_waits() -> None:
    alone = Rule("desk", exclusive=True, by_run=False, hold_s=60.0, wait_s=5.0)

    async def slow(asked: Asked) -> Reply:
        await anyio.sleep(2.0)
        return text("done")

    server = FakeServer("files", FakeTool("read", slow), parallel=1, trust="trusted")
    fuses = Fuses(WIDE, ALL, locks={"files__read": (alone,)})
    async with playing(server, fuses=fuses, mode="observe") as play:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon((await play.connect(transport="http")).call, "read")
        assert anyio.current_time() - began == 2.0
        assert {entry.rule for entry in play.proposed} == {"locks.taken", "locks.held"}
        assert all(b"fuseboard/fence" not in (asked.params or b"") for asked in play.server("files").calls)


def test_tokens_are_put_beside_what_is_there() -> None:
    raw = b'{"name":"t","arguments":{"n":1.10},"_meta":{"progressToken": 7}}'
    assert fenced(raw, {"file:/a": 5}) == (
        b'{"name":"t","arguments":{"n":1.10},"_meta":{"progressToken":7,"fuseboard/fence":{"file:/a":5}}}'
    )
    assert msgspec.json.decode(fenced(None, {"x": 1})) == {"_meta": {"fuseboard/fence": {"x": 1}}}


async def test_children_never_starve_behind_their_parents() -> None:
    """One call at a time, for the run and at each server, and yet a chain of agents comes to its end."""
    one = RunLimits(parallel=1, rate=None, pause_at=None, depth=8)
    those = Agents(*"abcd")
    for server in those.servers:
        server.facts = server.facts.model_copy(update={"parallel": 1})
    async with playing(*those.servers, fuses=Fuses(one, ALL, agents=frozenset("abcd"))) as play:
        those.client = await play.connect(Era.STATELESS)
        await those.ask([*"abcd"])
        assert those.refused == []
        assert [len(server.calls) for server in those.servers] == [1, 1, 1, 1]
