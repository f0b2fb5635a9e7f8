"""The lock file on disk: read at once, written whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fuseboard.errors import ConfigError
from fuseboard.pins.book import Book, PinsLike
from fuseboard.pins.lock import NAME, Lock, Unreadable, is_blank, read, written

try:
    import fcntl
except ImportError:  # Windows has no flock: there the later of two writers at the same moment wins.
    fcntl = None  # type: ignore[assignment]

LARGEST_BYTES: Final = 64 * 1024 * 1024
"""More is no lock file of ours, and would be held in memory."""


class PinFile:
    """``path`` need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> Hashable:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def load(self) -> bytes | None:
        """
        Raises:
            OSError: it is there, and cannot be read.
            Unreadable: it is too large.
        """
        try:
            with self.path.open("rb") as file:
                raw = file.read(LARGEST_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(raw) > LARGEST_BYTES:
            raise Unreadable(f"{self.path} has more than {LARGEST_BYTES:,} bytes")
        return raw

    def change(
        self, act: Callable[[Lock], None], *, lost: Callable[[Lock], None] = lambda lock: None
    ) -> tuple[Lock, Hashable]:
        """Read it, let ``act`` change it, and write it if that changed anything; nobody else does so meanwhile.

        ``lost`` goes before ``act`` where there is no file, or nothing in it.

        Raises:
            OSError: it cannot be written.
            Unreadable: it holds something else, which is not written over.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(self.path.parent):
            raw = self.load()
            lock = read(raw)
            if is_blank(raw):
                lost(lock)
            act(lock)
            if (new := written(lock)) != raw:
                self._replace(new)
            return lock, self.stamp()

    def _replace(self, content: bytes) -> None:
        target = self.path.resolve()  # of a link, what it leads to
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileNotFoundError):  # one that was committed may well be for all to read
                os.chmod(name, stat.S_IMODE(target.stat().st_mode))
            os.replace(name, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder is what is locked: a file that is replaced is another one each time."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def opened(settings: PinsLike, path: Path | None, state: Path, wake: Callable[[], None] = lambda: None) -> Book:
    """The pins of a configuration; ``path`` is its own file, ``None`` that of the state folder, which many share.

    Raises:
        ConfigError: it is there, and cannot be read. Without it nothing would be held against anything.
    """
    file = PinFile(path or state / NAME)
    try:
        return Book(file, settings, shared=path is None, wake=wake)
    except (OSError, Unreadable) as fault:
        raise ConfigError(
            f"pins: the lock file {file.path} cannot be used: {fault}; mend it, or move it away to accept anew"
        ) from None
