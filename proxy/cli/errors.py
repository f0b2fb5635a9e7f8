"""How a verb fails: one clear text on stderr and the exit code of the README."""

from __future__ import annotations

from typing import Final

import typer

OK: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
REFUSED: Final = 4
ASKED: Final = 5
INTERRUPTED: Final = 130


def usage(message: str) -> typer.Exit:
    """Say what is wrong with the call, and make the exit to raise."""
    typer.echo(f"fuseboard: {message}", err=True)
    return typer.Exit(USAGE)
