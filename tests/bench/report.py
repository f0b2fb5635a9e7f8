"""What is printed: a table for each board, then the ratios beside their bars."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bars import Finding, value

COLUMNS = {
    "cpu_us": "CPU us",
    "judged_us": "judging us",
    "added_p50_us": "added p50 us",
    "calls_per_s": "calls/s",
    "messages_per_call": "msgs/call",
    "ready_ms": "ready ms",
    "rss_mb": "RSS MB",
    "kb_per_session": "KB/session",
    "grown_mb": "grown MB",
}


def tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Medians over the rounds. Absolute numbers are this machine's, this minute's: compare within a table."""
    for board in dict.fromkeys(row["board"] for row in rows):
        here = [row for row in rows if row["board"] == board]
        yield f"\n{board}"
        groups = dict.fromkeys((row.get("callers"), row["target"]) for row in here)
        columns = [name for name in COLUMNS if any(cell(name, here, rows, *group) is not None for group in groups)]
        yield "  " + f"{'target':<26}{'callers':>8}" + "".join(f"{COLUMNS[name]:>14}" for name in columns) + "  errors"
        for callers, target in sorted(groups, key=lambda group: (group[0] or 0, group[1])):
            cells = "".join(f"{shown(name, cell(name, here, rows, callers, target)):>14}" for name in columns)
            yield f"  {target:<26}{callers or '':>8}{cells}  {errors(here, callers, target)}"


def cell(
    name: str, here: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], callers: int | None, target: str
) -> float | None:
    found = [value(name, row, rows) for row in here if row["target"] == target and row.get("callers") == callers]
    numbers = [number for number in found if number is not None]
    return statistics.median(numbers) if numbers else None


def shown(name: str, number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:.2f}" if name in ("messages_per_call", "grown_mb") else f"{number:,.0f}"


def errors(here: Sequence[Mapping[str, Any]], callers: int | None, target: str) -> str:
    mine = [row for row in here if row["target"] == target and row.get("callers") == callers and row.get("errors")]
    return f"{sum(row['errors'] for row in mine)}: {str(mine[0]['first_error'])[:90]}" if mine else ""


def findings(found: Sequence[Finding]) -> Iterator[str]:
    yield "\nratios within a round: median (min-max over rounds)"
    board = None
    for finding in found:
        if finding.bar.board != board:
            board = finding.bar.board
            yield f"\n  {board}"
        callers = f"c={finding.bar.callers}" if finding.bar.callers else ""
        limit = "" if finding.bar.limit is None else f"at most {finding.bar.limit:g}"
        yield f"  {finding.verdict:<8}{finding.bar.text:<40}{callers:<6}{spread(finding):<26}{limit}".rstrip()


def spread(finding: Finding) -> str:
    if not finding.values:
        return "no value"
    return f"{finding.median:.2f} ({min(finding.values):.2f}-{max(finding.values):.2f})"


def document(rows: Sequence[Mapping[str, Any]], found: Sequence[Finding]) -> dict[str, Any]:
    """Everything, for ``--json``."""
    judged = [
        {
            "board": finding.bar.board,
            "text": finding.bar.text,
            "metric": finding.bar.metric,
            "ours": finding.bar.ours,
            "base": finding.bar.base,
            "callers": finding.bar.callers,
            "limit": finding.bar.limit,
            "median": finding.median if finding.values else None,
            "values": list(finding.values),
            "verdict": finding.verdict,
        }
        for finding in found
    ]
    return {"bars": judged, "rows": list(rows)}
