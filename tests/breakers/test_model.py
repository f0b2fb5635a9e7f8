"""Breakers against a model that was told their rules and knows nothing else of them: over memory, and over a file that
two processes share.

Whatever is asked, comes back, comes back late or never: the policy lets through what the model lets through, and no
generation has two probes (facts, mechanisms 5, I5).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.breakers import machine
from fuseboard.breakers.standing import target
from fuseboard.config.guards import Breaker as Settings
from fuseboard.config.guards import Health
from fuseboard.events import CallProposed
from fuseboard.inbox import Inbox
from fuseboard.ports import Store
from support.breaking import Bench

RUNS: Final = ("r1", "r2")
ASKS: Final = ("x", "y", "z")
TIMEOUT_S: Final = 40.0
GRACE_S: Final = 5.0
_EXAMPLES = int(os.environ.get("FUSEBOARD_EXAMPLES", "60"))

UPSTREAMS_FAULT: Final = {"error", "timeout", "lost"}
UNHEARD: Final = {"timeout", "lost", "outage"}
SAID: Final = ["ok", "ok", "empty", "business_error", "bad_arguments", "throttled", "cancelled", "denied"]
TRUTHS: Final = st.sampled_from([*SAID, *["error", "error", "timeout"] * 2])

PROBES: Final = st.sampled_from(["cancelled", "throttled", "ok", "error"])


@dataclass
class Flight:
    """A call under way. ``era``: in which of its closed times each breaker let it through."""

    call: CallProposed
    run: str
    asks: str
    era: dict[str, int]


@dataclass
class Model:
    """One breaker, as the issue tells it. ``trips`` says whether what came back in this era is enough."""

    open_s: float
    longest_s: float
    needed: int
    trips: Callable[[list[Any]], bool]
    near: Callable[[list[Any]], bool] = lambda results: False
    era: int = 0
    results: list[Any] = field(default_factory=list)
    open_until: float | None = None
    openings: int = 0
    goods: int = 0
    alone: tuple[str, float] | None = None

    def says(self, at: float) -> str:
        """``no``, ``alone`` (only while nobody else is) or ``yes``."""
        if self.open_until is not None and at < self.open_until:
            return "no"
        if self.open_until is not None or self.near(self.results):
            return "no" if self.alone is not None and at < self.alone[1] else "alone"
        return "yes"

    def opens(self, at: float) -> None:
        self.open_until = at + min(self.open_s * 2**self.openings, self.longest_s)
        self.openings += 1
        self.goods, self.alone = 0, None

    def closes(self) -> None:
        self.era += 1
        self.results, self.open_until, self.openings, self.goods, self.alone = [], None, 0, 0, None

    def came_back(self, flight: Flight, name: str, result: Any, good: bool | None, at: float) -> None:
        mine = self.alone is not None and self.alone[0] == flight.call.id
        if mine:
            self.alone = None
        if self.open_until is not None:
            if mine and good is False:
                self.opens(at)
            elif mine and good:
                self.goods += 1
                if self.goods == self.needed:
                    self.closes()
                    self.results.append(result)  # it is the first that is known of the new time
        elif flight.era[name] == self.era:
            self.results.append(result)
            if good is False and self.trips(self.results):
                self.opens(at)


def strikes(results: list[Any]) -> float:
    """Of (truth, asks) since the last good one; a third where other arguments follow bad arguments."""
    total, before, asked = 0.0, "", set[str]()
    for truth, asks, _, _ in results:
        if truth in ("ok", "empty"):
            total, before, asked = 0.0, "", set()
        elif truth in ("business_error", "bad_arguments", *UPSTREAMS_FAULT):
            learns = truth not in UPSTREAMS_FAULT and before == "bad_arguments" and asks not in asked
            total += 1 / 3 if learns else 1
            before = truth
            asked.add(asks)
    return total + 1e-6


def sick(results: list[Any]) -> bool:
    told = [one for one in results[-32:] if one[0] in ("ok", "empty", "business_error", *UPSTREAMS_FAULT)]
    row = []
    for one in reversed(told):
        if one[0] not in UPSTREAMS_FAULT:
            break
        row.append(one)
    lately = [one for one in told if one[3] > told[-1][3] - 60]
    bad = [one for one in lately if one[0] in UPSTREAMS_FAULT]
    return (len(row) >= 5 and len({one[2] for one in row}) >= 2) or (len(lately) >= 10 and 2 * len(bad) >= len(lately))


def silent(results: list[Any]) -> bool:
    row = []
    for one in reversed([one for one in results if one[0] != "cancelled"]):
        if one[0] not in UNHEARD:
            break
        row.append(one)
    return len(row) >= 5 and len({one[2] for one in row}) >= 2


def good_for_run(truth: str) -> bool | None:
    if truth in ("business_error", "bad_arguments", *UPSTREAMS_FAULT):
        return False
    return True if truth in ("ok", "empty") else None


def good_for_all(truth: str) -> bool | None:
    if truth in UPSTREAMS_FAULT:
        return False
    return True if truth in ("ok", "empty", "business_error") else None


def good_of_upstream(truth: str) -> bool | None:
    return True if truth == "bad_arguments" else good_for_all(truth)


class Breakers(RuleBasedStateMachine):
    shared = False

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.stores: list[Store] = [MemoryStore()]
        if self.shared:
            self.stores = [SqliteStore.open(self.folder / "ledger.db") for _ in range(2)]
        self.bench = Bench(self.stores[0], Settings(health=Health(jitter=0.0)))
        self.flights: list[Flight] = []
        self.alone: dict[tuple[str, str, int], set[str]] = {}
        self.models = {
            run: Model(60, 600, 1, lambda got: strikes(got) >= 3, lambda got: strikes(got) >= 2) for run in RUNS
        }
        self.models["tool"] = Model(30, 300, 2, sick)
        self.models["up"] = Model(30, 300, 2, silent)

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def at_store(self, which: int) -> Bench:
        self.bench.store = self.stores[which % len(self.stores)]
        return self.bench

    @rule(run=st.sampled_from(RUNS), asks=st.sampled_from(ASKS), which=st.integers(0, 1))
    def propose(self, run: str, asks: str, which: int) -> None:
        bench = self.at_store(which)
        concerned = {name: self.models[name] for name in ("up", "tool", run)}
        words = {name: model.says(bench.at) for name, model in concerned.items()}
        said = self.runner.run(bench.propose(run, asks=asks, timeout_s=TIMEOUT_S))
        assert isinstance(said, CallProposed) is ("no" not in words.values()), (words, said)
        if isinstance(said, CallProposed):
            for name, word in words.items():
                if word == "alone":
                    concerned[name].alone = (said.id, bench.at + TIMEOUT_S + GRACE_S)
            self.flights.append(Flight(said, run, asks, {name: model.era for name, model in concerned.items()}))
            self.no_generation_has_two_probes()

    @rule(pick=st.integers(0, 5), truth=TRUTHS, which=st.integers(0, 1))
    def come_back(self, pick: int, truth: str, which: int) -> None:
        if not self.flights:
            return
        flight = self.flights.pop(pick % len(self.flights))
        bench = self.at_store(which)
        self.runner.run(bench.returns(flight.call, truth))
        result = (truth, flight.asks, flight.run, bench.at)
        self.models[flight.run].came_back(flight, flight.run, result, good_for_run(truth), bench.at)
        self.models["tool"].came_back(flight, "tool", result, good_for_all(truth), bench.at)
        self.models["up"].came_back(flight, "up", result, good_of_upstream(truth), bench.at)

    @rule(run=st.sampled_from(RUNS), truths=st.lists(TRUTHS, min_size=1, max_size=5))
    def call_some(self, run: str, truths: list[str]) -> None:
        for n, truth in enumerate(truths):
            before = len(self.flights)
            self.propose(run, ASKS[n % 2], n)
            if len(self.flights) > before:
                self.come_back(len(self.flights) - 1, truth, n)
            self.bench.at += 0.5

    @rule(
        run=st.sampled_from(RUNS),
        many=st.integers(3, 5),
        back=st.integers(2, 5),
        truth=st.sampled_from(["error", "timeout"]),
    )
    def burst(self, run: str, many: int, back: int, truth: str) -> None:
        """Several at once, of which some fail and the others are under way for longer."""
        for n in range(many):
            self.propose(run, ASKS[n % 3], n)
        for n in range(back):
            self.come_back(5, truth, n)

    @rule(run=st.sampled_from(RUNS), truths=st.lists(PROBES, min_size=1, max_size=3))
    def probe(self, run: str, truths: list[str]) -> None:
        """As soon as it may be tried again."""
        until = [model.open_until for model in self.models.values() if model.open_until is not None]
        self.bench.at = max([self.bench.at, *until])
        self.call_some(run, truths)

    @rule(passed_s=st.sampled_from([0.01, 1.0, 10.0, 29.0, 45.0, 61.0, 130.0]))
    def wait(self, passed_s: float) -> None:
        self.bench.at += passed_s

    @rule(name=st.sampled_from(["r1", "r2", "tool", "up"]))
    def reset(self, name: str) -> None:
        self.bench.at += 0.01  # calls of this very millisecond are of either era
        desk = Inbox(self.stores[0], lambda: self.bench.at)
        run = name if name in RUNS else None
        which = target("up" if name == "up" else "up__get", run)
        self.runner.run(desk.breaker(which, open=False, by="ida"))
        self.models[name].closes()

    def no_generation_has_two_probes(self) -> None:
        keys = (*map(machine.run_key, RUNS), machine.shared_key("up"))
        read = self.runner.run(self.stores[0].read(keys, at=self.bench.at))
        for key, cell in read.values.items():
            for name, kept in cell.items():
                one = machine.read(cell, name)
                if one.lease is not None and one.state == machine.HALF_OPEN:
                    holders = self.alone.setdefault((key, name, one.generation), set())
                    holders.add(one.lease[0])
                    assert len(holders) == 1, (key, kept)


class SharedBreakers(Breakers):
    shared = True


@pytest.mark.parametrize("machine", [Breakers, SharedBreakers], ids=["memory", "a file of two"])
def test_the_breakers_are_what_the_model_says(machine: type[Breakers]) -> None:
    examples = _EXAMPLES if machine is Breakers else max(10, _EXAMPLES // 4)
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None))  # type: ignore[no-untyped-call]
