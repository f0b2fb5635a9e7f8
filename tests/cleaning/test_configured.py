"""What cleans, by the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.cleaning.configured import cleaner, ways
from fuseboard.config import Config


def configured(output: dict[str, Any], **servers: dict[str, Any]) -> Config:
    given = {alias: {"command": "x", **facts} for alias, facts in servers.items()}
    return Config.model_validate({"servers": given, "output": output})


@pytest.mark.parametrize(
    ("chosen", "server", "way"),
    [
        ("none", {}, {}),
        ("delimit", {}, {"a": "delimit"}),
        ("delimit", {"trust": "internal"}, {}),
        ("delimit", {"trust": "trusted", "spotlight": "datamark"}, {}),
        ("delimit", {"spotlight": "none"}, {}),
        ("none", {"spotlight": "datamark"}, {"a": "datamark"}),
    ],
)
def test_texts_of_untrusted_servers_are_set_apart_as_the_nearest_word_says(
    chosen: str, server: dict[str, Any], way: dict[str, str]
) -> None:
    config = configured({"spotlight": chosen}, a=server)
    assert ways(config) == way
    assert (cleaner(config, b"key").light is not None) is bool(way)


def test_phrases_are_looked_for_where_that_is_said() -> None:
    assert not cleaner(configured({}, a={}), b"key").signals
    assert cleaner(configured({"phrases": "signal"}, a={}), b"key").signals
