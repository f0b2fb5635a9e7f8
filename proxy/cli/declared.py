"""What a run was declared to be for: kept with the state, where the proxy reads it, and not in the token."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from fuseboard.cli.errors import REFUSED, usage
from fuseboard.cli.wording import clean

_LONGEST = 20_000


def text_of(said: str) -> str:
    """The text itself, or that of the file that it names after an ``@``."""
    if said.startswith("@"):
        try:
            said = Path(said[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise usage(f"--task {said}: {fault}") from None
    if len(said) > _LONGEST:
        raise usage(f"--task: found {len(said):,} characters; expected at most {_LONGEST:,}")
    return said


def keep(place: Path, run: str, text: str, ttl_s: float) -> None:
    """In the ledger of a state folder, which begins with it where there is none."""
    import anyio

    from fuseboard.adapters.stores.sqlite import SqliteStore
    from fuseboard.errors import StoreUnavailable
    from fuseboard.places import ledger_path
    from fuseboard.provenance import declared
    from fuseboard.state import EMPTY

    async def main() -> None:
        store = SqliteStore.open(ledger_path(place))
        try:
            await store.commit([declared(run, text, ttl_s)], EMPTY, None, at=time.time(), durable=True)
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()

    try:
        anyio.run(main)
    except StoreUnavailable as fault:
        typer.echo(f"fuseboard: {clean(str(fault))}", err=True)
        raise typer.Exit(REFUSED) from None
