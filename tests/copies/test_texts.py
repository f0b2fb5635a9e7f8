"""Results and arguments as they are compared."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.copies.passages import holds
from fuseboard.copies.texts import (
    is_address,
    is_distinctive,
    is_path,
    is_plain_number,
    leaves,
    normalised,
    pieces,
    text_of,
    text_of_value,
)

VALUES = st.text('abcdefghijklmnopqrstuvwxyzäßé0123456789@.-_/"\\', min_size=4, max_size=40).filter(
    lambda value: bool(normalised(value))
)


def _shapes(value: str) -> dict[str, Any]:
    """The value in every place of a result, an error or a prompt where a model would read it."""
    packed = base64.b64encode(f"see {value} there".encode()).decode()
    nested = json.dumps({"deep": [{"to": value}]})
    return {
        "text": {"content": [{"type": "text", "text": f"pay to {value} now"}]},
        "embedded text": {"content": [{"type": "resource", "resource": {"uri": "a:b", "text": value}}]},
        "embedded blob": {"content": [{"type": "resource", "resource": {"uri": "a:b", "blob": packed}}]},
        "link": {"content": [{"type": "resource_link", "uri": "a:b", "name": "x", "description": f"or {value}"}]},
        "structured": {"content": [], "structuredContent": {"rows": [[1, {"to": value}]]}},
        "a key": {"content": [], "structuredContent": {value: 1}},
        "JSON inside a text": {"content": [{"type": "text", "text": nested}]},
        "an error": {"code": -32603, "message": "failed", "data": {"hint": f"try {value}"}},
        "an error's text": {"isError": True, "content": [{"type": "text", "text": value}]},
        "a resource": {"contents": [{"uri": "a:b", "text": f"{value}, please"}]},
        "a prompt": {"messages": [{"role": "user", "content": {"type": "text", "text": value}}]},
    }


@given(VALUES)
def test_a_whole_value_is_found_wherever_a_model_would_read_it(value: str) -> None:
    for place, shape in _shapes(value).items():
        for spelt in (json.dumps(shape), json.dumps(shape, ensure_ascii=False), json.dumps(shape, indent=2)):
            assert holds(text_of(spelt.encode()), normalised(value)), place


def test_numbers_are_found_too() -> None:
    assert holds(text_of(b'{"structuredContent": {"id": 4711, "rate": 1.5}}'), "4711")
    assert holds(text_of(b'{"structuredContent": {"id": 4711, "rate": 1.5}}'), "1.5")


def test_entities_are_read_as_a_model_reads_them() -> None:
    assert holds(text_of(b'{"text": "https://x.example/?a=1&amp;b=2"}'), "https://x.example/?a=1&b=2")


def test_what_is_no_json_is_looked_into_as_it_is() -> None:
    assert holds(text_of(b"\xff broken, eve@example.org"), "eve@example.org")


@pytest.mark.parametrize(
    ("one", "other"),
    [("EVE@Example.ORG", "eve@example.org"), ("a  b\n\tc", "a b c"), ("ﬁle", "file"), ("Ｅve", "eve")],
)
def test_spelling_tells_nothing_apart(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("text", "address", "distinctive"),
    [
        ("eve@example.org", True, True),
        ("gb29nwbk60161331926819", True, True),
        ("https://x.example/a", False, True),
        ("/srv/data/a.txt", False, True),
        ("open", False, False),
        ("new york", False, False),
        ("a quite long text of plain words", False, True),
        ("order-4711", False, True),
    ],
)
def test_what_nobody_writes_by_chance(text: str, address: bool, distinctive: bool) -> None:
    assert (is_address(text), is_distinctive(text)) == (address, distinctive)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("src/a.py", True),
        ("c:\\work\\a.txt", True),
        ("readme.md", True),
        ("https://x.example/a", False),
        ("www.x.example/a", False),
        ("eve@example.org", False),
        ("rm -rf /srv", False),
        ("order-4711", False),
    ],
)
def test_what_names_a_file(text: str, path: bool) -> None:
    assert is_path(text) is path


@pytest.mark.parametrize(
    ("text", "plain"), [("10.0", True), ("2024-05", False), ("12345", True), ("123456", False), ("1a", False)]
)
def test_few_digits_alone_say_little(text: str, plain: bool) -> None:
    assert is_plain_number(text) is plain


def test_the_pieces_of_a_longer_text() -> None:
    text = normalised("Look at (https://bad.example/p?q=1), or write to Eve@Example.org. Code X9-44-71, 10.50.")
    assert list(pieces(text)) == ["https://bad.example/p?q=1", "eve@example.org", "x9-44-71"]
    assert "bad.example" in list(pieces(text, hosts=True))


def test_leaves_are_named_by_pointers_and_come_in_order() -> None:
    found, whole = leaves({"to": ["a@b.cd", {"x/y": 7}], "ok": True, "none": None, "": "Z"})
    assert [(leaf.path, leaf.text) for leaf in found] == [("/to/0", "a@b.cd"), ("/to/1/x~1y", "7"), ("/", "z")]
    assert whole


def test_more_than_can_be_looked_at_is_not_passed_over_in_silence() -> None:
    assert leaves({"a": ["x"] * 1000})[1] is False
    assert leaves({"a": "x" * 200_000, "b": "y"})[1] is False


def test_the_arguments_of_a_call_as_one_text() -> None:
    assert text_of_value({"path": "/A/b", "n": 3}) == "path /a/b n 3"
