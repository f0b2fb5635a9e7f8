"""The simulation as a test: a thousand worlds in which nothing breaks, and mutants of the core, each of them caught."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import pytest

from fuseboard import accounts, locks
from fuseboard.adapters.stores import table
from fuseboard.approvals import Approval
from fuseboard.breakers.machine import Breaker
from fuseboard.deadline import Deadline
from fuseboard.errors import UpstreamFault
from fuseboard.events import CallProposed, Event
from fuseboard.exchange import Exchange
from fuseboard.policies.breaker import BreakerPolicy
from fuseboard.policies.budgets import BudgetPolicy
from fuseboard.policies.effects import EffectsPolicy
from fuseboard.ports import Reply
from fuseboard.settlement import Settlement
from fuseboard.state import Lock, Settle, Snapshot
from fuseboard.verdicts import Allow, Deny, Verdict
from fuseboard.wire import frames
from simulation.run import play
from support.sources import ROOT

RUN: Final = ROOT / "tests/simulation/run.py"
WORLDS: Final = 1000
TRIES: Final = 150
"""Worlds in which a mutant has to show itself."""

HASHES: Final = """
import sys
sys.path.insert(0, sys.argv[1])
from simulation.run import play
print(*[play(seed).hash for seed in range(12)])
"""


def test_a_thousand_worlds_break_no_invariant() -> None:
    command = [sys.executable, str(RUN), "--seeds", str(WORLDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert f"{WORLDS} worlds" in done.stdout


def test_one_seed_tells_one_story_in_every_process() -> None:
    here = [play(seed).hash for seed in range(12)]
    assert here == [play(seed).hash for seed in range(12)]
    command = [sys.executable, "-c", HASHES, str(ROOT / "tests")]
    for hash_seed in ("1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
        assert done.stdout.split() == here
    assert len(set(here)) == len(here)


def test_worlds_on_a_file_break_no_invariant_and_tell_the_story_that_memory_tells() -> None:
    alike = 0
    for seed in range(30):
        on_file = play(seed, on_file=True)
        assert on_file.violations == (), f"python tests/simulation/run.py --on-file --seed {seed}"
        in_memory = play(seed)
        if on_file.counts["lives"] == in_memory.counts["lives"] == 1:
            assert on_file.hash == in_memory.hash
            alike += 1
    assert alike > 10


def test_the_dice_reach_everything_that_is_watched() -> None:
    counts = Counter[str]()
    for seed in range(80):
        counts.update(play(seed).counts)
    refusals = {word.split()[1].partition(".")[0] for word in counts if word.startswith(("deny ", "hold "))}
    assert {"run", "principal", "retries", "effects", "locks", "tool", "upstream", "loops"} <= refusals
    assert {"truth timeout", "truth lost", "truth cancelled", "fault crash", "fault lost after"} <= counts.keys()
    assert counts["lives"] > 65
    assert counts["effects"] > 300


def _unreserved(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = BudgetPolicy._proposed

    def forgets(self: BudgetPolicy, event: CallProposed, state: Snapshot) -> Verdict:
        said = judged(self, event, state)
        return Allow(facts=said.facts) if isinstance(said, Allow) else said

    monkeypatch.setattr(BudgetPolicy, "_proposed", forgets)


def _settled_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    closes = Settlement._close

    async def twice(self: Settlement, *args: Any, **named: Any) -> Any:
        await closes(self, *args, **named)
        return await closes(self, *args, **named)

    monkeypatch.setattr(Settlement, "_close", twice)


def _charged_without_a_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = accounts.settle

    def charges(account: Any, write: Settle, *, at: float) -> Mapping[str, Any]:
        now = settle(account, write, at=at)
        return accounts._charge(dict(now), write.amounts, at, write.window_s)

    monkeypatch.setitem(table._AFTER, Settle, charges)


def _faults_are_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgets(self: Settlement, judged: CallProposed, fault: UpstreamFault, **named: Any) -> Reply:
        return frames.failure(fault.code, fault.message)

    monkeypatch.setattr(Settlement, "of_fault", forgets)
    monkeypatch.setattr("simulation.watched.ToldStore.reap", _reaps_nothing)


async def _reaps_nothing(self: Any, *, at: float) -> Any:
    return ()


def _sent_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unwritten(self: Exchange, outcome: Any, read: Snapshot, *args: Any, **named: Any) -> bool:
        return True

    monkeypatch.setattr(Exchange, "_propose", unwritten)


def _used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Approval, "spent", lambda self, call, *, at: ())


def _never_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadline, "_expire", lambda self: None)


def _held_by_two(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = locks.taken

    def takes(lock: Any, write: Lock, *, at: float) -> Mapping[str, Any] | None:
        got = taken(lock, write, at=at)
        if got is not None or write.renews:
            return got
        alone = taken(None, write, at=at)
        return {**alone, "held": {**lock["held"], **alone["held"]}} if alone is not None else None

    monkeypatch.setitem(table._AFTER, Lock, takes)
    monkeypatch.setattr("fuseboard.policies.locks.locks.in_the_way", lambda *args, **named: ())


def _passes(policy: type) -> Callable[[pytest.MonkeyPatch], None]:
    def mutant(monkeypatch: pytest.MonkeyPatch) -> None:
        decides = policy.decide

        def decide(self: Any, event: Event, state: Snapshot) -> Verdict:
            return Allow() if isinstance(event, CallProposed) else decides(self, event, state)

        monkeypatch.setattr(policy, "decide", decide)

    mutant.__name__ = f"{policy.__name__}_passes"
    return mutant


def _probes_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Breaker, "taken", lambda self, at: False)


def _remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that keeps something between calls."""
    counter, decides = itertools.count(), BudgetPolicy.decide

    def decide(self: BudgetPolicy, event: Event, state: Snapshot) -> Verdict:
        said = decides(self, event, state)
        return msgspec.structs.replace(said, facts={**said.facts, "nth": next(counter)})

    monkeypatch.setattr(BudgetPolicy, "decide", decide)


def _says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = BudgetPolicy._proposed

    def mute(self: BudgetPolicy, event: CallProposed, state: Snapshot) -> Verdict:
        said = judged(self, event, state)
        return Deny("run.calls", "") if isinstance(said, Deny) else said

    monkeypatch.setattr(BudgetPolicy, "_proposed", mute)


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        pytest.param(_unreserved, "I1", id="a call reserves nothing"),
        pytest.param(_charged_without_a_hold, "I1", id="a call is charged though it holds nothing"),
        pytest.param(_sent_before_it_is_written, "I2", id="a call is sent without a record"),
        pytest.param(_held_by_two, "I3", id="a lock is given to whoever asks"),
        pytest.param(_used_again, "I4", id="an approval is used again"),
        pytest.param(_passes(BreakerPolicy), "I5", id="an open breaker lets everything through"),
        pytest.param(_probes_side_by_side, "I5", id="a probe goes beside another"),
        pytest.param(_settled_twice, "I6", id="a call is settled twice"),
        pytest.param(_faults_are_not_settled, "I6", id="a call that failed is never settled"),
        pytest.param(_says_nothing, "I7", id="a refusal gives no reason"),
        pytest.param(_remembers, "I8", id="a policy remembers something"),
        pytest.param(_never_over, "I11", id="a deadline never comes"),
        pytest.param(_passes(EffectsPolicy), "I12", id="a lost call is made again"),
    ],
)
def test_a_mutant_is_caught(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None], invariant: str
) -> None:
    mutant(monkeypatch)
    broken = (violation.rule for seed in range(TRIES) for violation in play(seed).violations)
    assert invariant in broken
