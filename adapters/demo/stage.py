"""What the story stands on: a configuration file that names this interpreter, and the command that starts the proxy."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

NAME: Final = "fuseboard.yaml"
_PROGRAM: Final = "from fuseboard.cli import main; main()"


def write_config(folder: Path) -> Path:
    """Write the demo's configuration into ``folder``, which is made where it does not exist."""
    text = files("fuseboard.adapters.demo").joinpath(NAME).read_text("utf-8")
    # The first line is for an editor with the repository open. A JSON string is a YAML one.
    _, _, body = text.partition("\n")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(body.replace("command: python\n", f"command: {json.dumps(sys.executable)}\n"), "utf-8")
    return path


def proxy_command(config: Path, state: Path) -> list[str]:
    """The command of a proxy on stdio, in this interpreter. ``-P`` keeps the working directory off its path."""
    return [sys.executable, "-P", "-c", _PROGRAM, "serve", "--stdio", "--config", str(config), "--state", str(state)]
