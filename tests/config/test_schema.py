from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from fuseboard.config.outline import walk_keys
from fuseboard.config.schema import json_schema

SCHEMA = json_schema()
VALID = jsonschema_rs.validator_for(SCHEMA)
SERVERS = "servers: {files: {command: npx}}\n"


def reads(text: str) -> bool:
    return bool(VALID.is_valid(YAML(typ="safe", pure=True).load(text)))


@pytest.mark.parametrize(
    "text",
    [
        "run: {calls: 1k, time: 1h30m, output: 4MiB, tokens: 5, rate: 5/s, pause_at: 50%}",
        "run: {calls: null, rate: null}",
        "rules: [{id: a, tools: x, decide: deny}, {id: b, tools: [x], effect: read, decide: ask}]",
        "auth: {bearer: {ana: '${env:A}', bo: {token: aaaaaaaaaaaaaaaa, roles: x}}}",
        "store: postgres://u@h/d",
        "store: sqlite:x.db",
        "store: '${env:STORE}'",
        "cedar: x.cedar",
        "output: {links: {allow: '*'}}",
    ],
)
def test_what_a_file_may_say(text: str) -> None:
    assert reads(SERVERS + text)


@pytest.mark.parametrize(
    "text",
    [
        "servers: {a: {command: x, args: [-p, 8080], env: {PORT: 8080}, autoApprove: [x], disabled: true}}",
        "mcpServers: {a: {url: 'https://h', type: streamable-http, headers: {A: b}}}",
        "servers: {a: {url: 'https://h', transport: sse}}",
    ],
)
def test_other_clients_blocks(text: str) -> None:
    assert reads(text)


@pytest.mark.parametrize(
    "text",
    [
        "run: {time: 1 hoar}",
        "run: {time_s: 5}",
        "braker: {}",
        "rules: [{id: a}]",
        "mode: enforced",
        "store: mysql://h",
        "servers: {}",
    ],
)
def test_what_a_file_may_not_say(text: str) -> None:
    assert not reads(text if text.startswith("servers") else SERVERS + text)


def _properties(node: Any) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            found += list(properties.items())
        for inner in node.values():
            found += _properties(inner)
    elif isinstance(node, list):
        for inner in node:
            found += _properties(inner)
    return found


def test_every_property_has_a_description_and_none_shows_our_own_formats() -> None:
    properties = _properties(SCHEMA)
    assert not [name for name, property in properties if not property.get("description")]
    assert "fuseboard-" not in str(SCHEMA)


def test_every_key_is_in_it() -> None:
    known = {name for name, _ in _properties(SCHEMA)}
    assert {path[-1] for path in walk_keys() if path[-1] != "*"} <= known


def test_defaults_are_spelt_as_a_file_spells_them() -> None:
    run = SCHEMA["$defs"]["RunLimits"]["properties"]
    assert (run["time"]["default"], run["output"]["default"], run["pause_at"]["default"]) == ("30m", "10MB", "50%")
    assert run["rate"]["default"] == "60/min burst 60"
    assert SCHEMA["$defs"]["Limits"]["properties"]["body"]["default"] == "4MiB"
