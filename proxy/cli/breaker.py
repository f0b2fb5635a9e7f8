"""`fuseboard breaker`: which tools and servers are cut off, and a person's hand on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli.errors import usage
from fuseboard.cli.inbox import State, at_desk
from fuseboard.cli.pause import Why
from fuseboard.cli.wording import clean, span

if TYPE_CHECKING:
    from rich.text import Text

    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.breakers.machine import Breaker
    from fuseboard.breakers.standing import Target
    from fuseboard.inbox import Inbox

breaker = typer.Typer(
    help="Which tools and servers are cut off; cut one off, or put it back.", no_args_is_help=True, add_completion=False
)

Name = Annotated[str, typer.Argument(metavar="TOOL|SERVER", help="<server>__<tool>, or a server's own name.")]
Run = Annotated[str | None, typer.Option("--run", metavar="RUN", help="For this run alone; a tool only.")]

_LONG_S = 600.0
"""How long it is cut off where nobody says otherwise."""


@breaker.command("ls")
def ls(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False, state: State = None
) -> None:
    """Show every breaker that is not simply closed, with what tripped it."""
    import os
    import time

    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.breakers.standing import ACTS
    from fuseboard.places import ledger_path, state_dir

    at = time.time()
    with LedgerReader(ledger_path(state_dir(state, os.environ))) as ledger:
        found = list(standing(ledger, at))
        acts = ledger.state((ACTS,), at=at).get(ACTS, [])
    if as_json:
        import json

        typer.echo(json.dumps({"at": at, "breakers": found, "acts": acts}, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not found:
        console.print("All breakers are closed.")
    for one in found:
        for line in lines(one, at):
            console.print(line, soft_wrap=True)


@breaker.command("open")
def open_(
    name: Name,
    for_: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long: 90s, 10m, 2h.")] = "10m",
    run: Run = None,
    why: Why = "",
    state: State = None,
) -> None:
    """Take a tool or a server off the board for a while: calls of it are refused. What is under way ends.

    Exit codes: 0 done; 4 it could not be written.
    """
    done = _turn(name, run, why, state, for_, opens=True)
    typer.echo(f"{clean(name)} is open for {span(done.until - done.since)}")
    _doubt(name, state)


@breaker.command("reset")
def reset(
    name: Name,
    for_: Annotated[str | None, typer.Option("--for", metavar="SPAN", help="And keep it closed so long.")] = None,
    run: Run = None,
    why: Why = "",
    state: State = None,
) -> None:
    """Put a tool or a server back on the board: what failed before counts no more.

    Exit codes: 0 done; 4 it could not be written.
    """
    done = _turn(name, run, why, state, for_, opens=False)
    held = f", whatever fails, for {span(done.until - done.since)}" if done.until > done.since else ""
    typer.echo(f"{clean(name)} is closed{held}")


def _turn(name: str, run: str | None, why: str, state: Path | None, for_: str | None, *, opens: bool) -> Breaker:
    from fuseboard.adapters.approvals.operator import operator
    from fuseboard.breakers.standing import target
    from fuseboard.config.units import parse_duration

    try:
        which: Target = target(name, run)
        for_s = parse_duration(for_) if for_ is not None else 0.0
    except ValueError as fault:
        raise usage(str(fault)) from None
    if opens and not for_s:
        raise usage("--for: more than nothing, please")

    async def act(desk: Inbox) -> Breaker:
        return await desk.breaker(which, open=opens, by=operator(), why=why, for_s=for_s)

    return at_desk(state, act)


def _doubt(name: str, state: Path | None) -> None:
    """Say so where no proxy that runs here has such a server: a slip of the pen would cut nothing off."""
    import os

    from fuseboard.adapters.presence import running
    from fuseboard.places import state_dir

    server = name.partition("__")[0]
    served = {alias for proxy in running(state_dir(state, os.environ)) for alias in proxy.get("upstreams", ())}
    if served and server not in served:
        there = ", ".join(clean(alias) for alias in sorted(served))
        typer.echo(f"note: no proxy that runs here has a server {clean(server)!r}; there are {there}", err=True)


def standing(ledger: LedgerReader, at: float) -> Iterator[dict[str, Any]]:
    """The breakers of a ledger that are not simply closed, as documents show them."""
    from fuseboard.breakers.standing import CELLS, shown

    for one in shown(ledger.state_under(CELLS, at=at), at=at):
        yield one.to_json(at)


_COLOURS = {"open": "red", "half_open": "yellow", "closed": "green"}


def lines(one: dict[str, Any], at: float) -> Iterator[Text]:
    """What a terminal shows of one."""
    from rich.text import Text

    line = Text("  ").append(f"{one['state'].replace('_', ' '):<9}", style=_COLOURS[one["state"]])
    line.append(f" {clean(one['name'])}", style="bold")
    line.append(f"  for run {clean(one['run'])}" if one["run"] else "  for all runs", style="dim")
    if one["until"] is not None:
        line.append(f"  {span(one['until'] - at)} left", style="dim")
    yield line.append("  a probe is under way" if one["probe"] else "", style="dim")
    if one["by"] or one["why"]:
        by = f"by {clean(one['by'])}" if one["by"] else ""
        yield Text("            " + ": ".join(part for part in (by, clean(one["why"] or "")) if part))
    for strike in one["strikes"][-3:]:
        ago = span(max(0.0, at - strike["at"]))
        yield Text(f"            {strike['truth']}, {ago} ago, {clean(strike['decision'])}", style="dim")
