from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from fuseboard.cli.schema import schema
from fuseboard.config.schema import json_schema


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_schema_prints_one_json_document(options: list[str]) -> None:
    verbs = typer.Typer()
    verbs.command()(schema)
    result = CliRunner().invoke(verbs, options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json_schema()
