"""Memory and SQLite, step by step: whatever is done to them, all answer the same, over restarts, crashes and company.

The second machine knows no other store, only what it was told: whatever is lost with a process, nothing is overspent.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fuseboard.accounts import standing
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.records import to_json
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.ports import Store
from fuseboard.state import EMPTY, Add, Draw, Push, Put, Reserve, Settle, Snapshot, Throttle, Write
from support.crash import give_back, kill
from support.ledger_entries import concluded, proposed

_COUNTS, _TAILS, _VALUES, _ACCOUNTS, _RATE = ("c1", "c2"), ("t1", "t2"), ("v1", "v2"), ("run", "principal"), "rate"
_BUCKET = "bucket"
_KEYS = (*_COUNTS, *_TAILS, *_VALUES, *_ACCOUNTS, _RATE, _BUCKET)
_TTLS_S = st.sampled_from([1.0, 5.0, 1000.0])
_JSON = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=3), st.just({"a": [1.5]}))
_WRITES: st.SearchStrategy[Write] = st.one_of(
    st.builds(Add, st.sampled_from(_COUNTS), st.integers(-3, 5), st.one_of(st.none(), st.integers(0, 9)), _TTLS_S),
    st.builds(Push, st.sampled_from(_TAILS), _JSON, st.integers(0, 3), _TTLS_S),
    st.builds(Put, st.sampled_from(_VALUES), _JSON, _TTLS_S),
    st.builds(Throttle, st.just(_RATE), st.sampled_from([0.5, 4.0]), st.integers(1, 3), st.just(1000.0)),
    st.builds(Draw, st.just(_BUCKET), st.sampled_from([1, -0.1]), st.just(1.0), st.just(2), st.just(10), _TTLS_S),
)
_CALLS = st.sampled_from([f"d-{n}" for n in range(8)])
_KEPT_S, _WINDOW_S, _IDLE_S = 1e6, 60.0, 2.0
_EXAMPLES = int(os.environ.get("FUSEBOARD_EXAMPLES", "30"))

Reading = tuple[int, tuple[Snapshot, ...]]


def admission(call: str, hold_s: float, ceilings: Mapping[str, float]) -> list[Write]:
    """All or nothing over two accounts, of which one has a window and the other counts time."""
    amounts = {"calls": 1, "bytes": 100}
    return [
        Reserve("run", call, amounts, {"calls": ceilings["run"]}, hold_s, _KEPT_S, idle_s=_IDLE_S),
        Reserve("principal", call, amounts, {"calls": ceilings["principal"]}, hold_s, _KEPT_S, _WINDOW_S),
    ]


def settlement(call: str, calls: int) -> list[Write]:
    took = {"calls": calls, "bytes": 7}
    return [
        Settle("run", call, took, _KEPT_S, idle_s=_IDLE_S),
        Settle("principal", call, took, _KEPT_S, _WINDOW_S),
    ]


def no_puts(writes: list[Write]) -> list[Write]:
    return [write for write in writes if not isinstance(write, Put)]


class Stores(RuleBasedStateMachine):
    readings: Bundle[Reading] = Bundle("readings")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.memory = MemoryStore()
        self.admitted: set[str] = set()
        self.sqlite = self.opened("alone")
        self.company = [self.opened("together"), self.opened("together")]
        self.at = 1000.0
        self.restarts = 0
        self.ceilings = {"run": 3.0, "principal": 4.0}
        self.asked_at: dict[str, float] = {}

    def opened(self, folder: str) -> SqliteStore:
        return SqliteStore.open(self.folder / folder / "ledger.db")

    def teardown(self) -> None:
        for store in (self.sqlite, *self.company):
            self.runner.run(store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def stores(self) -> tuple[Store, ...]:
        """The one in memory, the one that is alone, and in turn one of the two that share their state."""
        self.company.reverse()
        return self.memory, self.sqlite, self.company[0]

    def all(self, verb: str, *args: Any, **named: Any) -> tuple[Any, ...]:
        return tuple(self.runner.run(getattr(store, verb)(*args, **named)) for store in self.stores())

    def same(self, verb: str, *args: Any, **named: Any) -> Any:
        first, *others = self.all(verb, *args, **named)
        assert all(other == first for other in others)
        return first

    @rule(target=readings)
    def read(self) -> Reading:
        return (self.restarts, self.all("read", _KEYS, at=self.at))

    @rule(writes=st.lists(_WRITES, max_size=4), reading=readings, durable=st.booleans())
    def commit(self, writes: list[Write], reading: Reading, durable: bool) -> None:
        restarts, snapshots = reading
        answers = [
            # A snapshot does not outlive a restart of its store.
            self.runner.run(store.commit(writes, seen, None, at=self.at, durable=durable))
            for store, seen in zip(self.stores(), snapshots if restarts == self.restarts else [EMPTY] * 3, strict=True)
        ]
        assert len(set(answers)) == 1

    @rule(call=_CALLS, hold_s=st.sampled_from([1.0, 8.0, 500.0]), extra=st.lists(_WRITES, max_size=2).map(no_puts))
    def admit(self, call: str, hold_s: float, extra: list[Write]) -> None:
        """Also again, after it was settled or reaped."""
        writes = [*admission(call, hold_s, self.ceilings), *extra]
        asked_at = self.asked_at.setdefault(call, self.at)
        if self.same("commit", writes, EMPTY, proposed(call, at=asked_at), at=self.at):
            self.admitted.add(call)

    @rule(call=_CALLS, calls=st.integers(0, 1))
    def settle(self, call: str, calls: int) -> None:
        if call not in self.admitted:  # what was not let through has no end
            return
        self.same("commit", settlement(call, calls), EMPTY, concluded(call), at=self.at)

    @rule()
    def reap(self) -> None:
        found = self.all("reap", at=self.at)
        assert sorted(map(str, found[0])) == sorted(map(str, found[1])) == sorted(map(str, found[2]))

    @rule(more=st.integers(1, 3))
    def resume(self, more: int) -> None:
        self.ceilings = {key: ceiling + more for key, ceiling in self.ceilings.items()}

    @rule(seconds=st.sampled_from([-3.0, 0.5, 1.0, 4.0, 900.0]))
    def clock_steps(self, seconds: float) -> None:
        self.at += seconds

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        if crash:
            give_back(self.sqlite)
            self.runner.run(self.sqlite.last_seq("r"))  # everything is in the file then, and nothing else
            kill(self.sqlite)
        else:
            self.runner.run(self.sqlite.close())
        self.sqlite = self.opened("alone")
        self.restarts += 1

    @rule()
    def one_of_two_dies(self) -> None:
        kill(self.company.pop())
        self.company.append(self.opened("together"))

    @invariant()
    def they_agree(self) -> None:
        memory, alone, together = self.all("read", _KEYS, at=self.at)
        # As JSON, which is what a store promises to keep: memory may hold a tuple where a file gives a list.
        assert to_json(memory.values) == to_json(alone.values) == to_json(together.values)

    @invariant()
    def nothing_is_overspent(self) -> None:
        now = standing(self.runner.run(self.memory.read(["run"], at=self.at)).get("run"), at=self.at)
        assert now.taken("calls") <= self.ceilings["run"]


class Crashes(RuleBasedStateMachine):
    """One to three processes on one file, any of which may die with whatever it has not written.

    What we were told is the measure: a call that was granted has to be charged, unless we settled it for less.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.stores = [self.opened()]
        self.at, self.ceiling, self.ids = 1000.0, 3.0, 0
        self.granted: dict[str, int] = {}
        """Calls that we were told were granted, and the least that each has to be charged."""
        self.reaped: list[str] = []

    @initialize(ceiling=st.sampled_from([3.0, 60.0]))
    def limited(self, ceiling: float) -> None:
        """A budget of a few calls, or one of which a part is lent."""
        self.ceiling = ceiling

    def opened(self) -> SqliteStore:
        return SqliteStore.open(self.folder / "ledger.db")

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def one(self, n: int) -> SqliteStore:
        return self.stores[n % len(self.stores)]

    @rule(n=st.integers(0, 2), durable=st.booleans(), hold_s=st.sampled_from([1.0, 500.0]), times=st.integers(1, 3))
    def admit(self, n: int, durable: bool, hold_s: float, times: int) -> None:
        self.ids += 1
        call = f"d-{self.ids}"
        write = Reserve("run", call, {"calls": 1}, {"calls": self.ceiling}, hold_s, _KEPT_S)
        entry = proposed(call, at=self.at, run="r", seq=self.ids)
        for _ in range(times):
            if self.runner.run(self.one(n).commit([write], EMPTY, entry, at=self.at, durable=durable)):
                self.granted[call] = 1
        assert sum(self.granted.values()) <= self.ceiling

    @rule(n=st.integers(0, 2), which=st.integers(0, 99), calls=st.integers(0, 1))
    def settle(self, n: int, which: int, calls: int) -> None:
        if not self.granted:
            return
        call = [*self.granted][which % len(self.granted)]
        before = self.taken(n)
        write = Settle("run", call, {"calls": calls}, _KEPT_S)
        self.runner.run(self.one(n).commit([write], EMPTY, concluded(call), at=self.at))
        if self.taken(n) < before:
            self.granted[call] = 0  # it was held still

    @rule(n=st.integers(0, 2))
    def reap(self, n: int) -> None:
        self.reaped += [one.call for one in self.runner.run(self.one(n).reap(at=self.at))]
        assert len(set(self.reaped)) == len(self.reaped)

    @rule(more=st.integers(1, 2))
    def resume(self, more: int) -> None:
        self.ceiling += more

    @rule(seconds=st.sampled_from([-3.0, 0.5, 4.0, 900.0]))
    def clock_steps(self, seconds: float) -> None:
        self.at += seconds

    @rule()
    def another_comes(self) -> None:
        if len(self.stores) < 3:
            self.stores.append(self.opened())

    @rule(n=st.integers(0, 2), crash=st.booleans())
    def one_goes(self, n: int, crash: bool) -> None:
        store = self.stores.pop(n % len(self.stores))
        if crash:
            kill(store)
        else:
            self.runner.run(store.close())
        if not self.stores:
            self.stores.append(self.opened())

    def taken(self, n: int) -> float:
        account = self.runner.run(self.one(n).read(["run"], at=self.at)).get("run")
        return standing(account, at=self.at).taken("calls")

    @invariant()
    def nothing_is_overspent_and_nothing_acknowledged_is_lost(self) -> None:
        for n in range(len(self.stores)):
            assert sum(self.granted.values()) <= self.taken(n) <= self.ceiling


def test_memory_and_sqlite_agree_step_by_step() -> None:
    checked = settings(max_examples=_EXAMPLES // 2, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(Stores, settings=checked)


def test_no_crash_overspends_or_loses_what_was_acknowledged() -> None:
    checked = settings(max_examples=_EXAMPLES, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(Crashes, settings=checked)
