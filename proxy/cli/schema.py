"""``fuseboard schema``: the JSON Schema of the configuration file, for editors."""

from __future__ import annotations

from typing import Annotated

import typer


def schema(
    as_json: Annotated[bool, typer.Option("--json", help="The same: the schema is JSON.", hidden=True)] = False,
) -> None:
    """Print the JSON Schema of the configuration file."""
    import json

    from fuseboard.config.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
