"""The benchmark: what Fuseboard costs, beside floors and peers, on every path and in both eras.

    python tests/bench/run.py                 about 15 minutes
    python tests/bench/run.py --quick         about 3 minutes
    python tests/bench/run.py --only 'stdio->stdio' --rounds 3
    python tests/bench/run.py --gate          exit 1 on a bar that is missed by the median and by the best round too

A wrong answer, a refusal among them, is exit 1 always: the load trips no policy, so that all of them are measured.

Linux only. The proxy runs on one core, client and upstreams on another; CPU is that of the proxy's process tree, echo
upstreams left out. Only ratios within a round travel between machines. Targets whose parts are not installed are
skipped, and said to be.

fuseboard-off         nothing limited, no loops or breakers, nothing kept on disk
fuseboard-on          everything that is on by default, and none of it trips: schemas, rules, budgets, behaviour, ledger
fuseboard-on-when     the same, with a condition on the measured tool
fuseboard-on-effects  the same, and each record durable before its call is sent
fuseboard-on-filtered the same, with a rule that hides some tools of the list
sdk-min               the plainest proxy that the MCP SDK gives
relay-govern          the floor: raw asyncio with the same checks
asgi-govern           the floor on uvicorn and aiohttp
nginx, fastmcp        where installed
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import bars
import extremes
import growth
import report
import store
import targets
from bars import Bar
from processes import Cores
from scenarios import Effort, Lane, Row, calls, cold_starts, idle_memory
from stage import Shape
from targets import Target
from wire import HANDSHAKE, MODERN

_PIPES = {("sdk-min", 1): 0.25, ("sdk-min", 16): 0.25}
PATHS = {
    ("stdio", "stdio"): _PIPES,
    ("http", "stdio"): _PIPES,
    ("http", "http"): {("sdk-min", 1): 0.3, ("sdk-min", 16): 0.2, ("asgi-govern", 16): 2.0},
}
"""Front, back, and the most that a call may cost of what it costs through another target, with so many callers."""

ERAS = (HANDSHAKE, MODERN)
FULL = Effort(rounds=5, seconds=1.0, calls=20_000)
QUICK = Effort(rounds=2, seconds=0.4, calls=4_000)


def main() -> int:
    options = parse()
    if not sys.platform.startswith("linux"):
        print("the benchmark reads /proc: it needs Linux", file=sys.stderr)
        return 2
    absent = [name for name in ("orjson", "uvloop") if importlib.util.find_spec(name) is None]
    if absent:
        print(f"the harness itself needs: pip install {' '.join(absent)}", file=sys.stderr)
        return 2
    cores = Cores.split()
    if cores.client is None:
        print("!! one core only: nothing is pinned, and ratios are rough", file=sys.stderr)
    else:
        os.sched_setaffinity(0, {cores.client})
    import uvloop

    rows = uvloop.run(measure(options, cores))
    if not rows:
        print("nothing could be measured", file=sys.stderr)
        return 2
    return conclude(options, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of one burst")
    parser.add_argument(
        "--only",
        default="",
        help="boards whose name contains this (path, era, growth, sessions, list, 5 MB, memory, long runs, store)",
    )
    parser.add_argument("--targets", help="comma list of targets")
    parser.add_argument("--fuseboard", default=beside_python(), help="the command to measure")
    parser.add_argument("--fastmcp-python", help="a Python that has fastmcp")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    parser.add_argument("--gate", action="store_true", help="exit 1 on a missed bar")
    options = parser.parse_args()
    base = QUICK if options.quick else FULL
    options.effort = Effort(options.rounds or base.rounds, options.seconds or base.seconds, base.calls)
    return options


def beside_python() -> str:
    return str(Path(sys.executable).parent / "fuseboard")


async def measure(options: argparse.Namespace, cores: Cores) -> list[Row]:
    rows: list[Row] = []
    async for row in scenarios(options, available(options), cores):
        rows.append(row)
        if not options.json and sys.stderr.isatty():
            print(f"\r{len(rows)} {row['board']} {row['target']:<30}", end="", file=sys.stderr)
    return rows


def available(options: argparse.Namespace) -> list[Target]:
    """The targets that can run here; the others are named on stderr."""
    program = shlex.split(options.fuseboard)
    ours = [targets.fuseboard(variant, program) for variant in ("off", "on", "on-when", "on-effects", "on-filtered")]
    floors = [targets.direct(), targets.relay_govern(), targets.asgi_govern(), targets.nginx()]
    peers = [targets.sdk_min(), targets.fastmcp(options.fastmcp_python)]
    wanted = options.targets.split(",") if options.targets else None
    found = []
    for target in [*floors, *peers, *ours, targets.fuseboard_wrap(program)]:
        if wanted and target.name not in wanted:
            continue
        why = target.missing()
        if why:
            print(f"!! skipped: {target.name}: {why}", file=sys.stderr)
        else:
            found.append(target)
    return found


async def scenarios(options: argparse.Namespace, found: list[Target], cores: Cores) -> AsyncIterator[Row]:
    effort: Effort = options.effort
    for board, lanes in [*path_boards(found), *growth_boards(found)]:
        if options.only in board and lanes:
            async for row in calls(board, lanes, effort, cores):
                yield row
    for board, lanes, scenario in far_boards(found):
        if options.only in board and lanes:
            async for row in scenario(board, lanes, effort, cores):
                yield row
    if options.only in bars.HISTORY and not options.targets:
        async for row in growth.histories(rounds=max(3, effort.rounds)):
            yield row
    if options.only in bars.STORE and not options.targets:
        async for row in store.commits(rounds=max(3, effort.rounds)):
            yield row
    pipes, mixed = Shape("stdio", "stdio", HANDSHAKE), Shape("http", "stdio", HANDSHAKE)
    if options.only in "cold start":
        async for row in cold_starts(lanes_of(found, pipes, COLD), effort, cores):
            yield row
    if options.only in "idle memory":
        async for row in idle_memory(lanes_of(found, mixed, IDLE), effort, cores):
            yield row


ELSEWHERE = ("fuseboard-wrap", "fuseboard-on-filtered")
CROWDED = ("fuseboard-on",)
LISTING = ("relay-govern", "sdk-min", "fuseboard-on", "fuseboard-on-filtered")
LARGE = ("relay-govern", "sdk-min", "fuseboard-on")
COLD = ("sdk-min", "relay-govern", "fastmcp", "fuseboard-on", "fuseboard-wrap")
IDLE = ("sdk-min", "relay-govern", "fastmcp", "fuseboard-off", "fuseboard-on")
GROWN_PATHS = (("stdio", "stdio"), ("http", "http"))
GROWN = ("fuseboard-off", "fuseboard-on")


def lanes_of(found: list[Target], shape: Shape, names: tuple[str, ...]) -> list[Lane]:
    return [Lane(target.name, target, shape) for target in found if target.name in names]


def path_boards(found: list[Target]) -> Iterator[tuple[str, list[Lane]]]:
    for front, back in PATHS:
        for era in ERAS:
            shape = Shape(front, back, era)
            fit = [target for target in found if front in target.fronts and back in target.backs]
            lanes = [Lane(target.name, target, shape) for target in fit if target.name not in ELSEWHERE]
            yield f"{shape.path} {era}", lanes


def growth_boards(found: list[Target]) -> Iterator[tuple[str, list[Lane]]]:
    for path in GROWN_PATHS:
        for era in ERAS:
            shapes = [Shape(*path, era, *size) for size in ((1, 10), (1, 1000), (10, 10))]
            lanes = [
                Lane(f"{target.name} {shape.upstreams}x{shape.tools}", target, shape)
                for target in found
                if target.name in GROWN
                for shape in shapes
            ]
            yield f"growth {shapes[0].path} {era}", lanes


Scenario: TypeAlias = Callable[[str, Sequence[Lane], Effort, Cores], AsyncIterator[Row]]


def far_boards(found: list[Target]) -> Iterator[tuple[str, list[Lane], Scenario]]:
    """Over HTTP in the handshake era, where nothing else is said: there the sessions are."""
    plain = Shape("http", "http", HANDSHAKE)
    yield f"sessions {plain.path}", lanes_of(found, plain, CROWDED), extremes.open_sessions
    yield bars.LISTING, lanes_of(found, Shape("http", "http", HANDSHAKE, 1, 1000), LISTING), extremes.listings
    large = [
        Lane(f"{lane.label} {ways}", lane.target, lane.shape)
        for ways in ("http", "stdio")
        for lane in lanes_of(found, Shape(ways, ways, HANDSHAKE), LARGE)
    ]
    yield bars.LARGE, large, extremes.large_results
    yield bars.LONG, lanes_of(found, plain, CROWDED), extremes.long_runs


def all_bars() -> list[Bar]:
    found = []
    for era in ERAS:
        for (front, back), limits in PATHS.items():
            found += bars.paths(f"{front}->{back} {era}", limits)
        for front, back in GROWN_PATHS:
            found += bars.growth(f"growth {front}->{back} {era}")
    return [*found, *bars.sessions("sessions http->http"), *bars.FAR, *bars.HISTORIES, bars.COLD, bars.IDLE]


def conclude(options: argparse.Namespace, rows: list[Row]) -> int:
    found = bars.judge(all_bars(), rows)
    if options.json:
        print(json.dumps(report.document(rows, found)))
    else:
        lines: list[Any] = [*report.tables(rows), *report.findings(found)]
        print("\n".join(lines))
    wrong = [row for row in rows if row.get("errors")]
    for row in wrong:
        said = f"{row['errors']} wrong answers: {row['first_error']}"
        print(f"!! {row['board']}: {row['target']}: {said}", file=sys.stderr)
    missed = any(finding.verdict in ("MISS", "NOT RUN") for finding in found)
    return 1 if wrong or (options.gate and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
