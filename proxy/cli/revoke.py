"""``fuseboard revoke``: a person takes back what a tool or a server returned, and gets the list of what to clean up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperGroup

from fuseboard.cli.errors import usage
from fuseboard.cli.inbox import State, at_store
from fuseboard.cli.wording import clean

if TYPE_CHECKING:
    from fuseboard.revoking import Found, Revoker

_ACT: Final = "origin"


class _Group(TyperGroup):
    """What is no verb of the group is what shall be revoked."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = [_ACT, *args]
        return super().parse_args(ctx, args)


revoke = typer.Typer(
    cls=_Group,
    help="Take back what was delivered: RESULT|SERVER|TOOL [--since T] [--until T] [--say WHY]; ls; lift ID.",
    no_args_is_help=True,
    add_completion=False,
    subcommand_metavar="RESULT|SERVER|TOOL | COMMAND [ARGS]...",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Say = Annotated[str, typer.Option("--say", help="Why: shown to whoever looks at it, and told to the agents.")]

T = TypeVar("T")


@revoke.command(_ACT)
def origin(
    what: Annotated[
        str, typer.Argument(metavar="RESULT|SERVER|TOOL", help="d-… of a call, a server, or <server>__<tool>.")
    ],
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Of a server: from when on; 2h ago, or 2026-07-28T12:00.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Of a server: up to when; left out, until it is lifted.")
    ] = None,
    say: Say = "",
    as_json: Json = False,
    state: State = None,
) -> None:
    """Take back a result, or what a server or tool returned, and list what was done under its influence.

    Runs that took it in are paused at their next call with effects. The same again looks the ledger through anew.

    Exit codes: 0 done; 4 there is no such result on record, or nothing was ever called there.
    """
    import os
    import time

    from fuseboard.adapters.approvals.operator import operator
    from fuseboard.ids import derived

    at = time.time()
    if what.startswith("d-") and (since or until):
        raise usage("--since and --until are for a server or a tool; a result was delivered when it was")
    from_, to = _moment("--since", since, at), _moment("--until", until, at)
    if to is not None and (from_ or 0.0) > to:
        raise usage("--until is before --since")

    async def act(revoker: Revoker) -> Found:
        id = derived(os.urandom(16), "v-")
        return await revoker.revoke(id, what, by=operator(), why=say, since=from_ or 0.0, until=to)

    found = _with_revoker(state, act)
    document = _document(found, state)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        from fuseboard.cli.revoked import lines

        _show(lines(document))


@revoke.command("ls")
def ls(as_json: Json = False, state: State = None) -> None:
    """Show what was revoked, the newest first, and what became of the runs that took it in."""
    import os

    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.cli.revoked import acts, listed
    from fuseboard.places import ledger_path, state_dir

    with LedgerReader(ledger_path(state_dir(state, os.environ))) as ledger:
        found = acts(ledger)
    if as_json:
        import json

        typer.echo(json.dumps({"revocations": found}, indent=2))
    elif not found:
        typer.echo("Nothing was revoked.")
    else:
        _show(listed(found))


@revoke.command("lift")
def lift(
    id: Annotated[str, typer.Argument(metavar="ID", help="The revocation: v-…, as `fuseboard revoke ls` shows it.")],
    say: Say = "",
    state: State = None,
) -> None:
    """Say that it was no poison after all. Runs that are paused already wait for a person as before.

    Exit codes: 0 done; 4 there is nothing to lift, or not any more.
    """
    from fuseboard.adapters.approvals.operator import operator

    async def act(revoker: Revoker) -> str:
        return (await revoker.lift(id, by=operator(), why=say)).what

    typer.echo(f"{clean(id)} is lifted: {clean(_with_revoker(state, act))}")


def _with_revoker(state: Path | None, act: Callable[[Revoker], Awaitable[T]]) -> T:
    """The store is opened first: proxies that served from memory write down what they know before they let us in."""
    import os
    import time

    from fuseboard.adapters.stores.influence import Walkway
    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.places import ledger_path, state_dir
    from fuseboard.ports import Store
    from fuseboard.revoking import Revoker

    path = ledger_path(state_dir(state, os.environ))

    async def work(store: Store) -> T:
        with LedgerReader(path) as reader, Walkway(path) as ledger:

            def under(beginning: str) -> dict[str, Any]:
                return reader.state_under((beginning,), at=time.time())

            return await act(Revoker(store, ledger, time.time, under))

    return at_store(state, work)


def _document(found: Found, state: Path | None) -> dict[str, Any]:
    import os

    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.cli.revoked import document
    from fuseboard.places import ledger_path, state_dir

    with LedgerReader(ledger_path(state_dir(state, os.environ))) as ledger:
        return document(found, ledger)


def _moment(option: str, text: str | None, at: float) -> float | None:
    """A time of day with its date, or how long ago."""
    from datetime import datetime

    from fuseboard.config.units import parse_duration

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except ValueError:
        try:
            moment = at - parse_duration(text)
        except ValueError:
            raise usage(f"{option} {text}: write a span such as 2h, or a time such as 2026-07-28T12:00") from None
    if moment > at:
        raise usage(f"{option} {text}: that is still to come")
    return moment


def _show(lines: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)
