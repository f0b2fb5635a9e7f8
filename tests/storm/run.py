"""The storm simulator: 50 agents that repeat what failed, against upstreams that fail, throttle, and lose answers.

    python tests/storm/run.py [--seeds 3] [--storm "fails 100 %"] [--alone | --unprotected]

Two and a half minutes pass in each storm, in a second or two: half a minute of fine weather, a bad minute, a minute
after it. Prints what the upstream saw and exits with 1 where a bar is missed. ``--alone`` leaves
all fuses out but `retries:`, ``--unprotected`` that one, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from storm.weather import STORMS, Told, row, weather

_BARS = (
    "bars: the upstream sees at most 1.1 x the first attempts, and 1/s besides; at most 3 x the normal rate in any "
    "second after the bad time; no effect twice"
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chosen = [
        storm._replace(unprotected=options.unprotected, alone=options.alone)
        for storm in STORMS
        if options.storm in (None, storm.name)
    ]
    told = [weather(storm, seed=seed) for storm in chosen for seed in range(1, options.seeds + 1)]
    for line in table(told):
        sys.stdout.write(f"{line}\n")
    missed = [f"{one.storm.name}: {bar}" for one in told for bar in one.missed()]
    for line in (_BARS, *missed):
        sys.stdout.write(f"{line}\n")
    return 1 if missed else 0


def table(told: Iterable[Told]) -> list[str]:
    rows = [{key: str(value) for key, value in row(one).items()} for one in told]
    widths = {key: max(len(key), *(len(each[key]) for each in rows)) for key in rows[0]}
    lines = [{key: key for key in widths}, *rows]
    return ["  ".join(line[key].ljust(width) for key, width in widths.items()).rstrip() for line in lines]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="storms of each kind")
    parser.add_argument("--storm", choices=[storm.name for storm in STORMS], help="only this one")
    parser.add_argument("--alone", action="store_true", help="with `retries:` and no other fuse")
    parser.add_argument("--unprotected", action="store_true", help="with no fuse at all")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
