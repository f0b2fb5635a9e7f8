"""A judgement holds for the state that it read: what becomes of a call while other calls change that state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.era import Era
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.pipeline import Fuses
from fuseboard.policy import Policy
from fuseboard.ports import Entry, Result
from fuseboard.state import Add, Put, Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Verdict
from support.fake_server import FakeServer, FakeTool, answers
from support.playbook import Play, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

LIMIT = 3
TTL_S = 3600.0
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}


class Quota:
    """No more than ``LIMIT`` calls, as counted in the state that it is shown; the ceiling is left to the store."""

    name = "quota"

    def keys(self, event: Event) -> Sequence[str]:
        return ("calls",) if isinstance(event, CallProposed) else ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallProposed):
            return Allow()
        if state.get("calls", 0) >= LIMIT:
            return Deny("quota.calls", "Enough.", writes=(Add("denied", 1, None, TTL_S),))
        return Allow(writes=(Add("calls", 1, LIMIT, TTL_S),))


class Marker:
    """Writes down what it saw of events of one kind, on the condition that nobody else did meanwhile."""

    name = "marker"

    def __init__(self, kind: type[Event], *, refuses: bool = False) -> None:
        self._kind = kind
        self._refuses = refuses

    def keys(self, event: Event) -> Sequence[str]:
        return ("mark",) if isinstance(event, self._kind) else ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, self._kind):
            return Allow()
        writes = (Put("mark", [*state.get("mark", []), "seen"], TTL_S),)
        return Deny("marker.no", "No.", writes=writes) if self._refuses else Allow(writes=writes)


class Contended(MemoryStore):
    """Another call's write slips in before each of the next ``slips`` commits that write state."""

    def __init__(self, slips: int) -> None:
        super().__init__()
        self.slips = slips
        self.refused = 0

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        if writes and self.slips:
            self.slips -= 1
            now = await self.read(["mark"], at=at)
            await super().commit([Put("mark", [*now.get("mark", []), "other"], TTL_S)], now, None, at=at)
        written = await super().commit(writes, read, entry, at=at, durable=durable)
        self.refused += not written
        return written

    async def mark(self, play: Play) -> Any:
        return (await self.read(["mark"], at=play.board.now())).get("mark")


def adder() -> FakeServer:
    good = Result(b'{"content":[],"structuredContent":{"sum":3}}')
    return FakeServer("sums", FakeTool("add", answers(good), outputSchema=SUM), tools={"add": {"effect": "write"}})


def judge_also_by(play: Play, policy: Policy) -> None:
    exchange = play.board.exchange
    exchange.policies = exchange.settlement.policies = (*exchange.policies, policy)


@pytest.mark.parametrize("mark", [CallProposed, CallReturned], ids=["on the way up", "on the way down"])
@pytest.mark.parametrize("slips", [0, 1, 7])
async def test_a_judgement_that_no_longer_holds_is_made_anew(mark: type[Event], slips: int) -> None:
    store = Contended(slips)
    async with playing(adder(), store=store) as play:
        judge_also_by(play, Marker(mark))
        client = await play.connect()
        assert "isError" not in await client.call("add")
        assert await store.mark(play) == ["other"] * slips + ["seen"]
        assert store.refused == slips
        assert [(entry.seq, entry.verdict) for entry in play.proposed] == [(1, "allow")]
        assert play.truths == ["ok"]
        assert len(play.server("sums").calls) == 1


async def test_a_call_whose_judgement_never_holds_is_refused_and_recorded() -> None:
    store = Contended(100)
    async with playing(adder(), store=store) as play:
        judge_also_by(play, Marker(CallProposed))
        client = await play.connect()
        reason, decision = await client.refusal("add")
        assert reason.startswith("add was not called")
        assert (decision["verdict"], decision["policy"], decision["rule"]) == ("deny", "state", "state_contention")
        assert play.server("sums").calls == []
        (entry,) = play.proposed
        assert (entry.seq, entry.rule, entry.final) == (1, "state_contention", True)
        assert entry.checks[-1] == {
            "policy": "state",
            "verdict": "deny",
            "rule": "state_contention",
            "facts": {"judgements": 8},
        }
        assert store.refused == 8
        assert "seen" not in await store.mark(play)
        store.slips = 0
        assert "isError" not in await client.call("add")
        assert [entry.seq for entry in play.proposed] == [1, 2]


async def test_a_result_whose_judgement_never_holds_is_withheld_and_recorded() -> None:
    async with playing(adder(), store=Contended(100)) as play:
        judge_also_by(play, Marker(CallReturned))
        client = await play.connect()
        reason, decision = await client.refusal("add")
        assert "its result is withheld" in reason
        assert decision["rule"] == "state_contention"
        assert len(play.server("sums").calls) == 1
        (entry,) = play.concluded
        assert (entry.truth, entry.verdict, entry.rule) == ("denied", "deny", "state_contention")


async def test_a_refusal_whose_own_writes_never_hold_stays_the_refusal_that_it_was() -> None:
    async with playing(adder(), store=Contended(100)) as play:
        judge_also_by(play, Marker(CallProposed, refuses=True))
        client = await play.connect()
        _, decision = await client.refusal("add")
        assert (decision["policy"], decision["rule"]) == ("marker", "marker.no")
        (entry,) = play.proposed
        assert (entry.rule, entry.checks[-1]["rule"]) == ("marker.no", "state_contention")


@pytest.mark.parametrize("mark", [CallProposed, CallReturned], ids=["on the way up", "on the way down"])
async def test_observe_lets_through_what_never_holds_and_records_that(mark: type[Event]) -> None:
    async with playing(adder(), store=Contended(100), mode="observe") as play:
        judge_also_by(play, Marker(mark))
        client = await play.connect()
        assert "isError" not in await client.call("add")
        assert len(play.server("sums").calls) == 1
        assert "state_contention" in (play.proposed[0].rule, play.concluded[0].rule)


class Late(MemoryStore):
    """Every first reading is of the time before all calls: as many calls at once judge by the same state."""

    def __init__(self, readers: int) -> None:
        super().__init__()
        self._waiting = readers
        self._all = anyio.Event()

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        seen = await super().read(keys, at=at)
        self._waiting -= 1
        if self._waiting == 0:
            self._all.set()
        await self._all.wait()
        return seen


async def test_a_limit_holds_however_many_calls_come_at_once() -> None:
    calls = 20
    store = Late(calls)
    async with playing(adder(), store=store) as play:
        judge_also_by(play, Quota())
        client = await play.connect()
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await client.call("add"))

        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(call)
        assert len(play.server("sums").calls) == LIMIT
        refused = [answer["_meta"]["fuseboard/decision"]["rule"] for answer in answers if answer.get("isError")]
        assert refused == ["quota.calls"] * (calls - LIMIT)
        assert sorted(entry.seq for entry in play.proposed) == list(range(1, calls + 1))
        state = await store.read(["calls", "denied"], at=play.board.now())
        assert state.values == {"calls": LIMIT, "denied": calls - LIMIT}


async def test_what_a_call_called_finds_its_run_as_it_was_after_the_session_ended() -> None:
    """Else a budget would begin anew, and a stopped run go on, for whoever waits until the account is forgotten."""
    limits = RunLimits.model_validate({"calls": 1, "pause_at": None})
    fuses = Fuses(limits, PrincipalLimits())
    async with playing(FakeServer("helper", FakeTool("ask"), agent=True, trust="internal"), fuses=fuses) as play:
        client = await play.connect(transport="http")
        await client.call("ask")
        trace = play.server("helper").calls[0].value["_meta"]["traceparent"]
        await client.session.close()
        await anyio.sleep(300)
        below = await play.connect(Era.STATELESS, transport="http")
        said = await below.request("tools/call", {"name": "ask", "arguments": {}, "_meta": {"traceparent": trace}})
    assert said["_meta"]["fuseboard/decision"]["rule"] == "run.calls"
