from __future__ import annotations

import pytest

from fuseboard.config import Config, HttpServer, StdioServer, ToolFacts
from fuseboard.config.conduct import Links
from fuseboard.config.guards import RunLimits
from fuseboard.config.outline import fields, section_at, walk_keys
from fuseboard.config.rules import Rule
from fuseboard.config.section import Section

TREE = {"servers": {"a": {"command": "x", "tools": {"t": {}}}, "b": {"url": "u"}}, "rules": [{}], "run": {}}


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ((), Config),
        (("run",), RunLimits),
        (("servers", "a"), StdioServer),
        (("servers", "b"), HttpServer),
        (("servers", "a", "tools", "t"), ToolFacts),
        (("rules", 0), Rule),
        (("output", "links"), Links),
        (("run", "calls"), None),
        (("nonsense", "x"), None),
        (("servers",), None),
    ],
)
def test_the_section_at_a_path(path: tuple[str | int, ...], section: type[Section] | None) -> None:
    assert section_at(path, TREE) is section


def test_keys_are_those_of_the_file() -> None:
    assert fields(RunLimits)["time"] == ("time_s", RunLimits.model_fields["time_s"].annotation)


def test_every_key_of_every_section_is_walked() -> None:
    keys = set(walk_keys())
    expected = [
        "mode",
        "run.pause_at",
        "servers.*.url",
        "servers.*.tools.*.lock",
        "rules.*.when",
        "auth.bearer.*.roles",
        "output.links.allow",
        "limits.session_idle",
    ]
    assert {tuple(key.split(".")) for key in expected} <= keys
    assert ("run", "time_s") not in keys
