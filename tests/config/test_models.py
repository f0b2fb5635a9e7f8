from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fuseboard.config import Config, Secret, StdioServer
from fuseboard.config.schema import field_docs
from fuseboard.config.section import Section
from support.config_files import SERVERS, findings, loaded

ENV = {"TOKEN": "gh-s3cret-token", "HOME": "/", "ARG": "arg-s3cret", "URLKEY": "url-s3cret"}
TEXT = """\
servers:
  web: {url: "https://h/mcp?k=${env:URLKEY}", headers: {Authorization: "Bearer ${env:TOKEN}", X-Api-Key: lit-s3cret}}
  child:
    command: x
    args: ["--key=${env:ARG}", "${env:HOME}", "${env:UNSET:-plain-default}"]
    env: {A_TOKEN: "${env:TOKEN}", MODE: production}
auth: {bearer: {ana: "${env:TOKEN}-and-more"}}
"""


def test_every_secret_is_known_to_whoever_redacts(tmp_path: Path) -> None:
    assert loaded(tmp_path, TEXT, env=ENV).secrets == (
        "gh-s3cret-token-and-more",
        "gh-s3cret-token",
        "arg-s3cret",
        "lit-s3cret",
        "url-s3cret",
    )


def test_no_secret_is_in_anything_that_is_printed_or_dumped(tmp_path: Path) -> None:
    config = loaded(tmp_path, TEXT, env=ENV)
    shown = [
        repr(config),
        str(config),
        repr(config.servers),
        str(config.model_dump()),
        config.model_dump_json(),
        str(config.model_dump(mode="json", by_alias=True)),
    ]
    assert not [text for text in shown if "s3cret" in text]


def test_secrets_survive_a_copy(tmp_path: Path) -> None:
    config = loaded(tmp_path, TEXT, env=ENV)
    copy = config.model_copy(update={"servers": {"x": StdioServer(command="x", env={"KEY": Secret("another-one")})}})
    assert copy.secrets == ("gh-s3cret-token-and-more", "another-one")


def test_the_configuration_is_frozen(tmp_path: Path) -> None:
    config = loaded(tmp_path, SERVERS)
    with pytest.raises(ValidationError, match="frozen"):
        config.mode = "observe"


def test_a_finding_about_a_configuration_without_a_file_has_no_place() -> None:
    config = Config(servers={"x": StdioServer(command="x")})
    assert str(config.finding(("rules", 0), "m")) == "rules[0]: m"


def _sections(section: type[Section] = Section) -> list[type[Section]]:
    found = [inner for inner in section.__subclasses__() if inner.__module__.startswith("fuseboard.config.")]
    return found + [deeper for inner in found for deeper in _sections(inner)]


@pytest.mark.parametrize("section", _sections(), ids=lambda section: section.__name__)
def test_every_field_is_documented_under_itself(section: type[Section]) -> None:
    documented = field_docs(section)
    assert not [name for name in section.model_fields if not documented.get(name)]


def test_the_tool_of_our_own_and_a_server_cannot_both_have_the_name(tmp_path: Path) -> None:
    servers = "servers: {fuseboard: {command: x}}\n"
    assert "fuseboard" in loaded(tmp_path, servers).servers
    (finding,) = findings(tmp_path, servers + "checkpoint: {offer: true}")
    assert "checkpoint: found a server named 'fuseboard'" in finding
