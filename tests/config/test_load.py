from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from fuseboard.config import ConfigInvalid, HttpServer, StdioServer, digest, find, load, wrapped
from fuseboard.errors import ConfigError
from support.config_files import SERVERS, findings, loaded, written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"\xff\xfe", "cannot be read: byte 0 is not UTF-8", id="not text"),
        pytest.param(b"a" * 4_000_001, "cannot be read: larger than 4,000,000 bytes", id="too large"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "fuseboard.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid) as error:
        load(path, env={})
    assert str(error.value) == f"{path}: {message}"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml", env={})
    with pytest.raises(ConfigInvalid, match="cannot be read: Is a directory"):
        load(tmp_path, env={})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeff" + SERVERS).servers


def test_syntax_and_meaning_are_judged_together_where_they_can_be(tmp_path: Path) -> None:
    assert len(findings(tmp_path, SERVERS + "mode: x\nmode: y")) == 2


def test_cedar_files_are_read_once_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "team.cedar").write_text("permit (principal, action, resource);")
    config = loaded(tmp_path, SERVERS + "cedar: team.cedar")
    assert config.cedar == (tmp_path / "team.cedar",)
    assert config.cedar_sources == ((str(tmp_path / "team.cedar"), "permit (principal, action, resource);"),)
    assert findings(tmp_path, SERVERS + "cedar: [team.cedar, none.cedar]") == [
        "2:21 cedar[1]: the file none.cedar cannot be read: No such file or directory"
    ]


def test_the_search_goes_from_the_named_file_to_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, cwd = tmp_path / "home", tmp_path / "cwd"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for folder in (cwd, platformdirs.user_config_path("fuseboard", appauthor=False)):
        folder.mkdir(parents=True, exist_ok=True)
    if not platformdirs.user_config_path("fuseboard", appauthor=False).is_relative_to(tmp_path):
        pytest.skip("this platform has no XDG_CONFIG_HOME")
    with pytest.raises(ConfigError, match="no configuration found"):
        find(None, {}, cwd)
    user = written(platformdirs.user_config_path("fuseboard", appauthor=False), SERVERS)
    assert find(None, {}, cwd) == user
    here = written(cwd, SERVERS)
    assert find(None, {}, cwd) == here
    by_variable = written(tmp_path, SERVERS, "v.yaml")
    assert find(None, {"FUSEBOARD_CONFIG": str(by_variable)}, cwd) == by_variable
    explicit = written(tmp_path, SERVERS, "e.yaml")
    assert find(explicit, {"FUSEBOARD_CONFIG": str(by_variable)}, cwd) == explicit


def test_a_named_file_that_is_missing_is_an_error_that_says_who_named_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file, named by FUSEBOARD_CONFIG"):
        find(None, {"FUSEBOARD_CONFIG": str(tmp_path / "x.yaml")}, tmp_path)
    with pytest.raises(ConfigError, match="no such file, named by --config"):
        find(tmp_path / "x.yaml", {}, tmp_path)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["npx", "-y", "@modelcontextprotocol/server-everything"], "server-everything"),
        (["uvx", "mcp-server-time", "--utc"], "mcp-server-time"),
        (["python", "servers/my.server.py"], "my-server"),
        (["/usr/bin/some_server"], "some_server"),
        (["node"], "node"),
    ],
)
def test_a_wrapped_command_has_a_name_of_its_own(command: list[str], name: str) -> None:
    config = wrapped(command=command)
    assert config.servers == {name: StdioServer(command=command[0], args=tuple(command[1:]))}


def test_a_wrapped_url() -> None:
    config = wrapped(url="https://api.example.com:8443/mcp", headers={"Authorization": "Bearer s3cret-value"})
    assert list(config.servers) == ["api-example-com"]
    server = config.servers["api-example-com"]
    assert isinstance(server, HttpServer)
    assert server.headers["Authorization"].reveal() == "Bearer s3cret-value"
    assert config.secrets == ("s3cret-value",)
    assert list(wrapped("mine", url="http://h/").servers) == ["mine"]


def test_what_cannot_be_wrapped_is_said() -> None:
    with pytest.raises(ConfigError, match="one of a command and a URL"):
        wrapped()
    with pytest.raises(ConfigError, match="found the name 'a__b'"):
        wrapped("a__b", command=["x"])
    with pytest.raises(ConfigError, match="not a web address"):
        wrapped(url="ftp://h")


def test_servers_can_stand_in_for_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "rules: [{id: a, decide: deny}]")
    servers = wrapped("mine", command=["x"]).servers
    config = load(path, env={}, servers=servers)
    assert config.servers == servers
    assert [rule.id for rule in config.rules] == ["a"]
    other = written(tmp_path, "servers: {broken: {url: '${env:UNSET}'}}")
    assert load(other, env={}, servers=servers).servers == servers


def test_the_digest_follows_the_meaning_and_not_the_spelling(tmp_path: Path) -> None:
    first = digest(loaded(tmp_path, "servers: {a: {command: x}}\nmode: observe"))
    assert first == digest(loaded(tmp_path, "# a comment\nmode: observe\nservers:\n  a:\n    command: x\n"))
    assert first != digest(loaded(tmp_path, "servers: {a: {command: y}}\nmode: observe"))
    assert len(first) == 12


def test_the_digest_knows_references_and_not_values(tmp_path: Path) -> None:
    text = 'servers: {a: {command: x, env: {T: "${env:T}"}, args: ["${env:T:-none}"]}}'
    one, two = (digest(loaded(tmp_path, text, env={"T": value})) for value in ("first-value", "second-value"))
    assert one == two


def test_the_digest_knows_the_texts_of_cedar_files(tmp_path: Path) -> None:
    seen = set()
    for text in ("permit (principal, action, resource);", "forbid (principal, action, resource);"):
        (tmp_path / "a.cedar").write_text(text)
        seen.add(digest(loaded(tmp_path, SERVERS + "cedar: a.cedar")))
    assert len(seen) == 2


def test_wrapping_loads_no_yaml_parser() -> None:
    program = (
        "import sys; from fuseboard.config import wrapped; wrapped(command=['x']); print('ruamel.yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "False"
