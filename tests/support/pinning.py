"""A lock file in memory, and boards that are held against it."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fuseboard.pins.book import Book
from fuseboard.pins.lock import Lock, read, written
from fuseboard.pipeline import Policies
from fuseboard.policies.exposure import ExposurePolicy
from fuseboard.policies.pins import PinsPolicy

LISTINGS: Final[dict[str, dict[str, list[dict[str, Any]]]]] = json.loads(
    (Path(__file__).parent.parent / "pins" / "listings.json").read_text()
)
"""What real servers list, by the field of the list: the protocol's own ``everything``, ``filesystem`` and ``time``."""


@dataclass(frozen=True)
class Settings:
    on_change: str = "deny"
    first_use: str = "accept"


class Paper:
    """A lock file that anybody may write on."""

    def __init__(self, raw: bytes | None = None) -> None:
        self.raw = raw
        self.looks = 0
        self.loads = 0

    def stamp(self) -> Hashable:
        self.looks += 1
        return self.raw

    def load(self) -> bytes | None:
        self.loads += 1
        return self.raw

    @property
    def lock(self) -> Lock:
        return read(self.raw)

    def write(self, lock: Lock) -> None:
        self.raw = written(lock)


def book(paper: Paper | None = None, **settings: str) -> Book:
    return Book(paper or Paper(), Settings(**settings), shared=False)


def judging(**settings: str) -> Policies:
    """What is needed of a board's policies for its pins to count."""
    return (ExposurePolicy(), PinsPolicy(Settings(**settings)))
