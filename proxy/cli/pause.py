"""`fuseboard pause`, `resume` and `stop`: a person holds a run, lets it go on, or ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli.errors import usage
from fuseboard.cli.inbox import State, at_desk
from fuseboard.cli.wording import clean

if TYPE_CHECKING:
    from fuseboard.inbox import Inbox

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run: r-…, as `fuseboard trace ls` shows it.")]
Why = Annotated[str, typer.Option("--why", help="Shown to whoever looks at it, and told to the agent.")]
More = Annotated[str | None, typer.Option(metavar="+AMOUNT", help="Added to the run's limit.")]


def pause(run: Run, why: Why = "", state: State = None) -> None:
    """Let nothing new of a run be sent until a person says so. What is under way ends.

    Exit codes: 0 done; 4 the run is not known, or waits already.
    """

    from fuseboard.adapters.approvals.operator import operator

    async def act(desk: Inbox) -> None:
        await desk.pause(run, by=operator(), why=why)

    at_desk(state, act)
    typer.echo(f"{clean(run)} is paused")


def resume(
    run: Run,
    calls: More = None,
    time: More = None,
    output: More = None,
    tokens: More = None,
    money: More = None,
    why: Why = "",
    state: State = None,
) -> None:
    """Let a paused run go on, with more of something where that is stated: --calls +200 --time 30m --money +1.

    Exit codes: 0 done; 4 the run is not known, was stopped, or is not paused.
    """
    from fuseboard.adapters.approvals.operator import operator
    from fuseboard.config.units import parse_count, parse_duration, parse_size

    stated: dict[str, tuple[str | None, Callable[[Any], float]]] = {
        "calls": (calls, parse_count),
        "time_s": (time, parse_duration),
        "output_bytes": (output, parse_size),
        "tokens": (tokens, parse_count),
        "money": (money, float),
    }
    more = {unit: _amount(unit, text, parse) for unit, (text, parse) in stated.items() if text is not None}

    async def act(desk: Inbox) -> None:
        await desk.resume(run, by=operator(), why=why, more=more)

    at_desk(state, act)
    typer.echo(f"{clean(run)} goes on")


def stop(run: Run, why: Why = "", state: State = None) -> None:
    """End a run for good: every call of it is refused from now on.

    Exit codes: 0 done; 4 the run is not known, or was stopped before.
    """

    from fuseboard.adapters.approvals.operator import operator

    async def act(desk: Inbox) -> None:
        await desk.stop(run, by=operator(), why=why)

    at_desk(state, act)
    typer.echo(f"{clean(run)} is stopped")


def _amount(unit: str, text: str, parse: Callable[[Any], float]) -> float:
    option = f"--{unit.partition('_')[0]}"
    try:
        amount = float(parse(text.removeprefix("+")))
    except ValueError as fault:
        raise usage(f"{option} {text}: {fault}") from None
    if not 0 < amount < float("inf"):
        raise usage(f"{option} {text}: more than nothing, please")
    return amount
