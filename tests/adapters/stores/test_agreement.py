"""Memory and SQLite, step by step: whatever is done to both, both answer the same, over restarts of the one."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.state import EMPTY, Add, Push, Put, Snapshot, Write

_COUNTS, _TAILS, _VALUES = ("c1", "c2"), ("t1", "t2"), ("v1", "v2")
_KEYS = (*_COUNTS, *_TAILS, *_VALUES)
_TTLS_S = st.sampled_from([1.0, 5.0, 1000.0])
_JSON = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=3), st.just({"a": [1.5]}))
_WRITES: st.SearchStrategy[Write] = st.one_of(
    st.builds(Add, st.sampled_from(_COUNTS), st.integers(-3, 5), st.one_of(st.none(), st.integers(0, 9)), _TTLS_S),
    st.builds(Push, st.sampled_from(_TAILS), _JSON, st.integers(0, 3), _TTLS_S),
    st.builds(Put, st.sampled_from(_VALUES), _JSON, _TTLS_S),
)


class Stores(RuleBasedStateMachine):
    readings: Bundle[tuple[int, Snapshot, Snapshot]] = Bundle("readings")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.memory = MemoryStore()
        self.sqlite = SqliteStore.open(self.folder / "ledger.db")
        self.at = 1000.0
        self.restarts = 0

    def teardown(self) -> None:
        self.runner.run(self.sqlite.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def both(self, verb: str, *args: Any, **named: Any) -> tuple[Any, Any]:
        return tuple(self.runner.run(getattr(store, verb)(*args, **named)) for store in (self.memory, self.sqlite))

    @rule(target=readings)
    def read(self) -> tuple[int, Snapshot, Snapshot]:
        return (self.restarts, *self.both("read", _KEYS, at=self.at))

    @rule(writes=st.lists(_WRITES, max_size=4), reading=readings, durable=st.booleans())
    def commit(self, writes: list[Write], reading: tuple[int, Snapshot, Snapshot], durable: bool) -> None:
        restarts, *snapshots = reading
        # A snapshot does not outlive a restart of its store.
        of_memory, of_sqlite = snapshots if restarts == self.restarts else (EMPTY, EMPTY)
        one = self.runner.run(self.memory.commit(writes, of_memory, None, at=self.at))
        two = self.runner.run(self.sqlite.commit(writes, of_sqlite, None, at=self.at, durable=durable))
        assert one == two

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 900.0]))
    def time_passes(self, seconds: float) -> None:
        self.at += seconds

    @rule()
    def restart(self) -> None:
        self.runner.run(self.sqlite.close())
        self.sqlite = SqliteStore.open(self.folder / "ledger.db")
        self.restarts += 1

    @invariant()
    def they_agree(self) -> None:
        memory, sqlite = self.both("read", _KEYS, at=self.at)
        assert memory.values == sqlite.values


def test_memory_and_sqlite_agree_step_by_step() -> None:
    run_state_machine_as_test(Stores, settings=settings(max_examples=30, stateful_step_count=25, deadline=None))
