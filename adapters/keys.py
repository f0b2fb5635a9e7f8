"""The secret under which run tokens are signed and names of runs are derived: one file in the state folder."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from fuseboard.errors import ConfigError

FILE: Final = "run.key"
_KEY_BYTES: Final = 32


def run_key(state: Path) -> bytes:
    """The key, which the first who asks makes. Processes that ask at once get the same.

    Raises:
        ConfigError: it cannot be read or made, or others can read it too.
    """
    path = state / FILE
    try:
        with suppress(FileNotFoundError):
            return _read(path)
        _make(path)
        return _read(path)
    except OSError as fault:
        raise ConfigError(
            f"{path}: {fault.strerror}\nThe key of run tokens is kept there. Name a state folder that can be written "
            "with --state DIR or FUSEBOARD_STATE_DIR."
        ) from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        key = file.read(_KEY_BYTES + 1)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            f"{path} can be read by others on this machine; `chmod 600 {path}`, or remove it for a new one"
        )
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"{path} holds no key; remove it, and a new one is made. Tokens that were signed are void then."
        )
    return key


def _make(path: Path) -> None:
    """Written whole and then linked, which fails where another was quicker: nobody ever reads half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".key")  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
