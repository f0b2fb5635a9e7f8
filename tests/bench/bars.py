"""The bars: which ratio must not pass which limit, and who says so (issue 3, "How fast")."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "fuseboard-on"


@dataclass(frozen=True, slots=True)
class Bar:
    """``metric`` of ``ours`` over that of ``base`` (or as it is, without a base), on ``board`` with ``callers``.

    A ``limit`` of ``None`` is a comparison that is shown and not judged.
    """

    text: str
    board: str
    metric: str
    ours: str
    base: str | None
    limit: float | None
    callers: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    bar: Bar
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """``MISS`` only when the best round misses too; a median alone that misses is ``CLOSE``. Counts are exact."""
        if self.bar.limit is None:
            return "-"
        if not self.values:
            return "NOT RUN"
        if self.bar.base is None and self.bar.metric == "messages_per_call":
            return "PASS" if set(self.values) == {self.bar.limit} else "MISS"
        if self.median <= self.bar.limit:
            return "PASS"
        return "CLOSE" if min(self.values) <= self.bar.limit else "MISS"


def paths(board: str, limits: Mapping[tuple[str, int], float]) -> list[Bar]:
    """The bars of one path in one era. ``limits`` by what is compared with, and the number of callers."""
    bars = []
    for callers in (1, 16):
        for base in ("sdk-min", "fastmcp", "asgi-govern", "relay-govern", "nginx"):
            limit = limits.get((base, callers))
            bars.append(Bar(f"CPU a call, over {base}", board, "cpu_us", OURS, base, limit, callers))
        bars.append(Bar("everything on over off, CPU", board, "cpu_us", OURS, "fuseboard-off", 1.25, callers))
        for variant in ("fuseboard-on-when", "fuseboard-on-effects"):
            bars.append(Bar(f"{variant[10:]} over off, CPU", board, "cpu_us", variant, "fuseboard-off", None, callers))
    bars.append(Bar("p50 added, over sdk-min", board, "added_p50_us", OURS, "sdk-min", None, 1))
    bars.append(Bar("upstream messages a warm call", board, "messages_per_call", OURS, None, 1.0))
    return bars


def growth(board: str) -> list[Bar]:
    many, spread, plain = f"{OURS} 1x1000", f"{OURS} 10x10", f"{OURS} 1x10"
    bars = [Bar("call at 1,000 tools over 10, CPU", board, "cpu_us", many, plain, 1.15, c) for c in (1, 16)]
    bars += [Bar("call at 10 upstreams over 1, CPU", board, "cpu_us", spread, plain, 1.15, c) for c in (1, 16)]
    bars.append(Bar("upstream messages, 10 upstreams", board, "messages_per_call", spread, None, 1.0))
    return bars


def sessions(board: str) -> list[Bar]:
    crowded, alone = f"{OURS} 1000", f"{OURS} none"
    bars = [
        Bar("call at 1,000 open sessions over none, CPU", board, "cpu_us", crowded, alone, 1.15, c) for c in (1, 16)
    ]
    return [*bars, Bar("memory of a session, KB", board, "kb_per_session", crowded, None, 50.0)]


def after(calls: int) -> str:
    return f"after {calls:,} calls"


LISTING = "tools/list of 1,000"
LARGE = "5 MB result"
LONG = "memory over 20,000 calls"
HISTORY = "long runs, in process"
STORE = "the store, in process"
FAR = [
    Bar("filtered, CPU, over sdk-min", LISTING, "cpu_us", "fuseboard-on-filtered", "sdk-min", 0.15, 1),
    Bar("as it is, CPU, over sdk-min", LISTING, "cpu_us", OURS, "sdk-min", None, 1),
    Bar("HTTP, CPU, over relay-govern", LARGE, "cpu_us", f"{OURS} http", "relay-govern http", 1.5, 1),
    Bar("HTTP, CPU, over sdk-min", LARGE, "cpu_us", f"{OURS} http", "sdk-min http", None, 1),
    Bar("stdio, CPU, over its own over HTTP", LARGE, "cpu_us", f"{OURS} stdio", f"{OURS} http", 3.0, 1),
    Bar("from call 5,000 to 20,000, MB", LONG, "grown_mb", OURS, None, 2.0),
]
HISTORIES = [
    Bar(f"{what}, 100,000 over 1,000", HISTORY, metric, after(100_000), after(1_000), 1.15, 1)
    for what, metric in (("CPU a call", "cpu_us"), ("judging alone", "judged_us"))
]
COLD = Bar("to the first tools/list, over sdk-min", "cold start", "ready_ms", "fuseboard-wrap", "sdk-min", 1.2)
IDLE = Bar("idle memory, MB", "idle memory", "rss_mb", OURS, None, 80.0)


def judge(bars: Iterable[Bar], rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Findings in the order of ``bars``; left out: those whose board was not run, and unjudged ones without values."""
    boards = {row["board"] for row in rows}
    found = [Finding(bar, values(bar, rows)) for bar in bars if bar.board in boards]
    return [finding for finding in found if finding.values or finding.bar.limit is not None]


def values(bar: Bar, rows: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """One value for each round in which all that it needs was measured."""
    table = {
        (row["target"], row["round"], row.get("callers")): value(bar.metric, row, rows)
        for row in rows
        if row["board"] == bar.board and not row.get("errors") and bar.callers in (None, row.get("callers"))
    }
    out = []
    for (target, round_, callers), ours in table.items():
        base = table.get((bar.base, round_, callers)) if bar.base else 1.0
        if target == bar.ours and ours is not None and base:
            out.append(ours / base)
    return tuple(out)


def value(metric: str, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """A metric of a row; ``added_p50_us`` is its p50 less that of ``direct`` in the same round."""
    if metric != "added_p50_us":
        number: float | None = row.get(metric)
        return number
    same = ("board", "round", "callers")
    plain = [r for r in rows if r["target"] == "direct" and all(r.get(k) == row.get(k) for k in same)]
    return row["p50_us"] - plain[0]["p50_us"] if plain and "p50_us" in row else None
