"""What an agent says of its progress: bounded, and kept once a run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard.checkpoint import (
    DEFINITION,
    EXPOSED,
    ITEM_CHARACTERS,
    ITEMS,
    SUMMARY_CHARACTERS,
    TOOL,
    UPSTREAM,
    Note,
    checkpoint_key,
    is_checkpoint,
)
from fuseboard.events import Tool
from fuseboard.routing import split
from fuseboard.schemas.compiled import compile_schema
from fuseboard.state import Snapshot
from support.judging import call

OURS = Tool(UPSTREAM, TOOL, EXPOSED)
SCHEMA = compile_schema(json.dumps(json.loads(DEFINITION)["inputSchema"]).encode())


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"summary": "half way"}, True),
        ({"summary": "half way", "done": ["read"], "left": ["write", "test"]}, True),
        ({"summary": "x" * SUMMARY_CHARACTERS}, True),
        ({"summary": "x" * (SUMMARY_CHARACTERS + 1)}, False),
        ({"summary": ""}, False),
        ({"summary": 7}, False),
        ({}, False),
        ({"summary": "x", "note": "more"}, False),
        ({"summary": "x", "done": "read"}, False),
        ({"summary": "x", "done": ["x"] * (ITEMS + 1)}, False),
        ({"summary": "x", "left": ["x" * (ITEM_CHARACTERS + 1)]}, False),
    ],
)
def test_the_schema_takes_nothing_else(arguments: dict[str, Any], fits: bool) -> None:
    assert (SCHEMA.mismatches(arguments) == ()) is fits


def test_the_tool_says_that_it_only_reads_and_names_no_limit() -> None:
    definition = json.loads(DEFINITION)
    assert definition["annotations"]["readOnlyHint"] is True
    words = DEFINITION.decode().lower()
    assert not [word for word in ("milestone", "pause", "review", "budget", "limit") if word in words]


def test_the_exposed_name_leads_back_to_the_tool() -> None:
    assert split(EXPOSED) == (UPSTREAM, TOOL)


_ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=2000), st.lists, max_leaves=30)


@given(st.dictionaries(st.sampled_from(["summary", "done", "left", "other"]), _ANY))
def test_whatever_is_said_stays_within_the_bounds(arguments: dict[str, Any]) -> None:
    note = Note.read(arguments, at=1.0)
    summary = arguments.get("summary")
    assert (note is not None) is (isinstance(summary, str) and bool(summary.strip()))
    if note is not None:
        assert len(note.summary) <= SUMMARY_CHARACTERS
        assert max(len(note.done), len(note.left)) <= ITEMS
        assert all(len(item) <= ITEM_CHARACTERS for item in (*note.done, *note.left))


def test_what_is_kept_comes_back() -> None:
    note = Note(3.0, "half way", ("read",), ("write", "test"))
    push = note.written("r1", ttl_s=60.0)
    assert (push.key, push.keep, push.ttl_s) == (checkpoint_key("r1"), 1, 60.0)
    assert Note.last("r1", Snapshot({push.key: [push.item]})) == note
    assert Note.last("r1", Snapshot()) is None
    assert list(note.lines()) == ["half way", "done: read", "left: write; test"]
    assert list(Note(3.0, "half way").lines()) == ["half way"]


@pytest.mark.parametrize(
    ("method", "tool", "ours"),
    [
        ("tools/call", OURS, True),
        ("prompts/get", OURS, False),
        ("tools/call", replace(OURS, upstream="other"), False),
        ("tools/call", replace(OURS, name="other"), False),
    ],
)
def test_only_a_call_of_our_own_tool_is_one(method: str, tool: Tool, ours: bool) -> None:
    assert is_checkpoint(call(tool, method=method)) is ours
