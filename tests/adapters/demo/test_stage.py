from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fuseboard.adapters.demo.stage import NAME, proxy_command, verb_command, write_config
from fuseboard.cedar.rules import compile_rules
from fuseboard.config import StdioServer, lint, load, unenforced
from fuseboard.errors import ConfigError
from support.sources import ROOT


def test_the_configuration_loads_and_runs_each_server_in_this_interpreter(tmp_path: Path) -> None:
    config = load(write_config(tmp_path / "a" / "b"))
    assert (lint(config), unenforced(config)) == ((), ())
    assert compile_rules(config.rules, config.default, ()).findings == ()
    commands = [server.command for server in config.servers.values() if isinstance(server, StdioServer)]
    assert commands == [sys.executable] * len(config.servers)


def test_the_repository_shows_the_same_file_among_its_configurations() -> None:
    assert (ROOT / "configs" / "demo.yaml").samefile(ROOT / "adapters" / "demo" / NAME)


def test_it_is_written_again_over_itself_and_over_nothing_else(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    assert write_config(tmp_path) == path
    path.write_text("servers: {}\n")
    with pytest.raises(ConfigError, match="is there already"):
        write_config(tmp_path)
    assert path.read_text() == "servers: {}\n"


def test_a_folder_that_cannot_be_made_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"):
        write_config(tmp_path / "file" / "folder")


def test_the_proxy_is_told_where_everything_lies(tmp_path: Path) -> None:
    command = proxy_command(tmp_path / "c.yaml", tmp_path / "s")
    assert command[:2] == [sys.executable, "-P"]
    assert command[-4:] == ["--config", str(tmp_path / "c.yaml"), "--state", str(tmp_path / "s")]


def test_a_verb_is_used_on_the_same_state(tmp_path: Path) -> None:
    command = verb_command(("resume", "r-1"), tmp_path / "s")
    assert command[:2] == [sys.executable, "-P"]
    assert command[-4:] == ["resume", "r-1", "--state", str(tmp_path / "s")]
