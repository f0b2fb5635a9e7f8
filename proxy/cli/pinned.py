"""What a terminal shows of pins. All of it but our own words is a stranger's, so nothing in it may act."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fuseboard.cli.wording import clean, counted

if TYPE_CHECKING:
    from rich.text import Text

    from fuseboard.pins.compare import Row
    from fuseboard.pins.lock import Lock

_COLOURS = {"changed": "red", "new": "yellow", "gone": "yellow"}
_DIGITS = 12


def accepted_lines(lock: Lock) -> Iterator[Text]:
    """Each server with what was accepted of it."""
    from rich.text import Text

    from fuseboard.pins.identity import alias_of
    from fuseboard.pins.lock import FIELDS, WORDS

    for key, server in sorted(lock.servers.items()):
        who = " ".join(part for part in (server.identity.name, server.identity.version) if part)
        line = Text(clean(alias_of(key)), style="bold").append(f"  {clean(server.identity.target)}", style="dim")
        yield line.append(f"  {clean(who)}" if who else "", style="dim")
        for field in FIELDS:
            for name, entries in sorted(server.of(field).items()):
                digests = " ".join(entry.sha256[:_DIGITS] for entry in entries)
                yield Text(f"  {WORDS[field]:<17} ").append(clean(name)).append(f"  {digests}", style="dim")


def side_lines(alias: str, error: str | None, rows: Sequence[Row]) -> Iterator[Text]:
    """What changed of one server."""
    from rich.text import Text

    from fuseboard.pins.compare import State
    from fuseboard.pins.lock import WORDS

    head = Text(clean(alias), style="bold")
    if error is not None:
        yield head.append(f"  cannot be reached: {clean(error)}", style="red")
        return
    apart = [row for row in rows if row.state is not State.ACCEPTED]
    same = counted(len(rows) - len(apart), "definition") + " as accepted"
    yield head.append(f"  {same}", style="dim")
    for row in apart:
        line = Text("  ").append(f"{row.state!s:<8}", style=_COLOURS[row.state])
        yield line.append(f" {WORDS[row.field]} ").append(clean(row.name), style="bold")
        for change in row.changes:
            yield from _change(clean(change.where), change.was, change.now)


def _change(where: str, was: str | None, now: str | None) -> Iterator[Text]:
    from rich.text import Text

    if was is None:
        yield Text(f"    {where} added: {clean(now or '')}")
    elif now is None:
        yield Text(f"    {where} removed: {clean(was)}")
    else:
        yield Text(f"    {where} changed")
        yield Text(f"      from {clean(was)}", style="red")
        yield Text(f"      to   {clean(now)}", style="green")
