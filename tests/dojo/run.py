"""AgentDojo's reference runs through a real proxy, with no model: what the flow rules stop, and what that costs.

    python tests/dojo/run.py [--suite workspace …] [--carriers N] [--bare] [--verbose]

Every user's task is played as it is meant, each in a signed run of its own that knows the task, and counted where a
person is asked. Then each goal is planted word for word wherever an attacker could write, a user's task is played that
reads it, and after it the calls of the goal. A goal is stopped if none of its harmful calls reaches the tools,
whichever task carried it. Exits with 1 where a bar is missed, with 2 where AgentDojo cannot be had.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import anyio

from dojo import place
from dojo.replay import replay
from dojo.score import Suite, missed, report
from dojo.settings import SUITES


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        place.python()
    except place.Unavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 2
    began = time.monotonic()
    suites = anyio.run(_play, options)
    for line in report(suites, verbose=options.verbose):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{time.monotonic() - began:.0f} s, {place.AGENTDOJO}, tasks {place.BENCHMARK}\n")
    return 0 if not missed(suites) else 1


async def _play(options: argparse.Namespace) -> list[Suite]:
    suites = []
    with tempfile.TemporaryDirectory(prefix="dojo") as folder:
        for name in options.suite or SUITES:
            place_of_its_own = Path(folder) / name
            place_of_its_own.mkdir()
            suites.append(await replay(name, place_of_its_own, bare=options.bare, carriers=options.carriers))
    return suites


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES, action="append", help="only this one; may stand several times")
    parser.add_argument("--carriers", type=int, help="plant each goal into so many users' tasks, not into all")
    parser.add_argument("--bare", action="store_true", help="declare nothing: what the defaults do")
    parser.add_argument("--verbose", action="store_true", help="each question of an honest task")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
