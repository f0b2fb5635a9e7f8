"""`fuseboard inbox`, `approve` and `reject`: a person looks at the calls that wait, and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fuseboard.cli.errors import OK, REFUSED, usage
from fuseboard.cli.wording import clean, clock, span, told

if TYPE_CHECKING:
    from rich.text import Text

    from fuseboard.approvals import Approval
    from fuseboard.checkpoint import Note
    from fuseboard.inbox import Inbox
    from fuseboard.ports import Store

State = Annotated[Path | None, typer.Option("--state", help="Where ledger, pins and tokens live.")]
Say = Annotated[str, typer.Option("--say", help="Told to the agent.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The approval: a-…, as `fuseboard inbox` shows it.")]

T = TypeVar("T")


def inbox(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False, state: State = None
) -> None:
    """Show the calls and runs that wait for a person."""

    async def look(desk: Inbox) -> tuple[tuple[Approval, ...], dict[str, Note]]:
        waiting = await desk.pending()
        runs = {one.binding.run for one in waiting if one.binding.resumes}
        return waiting, {run: note for run in runs if (note := await desk.checkpoint(run)) is not None}

    waiting, notes = at_desk(state, look)
    if as_json:
        import msgspec

        document = {"pending": waiting, **({"checkpoints": notes} if notes else {})}
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        from rich.console import Console

        console = Console(highlight=False)
        if not waiting:
            console.print("Nothing waits for you.")
        for approval in waiting:
            for line in _lines(approval, notes.get(approval.binding.run) if approval.binding.resumes else None):
                console.print(line, soft_wrap=True)
    raise typer.Exit(OK)


def approve(id: Id, say: Say = "", state: State = None) -> None:
    """Let one call go through, once; or let a paused run go on.

    Exit codes: 0 done; 4 there is nothing to answer, or not any more.
    """
    _answer(id, say, state, approve=True)


def reject(id: Id, say: Say = "", state: State = None) -> None:
    """Refuse one call, until its question expires; or keep a paused run where it is.

    Exit codes: 0 done; 4 there is nothing to answer, or not any more.
    """
    _answer(id, say, state, approve=False)


def _answer(id: str, say: str, state: Path | None, *, approve: bool) -> None:
    from fuseboard.adapters.approvals.operator import operator

    async def answer(desk: Inbox) -> Approval:
        return await desk.decide(id, approve=approve, by=operator(), through="cli", say=say)

    done = at_desk(state, answer)
    what = f"run {done.binding.run}" if done.binding.resumes else done.tool
    typer.echo(f"{done.id} {done.status}: {clean(what)}")


def at_desk(state: Path | None, work: Callable[[Inbox], Awaitable[T]]) -> T:
    """Do something with the inbox of a state folder. What cannot be done is said, with exit code 4."""
    import time

    from fuseboard.inbox import Inbox

    return at_store(state, lambda store: work(Inbox(store, time.time)))


def at_store(state: Path | None, work: Callable[[Store], Awaitable[T]]) -> T:
    """The same with the store itself."""
    import os

    import anyio

    from fuseboard.adapters.stores.sqlite import SqliteStore
    from fuseboard.approvals import Unsettled
    from fuseboard.errors import StoreUnavailable
    from fuseboard.places import ledger_path, state_dir

    ledger = ledger_path(state_dir(state, os.environ))
    if not ledger.is_file():
        raise usage(f"{ledger} is not there: no proxy has run with this state folder (--state)")

    async def main() -> T:
        store = SqliteStore.open(ledger)
        try:
            return await work(store)
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()

    try:
        return anyio.run(main)
    except (Unsettled, StoreUnavailable) as fault:
        typer.echo(f"fuseboard: {clean(str(fault))}", err=True)
        raise typer.Exit(REFUSED) from None


def _lines(approval: Approval, note: Note | None) -> Iterator[Text]:
    import time

    from rich.text import Text

    left = span(max(0.0, approval.expires_at - time.time()))
    subject = "let the run go on" if approval.binding.resumes else f"{approval.tool} ({approval.effect})"
    yield Text().append(approval.id, style="bold").append(f"  {clean(subject)}")
    who = f" of {clean(approval.binding.principal)}" if approval.binding.principal else ""
    yield Text(f"  run {clean(approval.binding.run)}{who}, asked at {clock(approval.created_at)}, {left} left")
    yield Text(f"  why: {clean(approval.why)}")
    if note is not None:
        yield from (Text(f"  {line}") for line in told(note))
    if not approval.binding.resumes:
        for line in approval.arguments.splitlines():
            yield Text(f"  | {clean(line)}")
