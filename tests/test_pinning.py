"""From a configuration to its pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard import pinning
from fuseboard.cleaning.result import Cleaner
from fuseboard.config import Config, load
from fuseboard.config.conduct import Output
from fuseboard.definitions import Wash, as_listed
from fuseboard.era import Era
from fuseboard.errors import ConfigError
from support.config_files import written

SERVERS = "servers: {a: {command: x, args: [--token, hunter2]}, b: {url: 'https://h/mcp?k=v'}}\n"


def loaded(folder: Path, text: str = "") -> Config:
    return load(written(folder, SERVERS + text))


def test_the_file_is_the_state_folder_s_unless_the_configuration_has_its_own(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert all(key.startswith(f"{alias}@") for alias, key in pinning.keys(config).items())
    own = loaded(tmp_path, "pins: {file: fuseboard.lock}\n")
    assert own.pins.file == tmp_path / "fuseboard.lock"
    assert pinning.keys(own) == {"a": "a", "b": "b"}
    assert pinning.keys(own, ["b"]) == {"b": "b"}


def test_what_is_kept_of_a_server_is_no_secret(tmp_path: Path) -> None:
    book = pinning.book(loaded(tmp_path), tmp_path)
    for alias in ("a", "b"):
        pinned = pinning.pinned(loaded(tmp_path), alias, book)
        assert pinned is not None
        assert pinned.tool("x", b'{"name":"x"}', Era.HANDSHAKE) is None
    assert {server.identity.target for server in book.lock.servers.values()} == {"x --token …", "https://h/mcp"}


async def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "fuseboard.lock").write_text("{")
    for make in (pinning.book, pinning.keeper):
        with pytest.raises(ConfigError, match=r"fuseboard\.lock cannot be used"):
            make(loaded(tmp_path), tmp_path)


def test_lists_are_washed_where_anything_is_enforced(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert pinning.lists(config, "a", None) is as_listed
    assert isinstance(pinning.lists(config, "a", Cleaner(Output())), Wash)
    assert pinning.pinned(config, "a", None) is None
