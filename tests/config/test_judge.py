from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config import ConfigInvalid, load
from support.config_files import SERVERS, findings, loaded, written

MANY = """\
version: 1
servers:
  github:
    url: api.github.com/mcp
    headrs: {Authorization: "Bearer ${env:GITHUB_TOKN}"}
    timeot: 5
run: {time: 1 hoar, calls: -3}
braker: {strikes: 0, oppen: 5}
rules:
  - {id: a, decide: forbid}
  - {id: a, decide: deny}
auth: {bearer: {ana: aaaaaaaaaaaaaaaa, bo: aaaaaaaaaaaaaaaa}}
cedar: nope.cedar
version: 1
"""


def test_every_problem_of_the_file_is_found_in_one_go(tmp_path: Path) -> None:
    found = findings(tmp_path, MANY, env={"GITHUB_TOKEN": "x"})
    assert [line.split(": ")[0] for line in found] == [
        "4:10 servers.github.url",
        "5:5 servers.github.headrs",
        "5:29 servers.github.headrs.Authorization",
        "6:5 servers.github.timeot",
        "6:13 servers.github.timeot",
        "7:13 run.time",
        "7:28 run.calls",
        "8:1 braker",
        "8:19 braker.strikes",
        "8:22 braker.oppen",
        "8:29 braker.oppen",
        "10:21 rules[0].decide",
        "11:10 rules[1].id",
        "12:40 auth.bearer.bo",
        "13:8 cedar[0]",
        "14:1 version",
    ]


def test_what_stands_under_a_misspelt_key_is_judged_as_what_was_meant(tmp_path: Path) -> None:
    assert findings(tmp_path, "sevrers: {x: {comand: npx, args: 5}}") == [
        "1:1 sevrers: unknown key 'sevrers' - did you mean 'servers'?",
        "1:15 sevrers.x.comand: unknown key 'comand' - did you mean 'command'?",
        "1:34 sevrers.x.args: found 5; expected a list",
    ]


def test_a_misspelt_key_is_an_error_even_where_the_rest_is_right(tmp_path: Path) -> None:
    assert findings(tmp_path, SERVERS + "braker: {strikes: 3}") == [
        "2:1 braker: unknown key 'braker' - did you mean 'breaker'?"
    ]


def test_a_reference_is_read_only_where_it_is_expected(tmp_path: Path) -> None:
    assert findings(tmp_path, SERVERS + "mode: '${env:MODE}'", env={"MODE": "observe"}) == [
        "2:7 mode: found a reference; they are read in servers, auth and store alone",
    ]


def test_an_unset_variable_is_one_finding(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "servers: {x: {url: '${env:URL}'}}")
    assert found.startswith("1:20 servers.x.url: the environment variable URL is not set")


@pytest.mark.parametrize("text", ["[]", "5", "just words"])
def test_a_file_without_keys_is_no_configuration(tmp_path: Path, text: str) -> None:
    (found,) = findings(tmp_path, text)
    assert "a configuration is made of keys and values" in found


def test_a_clients_file_is_taken_with_what_else_is_in_it(tmp_path: Path) -> None:
    text = '{"inputs": [{"id": "x"}], "servers": {"a": {"command": "x"}}, "numStartups": 5, "$schema": "x"}'
    config = loaded(tmp_path, text, name="mcp.json")
    assert list(config.servers) == ["a"]
    assert config.notes == (
        "inputs: read over: it is no key of Fuseboard's",
        "numStartups: read over: it is no key of Fuseboard's",
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"mcpServers": {"a": {"command": "x"}}, "ruels": []}', id="a near miss of a key"),
        pytest.param('{"mcpServers": {"a": {"command": "x"}}, "mode": "observe", "inputs": []}', id="a file of ours"),
    ],
)
def test_a_json_file_with_our_keys_in_it_is_read_strictly(tmp_path: Path, text: str) -> None:
    assert "unknown key" in findings(tmp_path, text, name="mcp.json")[0]


def test_a_yaml_file_is_never_read_over(tmp_path: Path) -> None:
    assert "unknown key 'inputs'" in findings(tmp_path, SERVERS + "inputs: []")[0]


def test_no_message_holds_a_secret(tmp_path: Path) -> None:
    text = """\
servers:
  x: {url: "h/${env:TOKEN}", headers: {A: "${env:TOKEN}", B: lit-s3cret, C: 5, D: [1]}, env: {E: lit-s3cret}}
auth: {bearer: {ana: s3cret}}
store: mysql://u:lit-s3cret@h
"""
    with pytest.raises(ConfigInvalid) as error:
        load(written(tmp_path, text), env={"TOKEN": "env-s3cret"})
    assert len(error.value.findings) >= 5
    assert "env-s3cret" not in str(error.value)
    shown = [finding for finding in error.value.findings if finding.path != "store"]
    assert not [finding for finding in shown if "s3cret" in str(finding)]
