"""Small files, small functions. What is larger says here why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.sources import ROOT

FILE_LINES = 400
FUNCTION_LINES = 60
FOLDERS = ("proxy", "policies", "adapters", "tests/support", "tests/bench", "tests/simulation")

LONG_FILES: dict[str, str] = {}
"""By path: the reason."""

LONG_FUNCTIONS: dict[str, str] = {}
"""By ``path:name``: the reason."""


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_are_small_or_have_a_reason() -> None:
    long = {name(path): n for path in files() if (n := len(path.read_text().splitlines())) > FILE_LINES}
    assert long.keys() == LONG_FILES.keys(), f"longer than {FILE_LINES} lines, or no longer so: {long}"


def test_functions_are_small_or_have_a_reason() -> None:
    long = {
        f"{name(path)}:{node.name}": lines
        for path in files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long.keys() == LONG_FUNCTIONS.keys(), f"longer than {FUNCTION_LINES} lines, or no longer so: {long}"
