"""Where AgentDojo lives: an environment of its own outside the repository, at exact versions.

Its package asks for the client libraries of five model vendors. Nothing here calls a model, so it is installed without
them, with the few libraries that its suites really import.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

AGENTDOJO: Final = "agentdojo==0.1.35"
BENCHMARK: Final = "v1.2.2"
"""The newest version of the tasks in that release."""

NEEDED: Final = (
    "pydantic[email]==2.14.3",
    "PyYAML==6.0.3",
    "deepdiff==9.1.0",
    "docstring-parser==0.18.0",
    "rich==15.0.0",
    "typing-extensions==4.16.0",
)


class Unavailable(Exception):
    """AgentDojo is not here and could not be fetched; the message says why."""


def folder() -> Path:
    """The same cache as ``support.servers`` keeps, which a script without pytest can ask for too."""
    named = os.environ.get("FUSEBOARD_TEST_CACHE")
    return (Path(named) if named else Path.home() / ".cache/fuseboard-tests") / f"{AGENTDOJO.replace('==', '-')}-bare"


def installed() -> bool:
    return (folder() / "complete").exists()


def python() -> str:
    """The interpreter that can import ``agentdojo``, installed when it is not there yet.

    Raises:
        Unavailable: it could not be installed.
    """
    where = folder()
    where.parent.mkdir(parents=True, exist_ok=True)
    with where.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once must not install into one folder
        if not installed():
            pip = [str(where / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            _run([sys.executable, "-m", "venv", "--clear", str(where)])
            _run([*pip, *NEEDED])
            _run([*pip, "--no-deps", AGENTDOJO])
            (where / "complete").touch()
    return str(where / "bin/python")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Unavailable(f"{AGENTDOJO} could not be installed: {(done.stderr or done.stdout)[-500:]}")
