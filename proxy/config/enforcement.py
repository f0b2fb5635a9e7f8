"""What of the configuration this version does not act upon yet, so that nobody relies on a fuse that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from fuseboard.config.models import Config

_SECTIONS = ("pins",)
_STORES = ("memory", "sqlite")
_FACTS = {"memory": "memory"}


def unenforced(config: Config) -> tuple[str, ...]:
    """The dotted keys that the file sets to some purpose and that have no effect in this version."""
    return tuple(_unenforced(config))


def _unenforced(config: Config) -> Iterator[str]:
    for alias, server in config.servers.items():
        for tool, facts in server.tools.items():
            here = f"servers.{alias}.tools.{tool}"
            yield from (f"{here}.{key}" for name, key in _FACTS.items() if getattr(facts, name))
    yield from (section for section in _SECTIONS if section in config.model_fields_set)
    if config.store.kind not in _STORES:
        yield "store"
