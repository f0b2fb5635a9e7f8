"""Strings are found where they stand, and everything around them keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.fields import Kind, Root
from fuseboard.cleaning.tokens import document, kept_apart, pointer, quoted, unquoted, written

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *_strings(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner)]
    return [value] if isinstance(value, str) else []


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_every_string_is_found_in_order(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps({"structuredContent": value}, ensure_ascii=ascii_only, indent=indent).encode()
    assert [text.was for text in document(raw, Root.RESULT).texts] == _strings(value)


@given(JSON)
def test_what_is_written_differs_in_the_changed_strings_alone(value: Any) -> None:
    raw = json.dumps({"structuredContent": value}, indent=1).encode()
    found = document(raw, Root.RESULT).texts
    assert written(raw, found, {}) == raw
    for text in found:
        if not text.is_key:
            text.now = text.was + "!"
    assert _strings(json.loads(written(raw, found, {}))["structuredContent"]) == [text.now for text in found]


@given(st.text())
def test_a_string_is_quoted_and_unquoted_alike(text: str) -> None:
    assert unquoted(quoted(text)) == text
    assert json.loads(quoted(text)) == text


def test_numbers_and_spelling_stay() -> None:
    raw = b'{ "structuredContent" : {"n": 1.10, "big": 1180591620717411303424, "e": "\\u0041", "t": "x"} }'
    found = document(raw, Root.RESULT).texts
    found[-1].now = "y"
    assert written(raw, found, {}) == raw.replace(b'"x"', b'"y"')


def test_places_are_json_pointers_that_can_be_read() -> None:
    raw = json.dumps({"content": [{"text": "a"}], "structuredContent": {"a/b~\u202e": "x"}}).encode()
    assert [text.place for text in document(raw, Root.RESULT).texts] == [
        "/content/0/text",
        "/structuredContent/a~1b~0\\u202e",
        "/structuredContent/a~1b~0\\u202e",
    ]
    assert pointer(()) == ""


def test_objects_say_where_they_are_and_what() -> None:
    raw = b'{"content":[{"type":"image","data":"AA=="},{"x":{"type":"inner"}}]}'
    objects = document(raw, Root.RESULT).objects
    assert [(one.type, one.field, one.place) for one in objects] == [
        (None, None, ""),
        ("image", "content", "/content/0"),
        (None, "content", "/content/1"),
        ("inner", "x", "/content/1/x"),
    ]
    assert raw[objects[1].start : objects[1].end] == b'{"type":"image","data":"AA=="}'


def test_keys_that_became_equal_are_told_apart() -> None:
    found = document(b'{"structuredContent":{"k":1,"k_":2,"k__":3}}', Root.RESULT).texts
    for text in found:
        text.now = "k"
    kept_apart(found)
    assert [text.now for text in found] == ["k", "k (2)", "k (3)"]


def test_what_is_no_json_does_no_harm() -> None:
    for raw in (b"", b"]]}}", b'{"a', b'{"content":[{"text":', b'"alone"', b",,,"):
        document(raw, Root.RESULT, Kind.VALUE)
