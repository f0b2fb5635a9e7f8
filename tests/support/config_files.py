"""Configuration files as tests write them: a text in, a configuration or its findings out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from fuseboard.config import Config, ConfigInvalid, load

SERVERS = "servers: {files: {command: npx}}\n"
"""The least that loads; append the keys that a test is about."""


def written(folder: Path, text: str, name: str = "fuseboard.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def loaded(folder: Path, text: str, *, env: Mapping[str, str] | None = None, name: str = "fuseboard.yaml") -> Config:
    return load(written(folder, text, name), env=env or {})


def findings(
    folder: Path, text: str, *, env: Mapping[str, str] | None = None, name: str = "fuseboard.yaml"
) -> list[str]:
    """``line:column path: message`` of each finding; empty where the file loads."""
    try:
        loaded(folder, text, env=env, name=name)
    except ConfigInvalid as error:
        return [f"{found.line}:{found.column} {found.path}: {found.message}" for found in error.findings]
    return []
