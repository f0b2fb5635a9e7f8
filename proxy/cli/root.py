"""The verbs, and what becomes of an error that no verb handled."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fuseboard import __version__
from fuseboard.cli.breaker import breaker
from fuseboard.cli.check import check
from fuseboard.cli.demo import demo
from fuseboard.cli.errors import INTERRUPTED, USAGE
from fuseboard.cli.explain import explain
from fuseboard.cli.inbox import approve, inbox, reject
from fuseboard.cli.pause import pause, resume, stop
from fuseboard.cli.pins import pins
from fuseboard.cli.quarantine import quarantine
from fuseboard.cli.revoke import revoke
from fuseboard.cli.run import run
from fuseboard.cli.schema import schema
from fuseboard.cli.serve import serve, wrap
from fuseboard.cli.status import status
from fuseboard.cli.trace import trace
from fuseboard.errors import ConfigError

_verbs = typer.Typer(
    name="fuseboard",
    help="An agentic control plane for tools: the model proposes, the platform decides.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_verbs.command()(demo)
_verbs.command()(wrap)
_verbs.command()(serve)
_verbs.command()(check)
_verbs.command()(explain)
_verbs.command()(schema)
_verbs.command()(status)
_verbs.command()(inbox)
_verbs.command()(approve)
_verbs.command()(reject)
_verbs.command()(pause)
_verbs.command()(resume)
_verbs.command()(stop)
_verbs.add_typer(breaker, name="breaker")
_verbs.add_typer(revoke, name="revoke")
_verbs.add_typer(pins, name="pins")
_verbs.add_typer(quarantine, name="quarantine")
_verbs.add_typer(run, name="run")
_verbs.add_typer(trace, name="trace")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"fuseboard {__version__}")
        raise typer.Exit


@_verbs.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def app() -> None:
    try:
        _verbs()
    except ConfigError as error:
        sys.stderr.write(f"fuseboard: {error}\n")
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
