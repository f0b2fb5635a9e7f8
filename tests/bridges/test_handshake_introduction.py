"""What a handshake client and a stateless server are told of each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges.handshake_introduction import changing_lists, client_capabilities, initialize_result


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({}, {}),
        (None, {}),
        ("all", {}),
        ({"elicitation": {}}, {"elicitation": {"form": {}}}),
        ({"elicitation": {"x-v": 1}}, {"elicitation": {"x-v": 1, "form": {}}}),
        ({"elicitation": {"url": {}}}, {"elicitation": {"url": {}}}),
        ({"elicitation": {"form": {}, "url": {}}}, {"elicitation": {"form": {}, "url": {}}}),
        ({"roots": {"listChanged": True, "x": 1}}, {"roots": {"x": 1}}),
        ({"sampling": {"tools": {}}, "tasks": {"list": {}}}, {"sampling": {"tools": {}}}),
        ({"experimental": {"a": {}}, "x-v": 1}, {"experimental": {"a": {}}, "x-v": 1}),
        (
            {"extensions": {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {}}},
            {"extensions": {"io.modelcontextprotocol/ui": {}}},
        ),
    ],
)
def test_the_client_s_capabilities_in_the_words_of_the_stateless_era(declared: Any, said: Any) -> None:
    assert client_capabilities(declared) == said


def discovered(**capabilities: Any) -> bytes:
    return json.dumps({"resultType": "complete", "capabilities": capabilities}).encode()


def test_the_lists_whose_changes_are_offered() -> None:
    offered = discovered(resources={"listChanged": True}, tools={"listChanged": True}, prompts={"listChanged": False})
    assert changing_lists(offered) == ["tools", "resources"]
    assert changing_lists(b"{}") == []
    assert changing_lists(b'{"capabilities":{"tools":7}}') == []


def told(*, listening: bool = True, delivered: tuple[str, ...] = (), **capabilities: Any) -> Any:
    raw = initialize_result(discovered(**capabilities), version="2025-06-18", listening=listening, delivered=delivered)
    return json.loads(raw)["capabilities"]


def test_changes_are_promised_where_they_are_delivered() -> None:
    offered: dict[str, Any] = {"tools": {"listChanged": True, "x": 1}, "prompts": {"listChanged": True}, "x-v": 1.5}
    assert told(**offered, delivered=("tools", "prompts")) == offered
    assert told(**offered, delivered=("prompts",)) == {**offered, "tools": {"x": 1}}


def test_updates_are_promised_where_the_server_can_be_listened_to() -> None:
    assert told(resources={"subscribe": True}) == {"resources": {"subscribe": True}}
    assert told(resources={"subscribe": True}, listening=False) == {"resources": {}}


def test_tasks_are_hidden_and_other_extensions_are_not() -> None:
    extensions = {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {}}
    assert told(extensions=extensions) == {"extensions": {"io.modelcontextprotocol/ui": {}}}


def test_capabilities_that_hold_keep_every_byte() -> None:
    raw = b'{"capabilities":{ "tools":{"listChanged":true, "x":1.10} }}'
    said = initialize_result(raw, version="2025-06-18", listening=True, delivered=("tools",))
    assert b'"capabilities":{ "tools":{"listChanged":true, "x":1.10} }' in said
