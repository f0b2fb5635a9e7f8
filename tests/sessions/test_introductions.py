"""Several servers introduced as one."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.sessions.introductions import merged_capabilities, merged_instructions, with_tools


@pytest.mark.parametrize(
    ("each", "merged"),
    [
        pytest.param([], {}, id="nobody can do anything"),
        pytest.param([{"tools": {}}, {"prompts": {}}], {"tools": {}, "prompts": {}}, id="what one of them can"),
        pytest.param(
            [{"tools": {"listChanged": True}}, {"tools": {}}], {"tools": {"listChanged": True}}, id="a feature of one"
        ),
        pytest.param(
            [{"tools": {"listChanged": True}}, {"tools": {"listChanged": False}}],
            {"tools": {"listChanged": True}},
            id="what one denies takes nothing from the other",
        ),
        pytest.param(
            [{"resources": {"subscribe": True}}, {"resources": {"listChanged": True}}],
            {"resources": {"subscribe": True, "listChanged": True}},
            id="features of several",
        ),
        pytest.param(
            [{"extensions": {"a/ui": {"types": ["x"]}}}, {"extensions": {"a/ui": {"types": ["y"], "z": 1}, "b/c": {}}}],
            {"extensions": {"a/ui": {"types": ["x"], "z": 1}, "b/c": {}}},
            id="settings of one extension: the first one's, and what only the other says",
        ),
        pytest.param(
            [{"experimental": {"a": {"on": False}}}, {"experimental": {"a": {"on": True}}}],
            {"experimental": {"a": {"on": True}}},
            id="a plain no below is no word against a yes",
        ),
        pytest.param(
            [{"completions": {}, "logging": {}}, {"completions": {}, "x": None}],
            {"completions": {}, "logging": {}, "x": None},
            id="what has no settings",
        ),
        pytest.param([{"x-vendor": {"a": [1]}}, {"y": 7}], {"x-vendor": {"a": [1]}, "y": 7}, id="vendor capabilities"),
        pytest.param([{"x": True}, {"x": {"a": 1}}], {"x": {"a": 1}}, id="an object beside what is none"),
        pytest.param([{"x": {"a": 1}}, {"x": True}], {"x": {"a": 1}}, id="the other way round"),
    ],
)
def test_capabilities_are_what_at_least_one_can_do(each: list[dict[str, Any]], merged: dict[str, Any]) -> None:
    assert merged_capabilities(each, everything=False) == merged


def test_while_some_are_still_to_come_all_lists_are_promised_and_said_to_change() -> None:
    merged = merged_capabilities([{"tools": {}, "prompts": True, "logging": {}}], everything=True)
    changing = {"listChanged": True}
    assert merged == {"tools": changing, "prompts": changing, "resources": changing, "logging": {}}


def test_merging_changes_none_of_the_originals() -> None:
    one: dict[str, Any] = {"tools": {}}
    merged_capabilities([one, {"tools": {"listChanged": True}}], everything=True)
    assert one == {"tools": {}}


@pytest.mark.parametrize(
    ("each", "merged"),
    [
        pytest.param({}, {}, id="no upstream"),
        pytest.param({"a": None, "b": "  \n", "c": 7}, {}, id="none has any"),
        pytest.param({"a": "Use me.\n"}, {"instructions": "## a\nUse me."}, id="one has some"),
        pytest.param({"a": "A", "b": None, "c": "C"}, {"instructions": "## a\nA\n\n## c\nC"}, id="two have some"),
    ],
)
def test_instructions_stand_under_their_aliases(each: dict[str, Any], merged: dict[str, str]) -> None:
    assert merged_instructions(each) == merged


@pytest.mark.parametrize(
    ("introduction", "told"),
    [
        (b'{"capabilities": {"tools": {}}}', b'{"capabilities": {"tools": {}}}'),
        (b'{"capabilities":{"prompts":{}},"v":1.10}', b'{"capabilities":{"prompts":{},"tools":{}},"v":1.10}'),
        (b'{"v":1.10}', b'{"v":1.10,"capabilities":{"tools":{}}}'),
        (b'{"capabilities": 7}', b'{"capabilities": 7}'),
        (b"[]", b"[]"),
    ],
)
def test_tools_of_our_own_are_promised_where_the_upstream_has_none(introduction: bytes, told: bytes) -> None:
    assert with_tools(introduction) == told
