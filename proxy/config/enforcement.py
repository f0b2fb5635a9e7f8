"""What of the configuration this version does not act upon yet, so that nobody relies on a fuse that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from fuseboard.config.models import Config

_STORES = ("memory", "sqlite")


def unenforced(config: Config) -> tuple[str, ...]:
    """The dotted keys that the file sets to some purpose and that have no effect in this version."""
    return tuple(_unenforced(config))


def _unenforced(config: Config) -> Iterator[str]:
    if config.store.kind not in _STORES:
        yield "store"
