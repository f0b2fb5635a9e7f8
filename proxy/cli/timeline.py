"""One run as a timeline: a line a call, with its decision, when it ran and how long, and why.

Shape says what colour says, for those who see none: ``█`` came back well, ``▒`` came back wrong, ``✗`` was refused
and never sent, ``?`` has no recorded end.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.text import Text

from fuseboard.cli.circles import circle
from fuseboard.cli.wording import budgets, clean, clock, counted, day, size, span

if TYPE_CHECKING:
    from fuseboard.adapters.stores.reader import Call, Run
    from fuseboard.spending import Spending

_GOOD = ("ok", "empty", "drift", "input_required", "task")
_LOST = ("timeout", "outage", "lost", "unknown")
_BAR_COLUMNS = (12, 44)
_WHY_COLUMNS = 36
_EIGHTHS = "▏▎▍▌▋▊▉█"
_STEPS_S = (*(step * unit for unit in (0.001, 0.01, 0.1) for step in (1, 2, 5)), 1, 2, 5, 10, 15, 30, 60)
_STEPS_S += (120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_TICK_COLUMNS = 11
_STYLES = {"allow": "green", "deny": "bold red", "hold": "bold magenta", "rewrite": "bold yellow"}
_KINDS = {"prompts/get": "prompt ", "resources/read": "read "}


def timeline(
    run: Run,
    calls: Sequence[Call],
    *,
    width: int | None,
    spent: Spending | None = None,
    revoked: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Text]:
    """The lines of ``trace show``. ``width`` is the terminal's, ``None`` where nobody folds long lines.

    ``revoked`` says of which results a person took back what they said, by call, and by which acts.
    """
    yield from _header(run, calls)
    if spent is not None:
        yield from _budgets(spent)
    if not calls:
        return
    tools = [tool(call) for call in calls]
    decisions = [decision(call) for call in calls]
    numbers = [str(call.seq) for call in calls]
    tool_width, decision_width = max(4, *map(len, tools)), max(8, *map(len, decisions))
    by_id = {call.id: call.seq for call in calls}
    number_width = max(3, *map(len, numbers))
    taken = number_width + tool_width + decision_width + 7 + 2 * 5
    low, high = _BAR_COLUMNS
    bar_width = high if width is None else min(high, max(low, width - taken - _WHY_COLUMNS))
    scale = _Scale(run.began_at, max(run.last_at - run.began_at, 0.001), bar_width)
    head = (
        f"{'#':>{number_width}}  {'tool':<{tool_width}}  {'decision':<{decision_width}}  {scale.axis()}  {'ms':>7}  why"
    )
    yield Text(head, style="dim")
    for number, name, word, call in zip(numbers, tools, decisions, calls, strict=True):
        line = Text(f"{number:>{number_width}}  ")
        line.append(f"{name:<{tool_width}}  ")
        line.append(f"{word:<{decision_width}}  ", style=style(call))
        line.append(f"{scale.bar(call):<{bar_width}}  ", style=_bar_style(call))
        line.append(f"{_milliseconds(call):>7}  ", style="dim")
        taken_back = f"revoked {', '.join(map(clean, revoked[call.id]))}" if call.id in revoked else ""
        why = "; ".join(part for part in (taken_back, why_in_few_words(call), circle(call, by_id)) if part)
        yield from _fold(line, why, taken + bar_width, width)
    yield from _footer(run, calls)


def tail_line(call: Call) -> Text:
    """One call on one line, as ``trace tail`` follows them."""
    line = Text().append(f"{clock(call.at)}  ", style="dim")
    line.append(f"{clean(call.run)}#{call.seq}  ", style="cyan")
    line.append(f"{tool(call)}  ")
    line.append(decision(call), style=style(call))
    took = f"  {_milliseconds(call)} ms" if call.duration_ms is not None else ""
    return line.append(f"{took}  {why_in_few_words(call)}".rstrip(), style="dim")


def runs_table(runs: Sequence[Run]) -> Iterator[Text]:
    """The lines of ``trace ls``."""
    cells = [("run", "began", "took", "client", "principal", "calls", "denied", "failed")]
    for run in runs:
        took, client = span(run.last_at - run.began_at), clean(run.client or "-")
        counts = (str(run.calls), str(run.denied or "-"), str(run.failed or "-"))
        cells.append((clean(run.run), day(run.began_at), took, client, clean(run.principal), *counts))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, line in enumerate(cells):
        text = Text()
        for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
            alarm = "bold red" if column > 5 and cell != "-" else ""
            padded = f"{cell:>{width}}" if column > 4 else f"{cell:<{width}}"
            text.append(f"{padded}  ", style="dim" if row == 0 else alarm)
        text.rstrip()
        yield text


def tool(call: Call) -> str:
    """What was called, by the name that the client used."""
    return _KINDS.get(call.method, "") + clean(call.exposed)


def decision(call: Call) -> str:
    """The verdict as one word; capitals where it stopped the call."""
    stopped = call.verdict in ("deny", "hold")
    if stopped and not call.final and not any(check["on"] == "result" for check in _against(call)):
        return f"{call.verdict} (observed)"
    return call.verdict.upper() if stopped else call.verdict


def style(call: Call) -> str:
    return _STYLES.get(call.verdict, "")


def why_in_few_words(call: Call) -> str:
    """The rule where there is one, the first mismatch where there is one, and what went wrong where something did."""
    parts = [clean(name) for name in [call.rule or call.policy] if name]
    parts += _first_mismatch(call)
    parts += _cleaned(call)
    if call.parent:
        parts.append(f"depth {call.depth}, under {clean(call.parent)}")
    if call.continues:
        parts.append(f"goes on from {clean(call.continues)}")
    if call.truth == "unknown":
        parts.append("no recorded end: under way, or lost in a crash")
    elif call.truth == "task":
        parts.append("a task was begun; its result was not fetched yet")
    elif call.truth not in ("ok", "denied"):
        said = call.truth.replace("_", " ")
        parts.append(f"{said}: {clean(call.error)}" if call.error else said)
    return "; ".join(parts)


class _Scale:
    """Time on a line of ``width`` columns."""

    def __init__(self, began_at: float, span_s: float, width: int) -> None:
        self._began_at = began_at
        self._span_s = span_s
        self._width = width

    def axis(self) -> str:
        """``0s ········ 60s ········ 120s``, each label beginning at its time."""
        fitting = self._span_s * _TICK_COLUMNS / self._width
        step_s = next((step for step in _STEPS_S if step >= fitting), self._span_s)
        line, tick_s = "0s", step_s
        while tick_s <= self._span_s:
            at, label = round(tick_s / self._span_s * self._width), span(tick_s)
            if at + len(label) > self._width:
                break
            line = f"{line} {'·' * (at - len(line) - 2)} {label}"
            tick_s += step_s
        return f"{line} ".ljust(self._width, "·") if len(line) < self._width - 1 else line.ljust(self._width)

    def bar(self, call: Call) -> str:
        start = min(self._eighths(call.at - self._began_at), 8 * self._width - 1)
        lead = " " * (start // 8)
        if call.final:
            return f"{lead}✗"
        if call.duration_ms is None:
            return f"{lead}?"
        eighths = max(1, self._eighths(call.duration_ms / 1000))
        if call.truth not in _GOOD:
            return lead + "▒" * max(1, round(eighths / 8))
        full, rest = divmod(eighths, 8)
        return (lead + "█" * full + (_EIGHTHS[rest - 1] if rest else ""))[: self._width]

    def _eighths(self, seconds: float) -> int:
        return round(max(0.0, seconds) / self._span_s * self._width * 8)


def _header(run: Run, calls: Sequence[Call]) -> Iterator[Text]:
    who = Text("run ").append(clean(run.run), style="bold cyan").append(f"  {clean(run.client or 'unknown client')}")
    who.append(f"  {run.transport} {run.era}  principal {clean(run.principal)}")
    # Several confidences stand in one run where a pipe carried both eras: the weakest counts, and came last.
    sure = f", {clean(calls[-1].confidence)}" if calls and calls[-1].confidence else ""
    yield who.append(f"  (run known by: {clean(run.run_source)}{sure})", style="dim")
    counts = Text().append(f"{day(run.began_at)} +{span(run.last_at - run.began_at)}  ", style="dim")
    counts.append(counted(run.calls, "call"), style="bold")
    counts.append(f"  {run.denied} denied", style="bold red" if run.denied else "dim")
    if held := _held(calls):
        counts.append(f"  {held} held", style="bold magenta")
    counts.append(f"  {run.failed} failed", style="yellow" if run.failed else "dim")
    yield counts.append(f"  output {size(run.result_bytes)}  config {clean(run.config)[:8]}", style="dim")


def _budgets(spent: Spending) -> Iterator[Text]:
    """What is used of each budget; and that a person has a hand in it, where one has."""
    if units := spent.budgets():
        yield Text().append("budgets  ", style="dim").append(budgets(units))
    now = spent.state
    if now.state != "running":
        yield Text(f"{now.state} by {clean(now.by)}: {clean(now.why)}", style="bold magenta")


def _footer(run: Run, calls: Sequence[Call]) -> Iterator[Text]:
    refused = [call for call in calls if call.verdict in ("deny", "hold")]
    if refused:
        yield Text(f"fuseboard trace why {clean(run.run)}#{refused[-1].seq}  explains the last refusal", style="dim")


def _fold(line: Text, why: str, indent: int, width: int | None) -> Iterator[Text]:
    """The line and its reason, folded between words under itself where it is wider than the terminal."""
    room = None if width is None else max(_WHY_COLUMNS // 2, width - indent - 1)
    folded = textwrap.wrap(why, room, break_long_words=False, break_on_hyphens=False) if room else [why]
    line.append(folded[0] if folded else "")
    line.rstrip()
    yield line
    for rest in folded[1:]:
        yield Text(" " * indent + rest)


def _against(call: Call) -> list[dict[str, Any]]:
    return [check for check in call.checks if check["verdict"] in ("deny", "hold")]


def _held(calls: Sequence[Call]) -> int:
    """Those that waited for a person, whatever became of them, among the calls that are shown."""
    return sum(call.verdict == "hold" or any(check["policy"] == "approvals" for check in call.checks) for call in calls)


def _cleaned(call: Call) -> list[str]:
    """What was taken out of its result, by kind."""
    for check in call.checks:
        if check["rule"] == "output.cleaned" and (counts := check["facts"].get("counts")):
            return ["cleaned: " + ", ".join(clean(f"{kind} {number}") for kind, number in counts.items())]
    return []


def _first_mismatch(call: Call) -> list[str]:
    for check in _against(call):
        for mismatch in check["facts"].get("mismatches", ())[:1]:
            return [clean(f"{mismatch['path']} expected {mismatch['expected']}".lstrip())]
    return []


def _bar_style(call: Call) -> str:
    if call.final:
        return "bold red"
    if call.truth in _GOOD:
        return "green"
    return "red" if call.truth in _LOST else "yellow"


def _milliseconds(call: Call) -> str:
    if call.duration_ms is None:
        return "-"
    return f"{call.duration_ms:.1f}" if call.duration_ms < 10 else f"{call.duration_ms:.0f}"
