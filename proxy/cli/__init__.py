"""The command line. Nothing heavy is imported before the verb that needs it runs."""

from __future__ import annotations


def main() -> None:
    from fuseboard.cli.root import app

    app()
