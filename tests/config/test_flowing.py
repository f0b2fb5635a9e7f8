"""The section ``flow``, and what is stated of servers and tools for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config import ConfigInvalid
from support.config_files import SERVERS, loaded


def test_a_person_is_asked_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    flow = loaded(tmp_path, SERVERS).flow
    assert (flow.copied, flow.rule_of_two, flow.known) == ("ask", "ask", ())


def test_one_known_value_needs_no_list(tmp_path: Path) -> None:
    assert loaded(tmp_path, SERVERS + "flow: {known: a@b.example}").flow.known == ("a@b.example",)


def test_what_is_stated_of_a_server_and_of_a_tool(tmp_path: Path) -> None:
    text = "servers: {x: {command: x, sensitivity: secret, tools: {t: {trust: untrusted, outward: false}}}}"
    server = loaded(tmp_path, text).servers["x"]
    assert (server.sensitivity, server.tools["t"].trust) == ("secret", "untrusted")
    assert (server.tools["t"].outward, server.tools["t"].sensitivity) == (False, None)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("flow: {copied: maybe}", "flow.copied"),
        ("flow: {rule_of_three: ask}", "flow.rule_of_three"),
        ("flow: {known: ['']}", "flow.known"),
    ],
)
def test_a_bad_value_names_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigInvalid, match=place):
        loaded(tmp_path, SERVERS + text)
