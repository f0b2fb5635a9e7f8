"""From a configuration to its pins: the lock file, and what each upstream is held against."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from fuseboard.adapters.pins import opened
from fuseboard.config import Config
from fuseboard.definitions import Lists, Wash, as_listed
from fuseboard.pins.book import Book
from fuseboard.pins.identity import key_of, target
from fuseboard.pins.listed import Pinned

if TYPE_CHECKING:
    from fuseboard.adapters.pin_keeping import Keeper
    from fuseboard.cleaning.result import Cleaner


def keeper(config: Config, state: Path) -> Keeper:
    """
    Raises:
        ConfigError: the lock file is there, and cannot be read.
    """
    from fuseboard.adapters.pin_keeping import Keeper

    return Keeper(config.pins, config.pins.file, state)


def book(config: Config, state: Path) -> Book:
    """The same to look at alone.

    Raises:
        ConfigError: the lock file is there, and cannot be read.
    """
    return opened(config.pins, config.pins.file, state)


def pinned(config: Config, alias: str, held: Book | None) -> Pinned | None:
    return None if held is None else Pinned(held.shelf(alias, target(config.servers[alias])))


def lists(config: Config, alias: str, cleaner: Cleaner | None) -> Lists:
    """How pages of definitions are shown; ``cleaner`` is ``None`` where nothing is enforced."""
    return as_listed if cleaner is None else Wash(alias, cleaner, most_bytes=config.pins.max_description_bytes)


def keys(config: Config, only: Collection[str] | None = None) -> dict[str, str]:
    """How the lock file names each server, by alias."""
    shared = config.pins.file is None
    return {
        alias: key_of(alias, target(server), shared=shared)
        for alias, server in config.servers.items()
        if only is None or alias in only
    }
