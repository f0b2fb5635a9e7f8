"""What cleaning costs, and whether anything leaks.

cleaning.py [--messages 100000] [--megabytes 10]

Prints the time of clean kilobytes, the growth of time with size, and how many of so many random encodings and splits of
our own secrets came through. Exits with 1 where one did, or where doubling the input took more than 2.3 times as long.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuseboard.cleaning.result import Cleaner
from support.leaks import OPEN, SECRETS, leaks

TEXT = "The quick “brown” fox jumps over 13 lazy dogs, see https://example.com/a?b=c.\n"
KILOBYTES: dict[str, Any] = {
    "one text": {"content": [{"type": "text", "text": TEXT * 11}]},
    "two texts": {"content": [{"type": "text", "text": TEXT * 5}, {"type": "text", "text": TEXT * 5}]},
    "structured": {"content": [], "structuredContent": {"rows": [{"id": at, "note": "short"} for at in range(36)]}},
    "emoji": {"content": [{"type": "text", "text": "hello ❤️ world " * 50}]},
}
UNITS = {"clean": TEXT, "hidden": "a\u202eb\x1b[31m c ", "secrets": f"{SECRETS[0]} ", "half secrets": SECRETS[0][:11]}


def best_s(work: Callable[[], object], rounds: int = 5) -> float:
    gc.collect()
    spans = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        spans.append(time.process_time() - started)
    return min(spans)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=10)
    asked = parser.parse_args()
    cleaner = Cleaner(OPEN, SECRETS)
    for name, value in KILOBYTES.items():
        raw = json.dumps(value, ensure_ascii=False).encode()
        span = best_s(lambda raw=raw: [cleaner.clean("tools/call", raw) for _ in range(500)]) / 500  # type: ignore[misc]
        print(f"{name:14} {len(raw):5} bytes {span * 1e6:8.1f} us")
    worst = 0.0
    for name, unit in UNITS.items():
        before = 0.0
        for share in (4, 2, 1):
            text = unit * (asked.megabytes * 1_000_000 // share // len(unit.encode()))
            raw = json.dumps({"content": [{"type": "text", "text": text}]}, ensure_ascii=False).encode()
            span = best_s(lambda raw=raw: cleaner.clean("tools/call", raw), 3)  # type: ignore[misc]
            growth = span / before if before else 0.0
            worst, before = max(worst, growth), span
            print(f"{name:14} {asked.megabytes / share:5.1f} MB {span * 1e3:10.1f} ms  x {growth:.2f}")
    leaked = leaks(asked.messages, seed=int(time.time()))
    print(f"{len(leaked)} of {asked.messages:,} random encodings and splits leaked")
    for one in leaked[:5]:
        print(one)
    return int(bool(leaked) or worst > 2.3)


if __name__ == "__main__":
    sys.exit(main())
