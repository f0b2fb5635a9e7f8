"""Reading what the raw upstream wrote down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio


@dataclass(frozen=True, slots=True)
class Received:
    """One frame as the upstream got it. ``http`` holds ``verb``, ``path`` and the headers, lower-case, over HTTP."""

    frame: bytes
    at: float
    pid: int
    http: dict[str, str]

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.frame) if self.frame else {}

    @property
    def method(self) -> str | None:
        return self.message.get("method")


class FrameLog:
    """The log of one raw upstream, or of all processes that were started with the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def all(self) -> list[Received]:
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [
            Received(line["frame"].encode("utf-8", "surrogateescape"), line["at"], line["pid"], line.get("http") or {})
            for line in lines
        ]

    def frames(self, method: str) -> list[bytes]:
        """Requests and notifications of one method, as they came."""
        return [received.frame for received in self.all() if received.method == method]

    def hangups(self) -> list[Received]:
        """Times at which a client closed a response stream before its answer."""
        return [received for received in self.all() if received.http.get("verb") == "HANGUP"]

    async def wait_for(self, wanted: Callable[[Received], bool], *, timeout_s: float = 5) -> Received:
        """The first frame that is wanted.

        Raises:
            TimeoutError: none came in time.
        """
        with anyio.fail_after(timeout_s):
            while True:
                found = next((received for received in self.all() if wanted(received)), None)
                if found:
                    return found
                await anyio.sleep(0.01)
