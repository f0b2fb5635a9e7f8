"""From a configuration to what cleans by it."""

from __future__ import annotations

from fuseboard.cleaning.result import Cleaner
from fuseboard.cleaning.spotlight import Spotlight
from fuseboard.config import Config


def cleaner(config: Config, key: bytes) -> Cleaner:
    """``key`` is what the marks of runs follow from."""
    light = Spotlight(key, ways(config))
    return Cleaner(config.output, config.secrets, light if light else None)


def ways(config: Config) -> dict[str, str]:
    """How the texts of each untrusted server are set apart, where they are."""
    chosen = {
        alias: server.spotlight or config.output.spotlight
        for alias, server in config.servers.items()
        if server.trust == "untrusted"
    }
    return {alias: way for alias, way in chosen.items() if way != "none"}
