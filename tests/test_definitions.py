"""Definitions as they are shown: clean, short enough, and else byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.result import Cleaner
from fuseboard.config.conduct import Output
from fuseboard.definitions import Wash, as_listed, shortened
from support.pinning import LISTINGS

LONG = "word " * 3000


def page(*tools: dict[str, Any]) -> bytes:
    return json.dumps({"tools": list(tools)}).encode()


def test_real_lists_pass_byte_for_byte() -> None:
    wash = Wash("u", Cleaner(Output()), most_bytes=8000)
    for fields in LISTINGS.values():
        raw = page(*fields["tools"])
        assert wash("tools/list", raw) is raw


def test_what_hides_is_taken_out_and_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    wash = Wash("u", Cleaner(Output()), most_bytes=8000)
    schema = {"properties": {"a": {"description": "x\u202ey", "title": "\x1b[2Jt"}}}
    (tool,) = json.loads(wash("tools/list", page({"name": "n", "description": "d\u200b", "inputSchema": schema})))[
        "tools"
    ]
    assert tool["description"] == "d"
    assert tool["inputSchema"]["properties"]["a"] == {"description": "xy", "title": "t"}
    assert "tools/list of u is cleaned: " in caplog.text


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "n", "description": LONG},
        {"name": "n", "title": LONG},
        {"name": "n", "inputSchema": {"properties": {"a": {"description": LONG}}}},
        {"name": "n", "vendor": {"note": LONG}},
    ],
)
def test_prose_that_nobody_would_read_is_cut_with_a_marker(tool: dict[str, Any]) -> None:
    raw = page(tool)
    short, cut = shortened(raw, 1000)
    assert cut == 1
    assert len(short) < 1400
    assert "bytes were cut here" in short.decode()
    json.loads(short)


@pytest.mark.parametrize(
    "tool",
    [
        {"name": LONG},
        {"name": "n", "inputSchema": {"properties": {"a": {"const": LONG, "enum": [LONG], "pattern": LONG}}}},
        {"name": "n", "_meta": {"x": LONG}},
        {"name": "n", "inputSchema": {"properties": {LONG: {}}, "required": [LONG]}},
    ],
)
def test_what_has_to_match_is_never_cut(tool: dict[str, Any]) -> None:
    raw = page(tool)
    assert shortened(raw, 1000) == (raw, 0)


@given(st.lists(st.text(max_size=600), max_size=5))
def test_whatever_is_cut_the_list_is_still_that_list(texts: list[str]) -> None:
    raw = page(*({"name": str(n), "description": text} for n, text in enumerate(texts)))
    once, _ = shortened(raw, 400)
    assert [tool["name"] for tool in json.loads(once)["tools"]] == [str(n) for n in range(len(texts))]
    if len(once) <= len(raw):
        assert all(len(tool["description"]) < 700 for tool in json.loads(once)["tools"])


def test_nothing_is_done_where_nothing_is_enforced() -> None:
    assert as_listed("tools/list", b"x") == b"x"
