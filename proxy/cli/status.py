"""``fuseboard status``: which proxies run, and whether their upstreams answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli.errors import OK, UNREACHABLE
from fuseboard.cli.wording import clean, day

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    state: Annotated[Path | None, typer.Option("--state", help="Where ledger, pins and tokens live.")] = None,
) -> None:
    """Show the proxies that run on this machine and the health of their upstreams.

    Exit codes: 0 every upstream answers, or nothing runs; 3 one of them does not.
    """
    import os

    from fuseboard.adapters.presence import running
    from fuseboard.places import state_dir

    proxies = running(state_dir(state, os.environ))
    if as_json:
        import json

        typer.echo(json.dumps({"proxies": proxies}, indent=2))
    else:
        from rich.console import Console

        _print(Console(highlight=False), proxies)
    down = any(one["state"] == "down" for proxy in proxies for one in proxy["upstreams"].values())
    raise typer.Exit(UNREACHABLE if down else OK)


_COLOURS = {"up": "green", "down": "red", "unknown": "yellow"}


def _print(console: Console, proxies: list[dict[str, Any]]) -> None:
    if not proxies:
        console.print("No proxy runs with this state folder.")
    for proxy in proxies:
        for line in _lines(proxy):
            console.print(line, soft_wrap=True)


def _lines(proxy: dict[str, Any]) -> Iterator[Text]:
    """A proxy and its upstreams. What an upstream says of itself is shown, never acted upon."""
    from rich.text import Text

    head = Text().append(clean(str(proxy["serves"])), style="bold")
    yield head.append(f"  pid {proxy['pid']}  since {day(proxy['since'])}")
    for alias, one in proxy["upstreams"].items():
        server = one["server"] or {}
        who = " ".join(clean(str(server[key])) for key in ("name", "version") if key in server)
        line = Text("  ").append(f"{one['state']:<8}", style=_COLOURS[one["state"]])
        yield line.append(f" {clean(alias):<20} {who}")
        if one["error"]:
            yield Text(f"           {clean(one['error'])}", style="dim")
