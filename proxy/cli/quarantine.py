"""`fuseboard quarantine`: a person looks at results that were withheld, and lets them go or forgets them.

What is shown is harmless on a terminal: each line of a result stands behind a bar, and nothing in it acts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from fuseboard.cli.errors import REFUSED, usage
from fuseboard.cli.inbox import State, at_store
from fuseboard.cli.wording import clean, day, size, span

if TYPE_CHECKING:
    from fuseboard.ports import Store
    from fuseboard.quarantine import Quarantine
    from fuseboard.vault import Held, Kept

PAGE_BYTES = 16_384
"""Of a result are shown at once."""

quarantine = typer.Typer(
    help="Results that were withheld: look at one, let it go, or forget it.",
    no_args_is_help=True,
    add_completion=False,
)

Handle = Annotated[str, typer.Argument(metavar="Q", help="The handle: q-…, as `fuseboard quarantine ls` shows it.")]

T = TypeVar("T")


@quarantine.command("ls")
def ls(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False, state: State = None
) -> None:
    """Show what was withheld and is still kept, the oldest first, with what became of it."""
    import time

    async def look(kept: Quarantine) -> tuple[Kept, ...]:
        return tuple(await kept.listed())

    found = _at(state, look)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode({"quarantine": found}), indent=2).decode())
        return
    if not found:
        typer.echo("Nothing was withheld.")
    for one in found:
        for line in _lines(one, time.time()):
            typer.echo(line)


@quarantine.command("show")
def show(
    handle: Handle,
    raw: Annotated[bool, typer.Option("--raw", help="The very bytes; never to a terminal.")] = False,
    start: Annotated[int, typer.Option("--from", metavar="BYTE", min=0, help="Where to go on.")] = 0,
    state: State = None,
) -> None:
    """Show one result, a page at a time, with everything that would act on a terminal escaped.

    Exit codes: 0 done; 4 it is not there, or not any more.
    """
    import sys
    import time

    async def look(kept: Quarantine) -> Held:
        return await kept.find(handle)

    if raw and sys.stdout.isatty():
        raise usage("--raw gives the bytes as they came, and those may act on a terminal: send them to a file")
    held = _at(state, look)
    if raw:
        sys.stdout.buffer.write(held.raw)
        sys.stdout.buffer.flush()
        return
    for line in (*_lines(held.kept, time.time()), *_page(held, start)):
        typer.echo(line)


@quarantine.command("release")
def release(handle: Handle, state: State = None) -> None:
    """Let a result go: whoever made the call gets it by making the same call again, which is not carried out twice.

    Exit codes: 0 done; 4 it is not there, or was released before.
    """
    from fuseboard.adapters.approvals.operator import operator

    async def act(kept: Quarantine) -> Kept:
        return await kept.release(handle, by=operator())

    done = _at(state, act)
    typer.echo(f"{done.handle} is released: the same call of {clean(done.exposed)} gives it, once")


@quarantine.command("drop")
def drop(handle: Handle, state: State = None) -> None:
    """Forget a result. Who did so stays on record.

    Exit codes: 0 done; 4 it is not there, or not any more.
    """
    from fuseboard.adapters.approvals.operator import operator

    async def act(kept: Quarantine) -> Kept:
        return await kept.drop(handle, by=operator())

    done = _at(state, act)
    typer.echo(f"{done.handle} is forgotten: {clean(done.exposed)}, {size(done.size_bytes)}")


def _at(state: Any, work: Callable[[Quarantine], Awaitable[T]]) -> T:
    """Do something with what a state folder holds. What cannot be done is said, with exit code 4."""
    import os
    import time

    from fuseboard.adapters.stores.vault_file import FileVault
    from fuseboard.config.conduct import Quarantine as Settings
    from fuseboard.places import ledger_path, state_dir, vault_path
    from fuseboard.quarantine import Quarantine, Unknown

    async def act(store: Store) -> T:
        vault = FileVault(vault_path(ledger_path(state_dir(state, os.environ))), most_bytes=0)
        try:
            return await work(Quarantine(vault, store, time.time, Settings()))
        finally:
            await vault.close()

    try:
        return at_store(state, act)
    except Unknown as fault:
        typer.echo(f"fuseboard: {clean(str(fault))}", err=True)
        raise typer.Exit(REFUSED) from None


def _lines(kept: Kept, at: float) -> Iterator[str]:
    status = kept.status if not kept.by else f"{kept.status}, by {clean(kept.by)}"
    yield f"{kept.handle}  {clean(kept.exposed)}  {size(kept.size_bytes)}  {status}"
    yield f"  {day(kept.at)}, of run {clean(kept.run)} of {clean(kept.principal)}; {span(kept.expires_at - at)} left"
    yield f"  {clean(kept.policy or '-')} {clean(kept.rule)}: {clean(kept.why.partition(chr(10))[0])}"


def _page(held: Held, start: int) -> Iterator[str]:
    from fuseboard import rest

    document = rest.document(held.raw, held.kept.method, failure=held.kept.failure)
    page = rest.page(document.raw, start, PAGE_BYTES) if document is not None else None
    if page is None:
        raise usage(f"--from {start}: there is nothing any more")
    for line in page.text.split("\n"):
        yield f"  | {clean(line)}"
    if page.end < page.of:
        yield f"  {page.end:,} of {page.of:,} bytes; go on with --from {page.end}"
