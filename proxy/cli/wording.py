"""Texts of strangers, times and sizes as a terminal shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuseboard.checkpoint import Note

# Control, zero-width, bidirectional and tag characters: they move the cursor, hide words or turn lines round.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def clean(text: str) -> str:
    """``text`` on one line, every character that would act instead of being seen escaped: ``\\u202e``."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def clock(at: float) -> str:
    """Unix seconds as the local time of day."""
    return _local(at).strftime("%H:%M:%S")


def day(at: float) -> str:
    """Unix seconds as the local date and time."""
    return _local(at).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A length of time in at most two units: ``40ms``, ``1.5s``, ``3m12s``, ``2h05m``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_m = divmod(minutes, 60)
    if hours:
        return f"{hours}h{rest_m:02}m"
    return f"{minutes}m{rest_s:02}s" if minutes else f"{rest_s}s"


def size(count: int) -> str:
    """Bytes in decimal units: ``512 B``, ``3.4 kB``, ``2.0 MB``."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} GB"


def told(note: Note) -> Iterator[str]:
    """An agent's checkpoint. Each line says whose word it is: no text of an agent's may pass for one of ours."""
    for line in note.lines():
        yield f"the agent said at {clock(note.at)}: {clean(line)}"


def counted(count: int, noun: str) -> str:
    """``1 call``, ``2 calls``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def budgets(units: Mapping[str, Mapping[str, float | None]]) -> str:
    """Used of limit, each in its own measure: ``calls 12/200  time 3m12s/30m00s  output 1.2 MB/10.0 MB``."""
    return "  ".join(_budget(unit, amounts) for unit, amounts in units.items())


def _budget(unit: str, amounts: Mapping[str, float | None]) -> str:
    from fuseboard.spending import SHORT

    used, held, limit = amounts["used"] or 0.0, amounts["held"] or 0.0, amounts["limit"]
    of = f"/{_amount(unit, limit)}" if limit is not None else ""
    waiting = f" (+{_amount(unit, held)})" if held and unit == "calls" else ""
    return f"{SHORT[unit]} {_amount(unit, used)}{waiting}{of}"


def _amount(unit: str, value: float) -> str:
    if unit == "time_s":
        return span(value)
    if unit == "output_bytes":
        return size(round(value))
    return f"~{value:,.0f}" if unit == "tokens" else f"{value:,.2f}".removesuffix(".00")


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=UTC).astimezone()
