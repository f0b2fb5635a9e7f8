"""Deterministic simulation: the real core under a virtual clock, with everything around it played by dice.

    python tests/simulation/run.py --seed 17            one world, told in short
    python tests/simulation/run.py --seeds 1000         worlds 0 to 999, on all cores
    python tests/simulation/run.py --seed 17 --trace    the same world, entry by entry

Ends with exit code 1 and the seeds of the worlds in which an invariant broke. A seed tells the same story each time,
on every machine: run it again to look at it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.agents import cast
from simulation.chance import played
from simulation.invariants import Violation
from simulation.replay import recorded
from simulation.world import World


class Played(NamedTuple):
    """What came of one seed."""

    seed: int
    hash: str
    violations: tuple[Violation, ...]
    counts: dict[str, int]


def play(seed: int, *, on_file: bool = False) -> Played:
    with tempfile.TemporaryDirectory() if on_file else nullcontext() as folder:
        world = told(seed, file=Path(folder) / "ledger.db" if folder is not None else None)
    counts = Counter(world.invariants.counts)
    counts |= {"entries": len(world.invariants.entries), "effects": len(world.effects), "lives": world.lives}
    counts.update({f"fault {fault}": times for fault, times in world.faults.items()})
    return Played(seed, world.ledger_hash(), tuple(world.invariants.violations), dict(counts))


def told(seed: int, *, file: Path | None = None) -> World:
    """The world of that seed, when it is over; its store in memory, or in that file."""
    world = World(seed, file=file)
    try:
        with recorded(world.invariants.judged.append):
            played(world.chance, partial(world.play, cast))
    finally:
        world.kept.shut()
    world.invariants.replayed()
    return world


def all_played(seeds: Sequence[int], workers: int, *, on_file: bool) -> Iterator[Played]:
    one = partial(play, on_file=on_file)
    if workers == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(one, seeds, chunksize=10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--on-file", action="store_true", help="keep state and ledger in SQLite, which takes longer")
    parser.add_argument("--trace", action="store_true", help="print every entry of the ledger")
    options = parser.parse_args()
    if options.trace:
        return _traced(options.seed)
    began = time.monotonic()
    seeds = range(options.seed, options.seed + options.seeds)
    total, broken = Counter[str](), []
    for one in all_played(seeds, options.workers if len(seeds) > 1 else 1, on_file=options.on_file):
        total.update(one.counts)
        if one.violations:
            broken.append(one.seed)
            print(f"seed {one.seed}: {len(one.violations)} violations")
            for violation in one.violations[:5]:
                print(f"  {violation.rule} at {violation.at_s:.3f} s: {violation.what}")
        elif len(seeds) == 1:
            print(f"seed {one.seed}: {one.hash}")
    took_s = time.monotonic() - began
    for what, times in sorted(total.items()):
        print(f"{times:8}  {what}")
    print(f"{len(seeds)} worlds in {took_s:.1f} s ({len(seeds) / took_s:.1f} a second), {len(broken)} broken")
    if broken:
        print("again: " + " ; ".join(f"python tests/simulation/run.py --seed {seed}" for seed in broken[:10]))
    return 1 if broken else 0


def _traced(seed: int) -> int:
    world = told(seed)
    for entry in world.invariants.entries:
        print(json.dumps(_shown(entry)))
    for violation in world.invariants.violations:
        print(violation)
    return 1 if world.invariants.violations else 0


def _shown(entry: Any) -> dict[str, Any]:
    fields = ("id", "run", "at", "exposed", "arguments", "verdict", "rule", "reason", "final", "truth", "error")
    return {name: getattr(entry, name) for name in fields if getattr(entry, name, None) is not None}


if __name__ == "__main__":
    sys.exit(main())
