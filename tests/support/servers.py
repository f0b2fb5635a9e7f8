"""Real servers to stand behind the proxy: our raw one, and those that nobody here wrote.

The latter are installed once into a folder outside the repository (``FUSEBOARD_TEST_CACHE``, by default
``~/.cache/fuseboard-tests``), at exact versions. Where that is impossible the test is skipped and says why; with
``CI=true`` it fails instead.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from support.frame_log import FrameLog
from support.processes import child, free_port

HERE = Path(__file__).parent
NODE_MAJOR = 22  # The Inspector needs it; the servers would do with 20.
NODE = f"node@{NODE_MAJOR}"
EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"
FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
TIME = "mcp-server-time==2026.10.19"


def raw_command(log: FrameLog, *options: str) -> list[str]:
    """Our raw upstream over stdio. Options: see ``raw_upstream.py``."""
    return [sys.executable, str(HERE / "raw_upstream.py"), "--stdio", "--log", str(log.path), *options]


@asynccontextmanager
async def raw_http(log: FrameLog, *options: str, port: int | None = None) -> AsyncIterator[str]:
    """Our raw upstream over HTTP; gives ``http://127.0.0.1:PORT`` (``/mcp``, ``/sse``)."""
    port = port or free_port()
    command = [sys.executable, str(HERE / "raw_upstream.py"), "--port", str(port), "--log", str(log.path), *options]
    async with child(command, log.path.with_suffix(".stderr"), port=port):
        yield f"http://127.0.0.1:{port}"


def everything_command(transport: str = "stdio") -> list[str]:
    """The reference server of the protocol's own authors. ``transport``: ``stdio``, ``sse`` or ``streamableHttp``."""
    return [node(), str(npm_script(EVERYTHING)), transport]


@asynccontextmanager
async def everything_http(folder: Path, transport: str = "streamableHttp") -> AsyncIterator[str]:
    port = free_port()
    environment = {"PORT": str(port)}
    async with child(everything_command(transport), folder / "everything.log", port=port, env=environment):
        yield f"http://127.0.0.1:{port}"


def filesystem_command(*folders: Path) -> list[str]:
    return [node(), str(npm_script(FILESYSTEM)), *map(str, folders)]


def time_command() -> list[str]:
    return [str(_time_environment() / "bin/python"), "-m", "mcp_server_time"]


def inspector_command(*arguments: str) -> list[str]:
    """The MCP Inspector's command line: ``--cli URL --transport http --method tools/list`` and the like."""
    return [node(), str(npm_script(INSPECTOR)), *arguments]


def unavailable(reason: str) -> None:
    """Skip the test; in CI, where everything has to be there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not available in CI: {reason}")
    pytest.skip(reason)


def cache() -> Path:
    named = os.environ.get("FUSEBOARD_TEST_CACHE")
    folder = Path(named) if named else Path.home() / ".cache/fuseboard-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def node() -> str:
    """A Node.js that is new enough: the system's, or the one that npm serves as a package."""
    for candidate in (shutil.which("node"), str(cache() / "node/node_modules/.bin/node")):
        if candidate and _major(candidate) >= NODE_MAJOR:
            return candidate
    _npm("node", NODE)
    return str(cache() / "node/node_modules/.bin/node")


def _major(program: str) -> int:
    try:
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(version.lstrip("v").split(".")[0])


@functools.cache
def npm_script(package: str) -> Path:
    """The script that a package of npm runs as its command, installed when it is not there yet."""
    name = package.rpartition("@")[0]
    place = package.rpartition("/")[2].replace("@", "-")
    folder = cache() / place / "node_modules" / name
    if not (cache() / place / "complete").exists():
        _npm(place, package)
    commands = json.loads((folder / "package.json").read_text())["bin"]
    script: str = commands if isinstance(commands, str) else next(iter(commands.values()))
    return folder / script


def _npm(place: str, package: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        unavailable(f"{package} needs npm")
        raise AssertionError("unreachable")
    folder = cache() / place
    with _locked(place):
        if (folder / "complete").exists():
            return
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]
        _install(command, package)
        (folder / "complete").touch()


@functools.cache
def _time_environment() -> Path:
    folder = cache() / TIME.replace("==", "-")
    with _locked(folder.name):
        if not (folder / "complete").exists():
            _install([sys.executable, "-m", "venv", str(folder)], TIME)
            _install([str(folder / "bin/python"), "-m", "pip", "install", "-q", TIME], TIME)
            (folder / "complete").touch()
    return folder


def _install(command: list[str], package: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        unavailable(f"{package} could not be installed: {(done.stderr or done.stdout)[-500:]}")


@contextmanager
def _locked(place: str) -> Iterator[None]:
    """Two test runs must not install into the same folder at once."""
    with (cache() / f"{place}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
