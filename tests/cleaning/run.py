"""The bars of cleaning, in full. The suite runs a short version of each (``test_run.py``).

run.py [--quick] [--messages 100000] [--megabytes 10]

* hidden characters: every one that has to go, at every place of generated attacks in 26 scripts; none is left
* honest text: scripts, code, all emoji of the Unicode data and sequences of them; nothing is changed
* our own secrets: random encodings and splits; none leaks
* linear time: each stage, doubling its worst input; at most 2.3 times as long
* clean results of a kilobyte; at most a fifth of what relaying one costs, measured in the same process by turns
* idempotent: what was cleaned is not changed again

Prints a line for each, and exits with 1 where one is missed. Times are CPU times of this process.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.cleaning_bars import BARS, Effort


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the short version that the suite runs")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--megabytes", type=float, default=10.0)
    asked = parser.parse_args()
    effort = Effort.short() if asked.quick else Effort(asked.messages, asked.megabytes, 200_000, 1_000, time.time_ns())
    missed = 0
    for name, bar in BARS.items():
        said = bar(effort)
        missed += not said.met
        print(f"{'met   ' if said.met else 'MISSED'} {name:20} {said.figure}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
