"""The soak: real proxies under mixed load for a while, and then the question whether anything grew, leaked or was lost.

    python tests/soak/run.py [--minutes 10] [--state DIR] [--seed N]

Both eras, all transports, connects and disconnects, calls that are given up, progress, subscriptions, killed children,
restarted upstreams, readers that do not read. Ends with a report; exit code 1 where a bound is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from load import Load  # noqa: E402
from measures import Sample, sample, slope_kb_per_min  # noqa: E402
from tally import Tally  # noqa: E402
from world import SESSION_IDLE_S, World, world  # noqa: E402

from fuseboard.adapters.upstream.pool import IDLE_S  # noqa: E402
from support.proxy import fuseboard  # noqa: E402
from support.raw_transports import PipeClient, pipe  # noqa: E402

SLOPE_KB_PER_MIN: Final = 250.0
"""Resident memory over the second half. The bar for calls is 2 MB between 5,000 and 20,000 of them; here thousands of
calls and sessions pass each minute, and what any of them left behind would show as megabytes a minute."""

SLOPE_MINUTES: Final = 4.0
"""A shorter run says nothing of the slope: caches, pools and the allocator's arenas are still filling."""

GROWTH_KB: Final = 40_000
"""From the first sample under load to the end, for a run of any length: arenas that the floods of slow readers have
stretched stay (8 MB a stream), more than that does not."""

DESCRIPTORS: Final = 4
"""More of them at the end than before the load: a stream beside the calls, or one that was just opened."""

THREADS: Final = 2
"""More of them at the end: the pool that resolves names and reads files may have woken."""

WARM_S: Final = 2.0
SETTLE_S: Final = 2 * SESSION_IDLE_S + 2 * IDLE_S + 3.0
"""From the last client's end until the sessions that were abandoned have been idle for too long, and then the kept
connections to the upstreams."""

LIVES: Final = (
    ("handshake_visit", 3, 0.05),
    ("stateless_visit", 3, 0.05),
    ("sse_visit", 2, 0.1),
    ("listen_visit", 2, 0.05),
    ("connect_visit", 2, 0.1),
    ("slow_visit", 1, 10.0),
)
"""What goes on: the life, how many side by side, and the pause between two."""


@dataclass
class Finding:
    """One proxy's process, from before the load to after it."""

    before: Sample
    during: list[Sample]
    after: Sample

    def breaches(self, name: str, minutes: float) -> list[str]:
        found = []
        if minutes >= SLOPE_MINUTES and (slope := slope_kb_per_min(self.during)) > SLOPE_KB_PER_MIN:
            found.append(f"{name}: memory grows by {slope:.0f} KB a minute, at most {SLOPE_KB_PER_MIN:.0f}")
        if (growth := self.after.rss_kb - self.during[0].rss_kb) > GROWTH_KB:
            found.append(f"{name}: memory grew by {growth} KB, at most {GROWTH_KB}")
        if (more := self.after.descriptors - self.before.descriptors) > DESCRIPTORS:
            found.append(f"{name}: {more} descriptors more than at the start, at most {DESCRIPTORS}")
        if (more := self.after.threads - self.before.threads) > THREADS:
            found.append(f"{name}: {more} threads more than at the start, at most {THREADS}")
        return found

    def told(self) -> dict[str, Any]:
        first, last = self.before, self.after
        return {
            "rss_mb": [round(one.rss_kb / 1024, 1) for one in (first, self.during[0], last)],
            "slope_kb_per_min": round(slope_kb_per_min(self.during), 1),
            "descriptors": [first.descriptors, last.descriptors],
            "threads": [first.threads, last.threads],
        }


async def soak(minutes: float, folder: Path, seed: int) -> tuple[dict[str, Any], list[str]]:
    """The report, and the bounds that were passed."""
    tally = Tally()
    async with world(folder) as around:
        command = pipe(around.pipe, folder / "pipe/proxy.log", cwd=folder / "pipe")
        async with command as client:
            pids = {name: proxy.pid for name, proxy in around.proxies.items()} | {"pipe": client.child.pid}
            findings = await _under_load(around, client, pids, tally, minutes, seed)
        records = 0
        for name in ("wide", "narrow", "pipe"):
            exported = await fuseboard("trace", "export", state=folder / name / "state")
            records += len(exported.stdout.splitlines())
    breaches = [line for name, one in findings.items() for line in one.breaches(name, minutes)]
    breaches += [f"unexpected, {count} times: {what}" for what, count in tally.unexpected.most_common(20)]
    if not tally.answered <= records <= tally.answered + tally.abandoned:
        breaches.append(
            f"{records} ledger records for {tally.answered} answered calls and {tally.abandoned} abandoned ones"
        )
    report = {
        "minutes": minutes,
        "calls": {"answered": tally.answered, "abandoned": tally.abandoned, **tally.outcomes},
        "sessions": dict(tally.sessions),
        "faults": dict(tally.faults),
        "unexpected": dict(tally.unexpected),
        "ledger_records": records,
        "proxies": {name: one.told() for name, one in findings.items()},
    }
    return report, breaches


async def _under_load(
    around: World, client: PipeClient, pids: Mapping[str, int], tally: Tally, minutes: float, seed: int
) -> dict[str, Finding]:
    rng = random.Random(seed)
    load = Load(around, tally, rng)
    before = _samples(pids)
    during: list[dict[str, Sample]] = []
    length_s = minutes * 60
    async with anyio.create_task_group() as tasks:
        for life, count, pause_s in LIVES:
            for _ in range(count):
                tasks.start_soon(load.again, getattr(load, life), pause_s)
        tasks.start_soon(load.pipe_life, client)
        tasks.start_soon(_disturb, load, length_s)
        await anyio.sleep(min(WARM_S, length_s / 10))
        end_s = anyio.current_time() + length_s
        while anyio.current_time() < end_s:
            during.append(_samples(pids))
            await anyio.sleep(min(1.0, length_s / 10))
        tally.abandoned += sum(count for _, count, _ in LIVES) + 1  # what is under way when everybody leaves
        tasks.cancel_scope.cancel()
    await anyio.sleep(SETTLE_S)
    after = _samples(pids)
    return {name: Finding(before[name], [one[name] for one in during], after[name]) for name in pids}


async def _disturb(load: Load, length_s: float) -> None:
    """Three kills and three restarts, evenly over the run; none in its last sixth."""
    for number in range(6):
        await anyio.sleep(length_s / 7)
        await (load.kill_the_child() if number % 2 == 0 else load.restart())


def _samples(pids: Mapping[str, int]) -> dict[str, Sample]:
    return {name: sample(pid, at_s=anyio.current_time()) for name, pid in pids.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Soak Fuseboard under mixed load.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--state", type=Path, help="where ledgers and logs go; a temporary folder without it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fuseboard-soak-") as temporary:
        folder: Path = options.state or Path(temporary)
        report, breaches = anyio.run(soak, options.minutes, folder, options.seed)
    print(json.dumps(report, indent=2))
    for line in breaches:
        print(f"PASSED A BOUND: {line}", file=sys.stderr)
    print("FAIL" if breaches else "PASS", file=sys.stderr)
    return 1 if breaches else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
