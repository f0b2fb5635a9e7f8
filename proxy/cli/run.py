"""``fuseboard run``: sign a token that names a run, with limits of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli.errors import usage

if TYPE_CHECKING:
    from fuseboard.ports import SignedRun
    from fuseboard.stated import Stated

run = typer.Typer(help="Name agent runs.", no_args_is_help=True, rich_markup_mode=None)


@run.callback()
def _run() -> None:
    """A group of one verb stays a group."""


@run.command()
def new(
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            metavar="UNIT=AMOUNT",
            help="A limit of this run, in place of the configured: calls=500 time=1h output=20MB tokens=1M money=5 "
            "depth=3 parallel=4 rate=30/min pause_at=80%.",
        ),
    ] = None,
    principal: Annotated[str | None, typer.Option(help="Who may use the token; left out, whoever may connect.")] = None,
    ttl: Annotated[str, typer.Option(metavar="DURATION", help="How long it holds.")] = "24h",
    task: Annotated[
        str | None,
        typer.Option(metavar="TEXT|@FILE", help="What the run is for: a value that stands there may go anywhere."),
    ] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Where ledger, pins and tokens live.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Sign a token for a new run: a path for clients over HTTP, a variable for a proxy on stdio.

    Whoever holds the token is in the run. The limits that it does not state are those of the configuration.
    """
    import json
    import os
    import time

    from fuseboard.adapters.keys import run_key
    from fuseboard.cli import declared
    from fuseboard.ids import Chance, Ids
    from fuseboard.places import state_dir
    from fuseboard.ports import SignedRun
    from fuseboard.tokens import Tokens

    at, text = time.time(), declared.text_of(task) if task is not None else None
    named = Ids(Chance(os.urandom)).run(at)
    signed = SignedRun(named, at, at + _duration(ttl), principal, _limits(budget or []))
    place = state_dir(state, os.environ)
    token = Tokens(run_key(place)).make(signed)
    if text is not None:
        declared.keep(place, named, text, signed.expires_at - at)
    if as_json:
        typer.echo(json.dumps(_document(signed, token, state), indent=2))
    else:
        typer.echo(_told(signed, token, state))


def _limits(words: list[str]) -> Stated:
    """The units and amounts are those of ``run:`` in the configuration."""
    from pydantic import ValidationError

    from fuseboard.budgets import limits_of
    from fuseboard.config.guards import RunLimits
    from fuseboard.stated import Stated

    written: dict[str, Any] = {}
    for word in words:
        unit, separator, amount = word.partition("=")
        if not separator or unit not in _UNITS:
            raise usage(f"--budget {word}: write it like calls=500; the units are {', '.join(_UNITS)}")
        if unit in written:
            raise usage(f"--budget {unit} stands twice")
        written[unit] = amount
    try:
        limits = RunLimits.model_validate({**_NO_LIMITS, **written}, context={"folder": Path()})
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        raise usage(f"--budget {first['loc'][0]}: {first['msg']}") from None
    own = limits_of(limits)
    return Stated(own.ceilings, limits.depth, own.parallel, own.pace, own.rate, limits.pause_at)


_UNITS = ("calls", "time", "output", "tokens", "money", "depth", "parallel", "rate", "pause_at")
_NO_LIMITS = dict.fromkeys(_UNITS)


def _duration(text: str) -> float:
    from pydantic_core import PydanticCustomError

    from fuseboard.config.units import parse_duration

    try:
        ttl_s = parse_duration(text)
    except PydanticCustomError as fault:
        raise usage(f"--ttl {text}: {fault.message()}") from None
    if ttl_s <= 0:
        raise usage(f"--ttl {text}: a token that holds for no time is of no use")
    return ttl_s


def _document(signed: SignedRun, token: str, state: Path | None) -> dict[str, Any]:
    place = ["--state", str(state)] if state else []
    return {
        "run": signed.run,
        "principal": signed.principal,
        "limits": signed.limits.to_json(),
        "expires": signed.expires_at,
        "token": token,
        "path": f"/run/{token}/mcp",
        "env": {"FUSEBOARD_RUN": token},
        "mcpServers": {
            "http": {"type": "http", "url": f"http://127.0.0.1:8080/run/{token}/mcp"},
            "stdio": {"command": "fuseboard", "args": ["serve", *place], "env": {"FUSEBOARD_RUN": token}},
        },
    }


def _told(signed: SignedRun, token: str, state: Path | None) -> str:
    import json
    import time

    said = _document(signed, token, state)
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(signed.expires_at))
    limits = ", ".join(_in_words(signed.limits))
    servers = said["mcpServers"]
    return "\n".join(
        [
            f"run      {signed.run}, until {until}" + (f", for {signed.principal}" if signed.principal else ""),
            f"limits   {limits or 'those of the configuration'}",
            f"token    {token}",
            f"path     {said['path']}",
            f"env      FUSEBOARD_RUN={token}",
            "",
            "For a client over HTTP (with the address that your proxy serves), or one that starts the proxy itself:",
            *(json.dumps({"mcpServers": {"fuseboard": servers[kind]}}, indent=2) for kind in ("http", "stdio")),
        ]
    )


def _in_words(limits: Stated) -> Iterator[str]:
    from fuseboard.budgets import WORDS, number

    for unit, amount in limits.ceilings.items():
        yield f"{number(amount)} {WORDS[unit]}"
    if limits.parallel is not None:
        yield f"{limits.parallel} calls at once"
    if limits.rate:
        yield f"{limits.rate} calls"
    if limits.depth is not None:
        yield f"{limits.depth} calls on one another"
    if limits.pause_at is not None:
        yield f"paused at {limits.pause_at:.0%}"
