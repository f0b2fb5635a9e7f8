"""What ``fuseboard status`` shows of locks, and of the calls that wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fuseboard.cli.wording import clean, span

if TYPE_CHECKING:
    from rich.text import Text

    from fuseboard.adapters.stores.reader import LedgerReader


def standing(ledger: LedgerReader, at: float) -> Iterator[dict[str, Any]]:
    """Each lease that is good, by the name of its lock."""
    from fuseboard import locks

    for key, lock in ledger.state_under((locks.PREFIX,), at=at).items():
        for one in locks.holders(lock, at=at):
            yield {
                "lock": locks.name_of(key),
                "mode": "exclusive" if one.alone else "shared",
                "hold": "run" if one.by_run else "call",
                "run": one.run,
                "call": one.call,
                "tool": one.tool,
                "fence": one.fence,
                "since": one.since,
                "until": one.until,
            }


def waiting(ledger: LedgerReader, at: float) -> Iterator[dict[str, Any]]:
    """Each call that waits for a lock, the longest first."""
    from fuseboard import locks, waits

    for one in waits.waiting(ledger.state((locks.WAITS,), at=at).get(locks.WAITS), at=at):
        names = [locks.name_of(key) for key in one.on]
        said = {"call": one.call, "run": one.run, "tool": one.tool, "locks": names}
        yield {**said, "since": one.since, "until": one.until}


def lines(found: dict[str, Any]) -> Iterator[Text]:
    from rich.text import Text

    if found["locks"]:
        yield Text("locked", style="bold")
    for one in found["locks"]:
        line = Text("  ").append(f"{one['mode']:<10}").append(clean(one["lock"]), style="bold")
        line.append(f"  by {clean(one['tool'])} of run {clean(one['run'])}")
        kept = ", kept by the run" if one["hold"] == "run" else ""
        since, left = found["at"] - one["since"], one["until"] - found["at"]
        yield line.append(f"  for {span(max(0.0, since))}, lease good for {span(max(0.0, left))}{kept}", style="dim")
    if found["waits"]:
        yield Text("waiting for a lock", style="bold")
    for one in found["waits"]:
        line = Text("  ").append(clean(one["tool"]), style="bold").append(f"  of run {clean(one['run'])}")
        yield line.append(f"  for {', '.join(clean(name) for name in one['locks'])}", style="dim")
