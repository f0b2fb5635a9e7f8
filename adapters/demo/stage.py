"""What the story stands on: a configuration file that names this interpreter, and the command that starts the proxy."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from fuseboard.errors import ConfigError

NAME: Final = "fuseboard.yaml"
_PROGRAM: Final = "from fuseboard.cli import main; main()"


def write_config(folder: Path) -> Path:
    """Write the demo's configuration into ``folder``, which is made where it does not exist.

    Raises:
        ConfigError: the folder cannot be written, or another configuration lies there.
    """
    path, text = folder / NAME, _config()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text("utf-8", "replace") != text:
            raise ConfigError(f"{path} is there already, and it is not the demo's; name another folder")
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return path


def _config() -> str:
    text = files("fuseboard.adapters.demo").joinpath(NAME).read_text("utf-8")
    # The first line is for an editor with the repository open. A JSON string is a YAML one.
    _, _, body = text.partition("\n")
    return body.replace("command: python\n", f"command: {json.dumps(sys.executable)}\n")


def verb_command(words: Sequence[str], state: Path) -> list[str]:
    """The command of a person's verb, in this interpreter."""
    return [sys.executable, "-P", "-c", _PROGRAM, *words, "--state", str(state)]


def proxy_command(config: Path, state: Path) -> list[str]:
    """The command of a proxy on stdio, in this interpreter. ``-P`` keeps the working directory off its path."""
    return [sys.executable, "-P", "-c", _PROGRAM, "serve", "--stdio", "--config", str(config), "--state", str(state)]
