"""What the proxy says on stderr while it works: never waited for, and nothing in it moves a terminal."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import Final

from fuseboard.cli.wording import clean

QUEUED_BYTES: Final = 1024 * 1024
"""How much may wait for a reader of our stderr; what comes beyond that is dropped and counted."""

LAST_S: Final = 0.5
"""How long the end of the process waits for the last lines to be read."""

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
CHILDREN: Final = "fuseboard.stderr"
"""The logger of what the children say on their stderr."""


class Formatter(logging.Formatter):
    """One record, one line, however a stranger named his tool; a traceback keeps its lines. A child's line is bare."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        if record.name == CHILDREN:
            return "\t".join(map(clean, record.getMessage().split("\t")))
        return clean(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        return _each_line(super().formatException(ei))  # type: ignore[arg-type]

    def formatStack(self, stack_info: str) -> str:
        return _each_line(super().formatStack(stack_info))


class Stderr(logging.Handler):
    """Hands lines to a thread that writes them to ``fd``, so that a reader who does not read stops nobody else."""

    def __init__(self, fd: int = 2) -> None:
        super().__init__()
        self.setFormatter(Formatter())
        self._fd = fd
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="stderr", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.say(self.format(record))
        except Exception:  # a handler never raises; this is how logging wants it told
            self.handleError(record)

    def say(self, text: str) -> None:
        line = text.encode(errors="backslashreplace") + b"\n"
        with self._changed:
            if self._waiting_bytes + len(line) > QUEUED_BYTES:
                self._dropped += 1
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait a moment until all is written."""
        end = time.monotonic() + LAST_S
        with self._changed:
            while self._waiting_bytes and (left_s := end - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                line, dropped, self._dropped = self._lines.popleft(), self._dropped, 0
            said = f"fuseboard: {dropped} lines were dropped: nobody read them in time\n" if dropped else ""
            self._out(said.encode() + line)
            with self._changed:
                self._waiting_bytes -= len(line)
                self._changed.notify_all()

    def _out(self, data: bytes) -> None:
        # Not through sys.stderr: a thread that is stuck there at exit holds a lock that the interpreter wants.
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:  # the reader is gone
            return


def start(*, verbose: bool) -> Stderr:
    """Let the whole process log to stderr."""
    stderr = Stderr()
    logging.basicConfig(handlers=[stderr], level=logging.INFO if verbose else logging.WARNING)
    logging.getLogger(CHILDREN).setLevel(logging.INFO)
    return stderr


def _each_line(text: str) -> str:
    return "\n".join(map(clean, text.split("\n")))
