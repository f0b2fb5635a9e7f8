"""What a model reads of a broken call: one line a row, checked word for word."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.events import Mismatch
from fuseboard.schemas.compiled import compile_schema
from fuseboard.schemas.errors import explain, pointer

BOOK = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where to read", "minLength": 2},
        "mode": {"enum": ["read", "write"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 10},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": True},
        "name": {"pattern": "^[a-z]+$"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "step": {"multipleOf": 5},
        "fixed": {"const": "v1"},
        "no": {"not": {"type": "string"}},
        "has": {"contains": {"type": "integer"}},
        "pair": {"prefixItems": [{}], "items": False},
        "labels": {"propertyNames": {"maxLength": 3}},
        "shape": {
            "oneOf": [
                {"properties": {"kind": {"const": "dot"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
                {"properties": {"kind": {"const": "line"}, "to": {"type": "integer"}}, "required": ["kind", "to"]},
            ]
        },
        "strict": {"type": "object", "additionalProperties": False},
        "both": {"oneOf": [{"minimum": 0}, {"maximum": 9}]},
    },
    "required": ["path"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "path", "found", "expected"),
    [
        ({}, "", '"path" is missing (it has nothing)', 'the required property "path": string (Where to read)'),
        ({"path": 3}, "/path", "3 (integer)", "string (Where to read)"),
        ({"path": "a"}, "/path", '1 characters: "a"', "2 characters or more (Where to read)"),
        ({"mode": "Raed"}, "/mode", '"Raed"', 'one of "read", "write"; did you mean "read"?'),
        ({"mode": 3}, "/mode", "3", 'one of "read", "write"'),
        ({"count": "3"}, "/count", '"3" (string)', "integer"),
        ({"count": 11}, "/count", "11", "a number of at most 10"),
        ({"count": 0}, "/count", "0", "a number of at least 1"),
        ({"tags": ["a", "b", "c"]}, "/tags", '3 items: ["a", "b", "c"]', "2 items or fewer"),
        ({"tags": ["a", "a"]}, "/tags", '["a", "a"]', "items that differ from each other"),
        ({"tags": ["a", 1]}, "/tags/1", "1 (integer)", "string"),
        ({"name": "A"}, "/name", '"A"', "a match of the pattern ^[a-z]+$"),
        ({"maybe": 3}, "/maybe", "3 (integer)", "string or null"),
        ({"step": 3}, "/step", "3", "a multiple of 5"),
        ({"fixed": "v2"}, "/fixed", '"v2"', 'exactly "v1"'),
        ({"no": "x"}, "/no", '"x"', 'any value but one that fits {"type": "string"}'),
        ({"has": ["x"]}, "/has", '["x"]', 'at least 1 items that fit {"type": "integer"}'),
        ({"pair": [1, 2]}, "/pair/1", "2", "no value here"),
        ({"labels": {"long": 1}}, "/labels", 'a property named "long"', "property names that fit: "),
        ({"shape": {"kind": "line", "to": "x"}}, "/shape/to", '"x" (string)', "integer"),
        (
            {"shape": {"kind": "line"}},
            "/shape",
            '"to" is missing (it has only "kind")',
            'the required property "to": integer',
        ),
        ({"strict": {"a": 1}}, "/strict", 'unknown property "a"', "no further properties"),
        ({"both": 5}, "/both", "5", "exactly one of the alternatives, and it fits several"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_a_mismatch_names_the_place_the_found_and_the_expected(
    arguments: dict[str, Any], path: str, found: str, expected: str
) -> None:
    value = arguments if not arguments or "path" in arguments else {"path": "/x", **arguments}
    (mismatch,) = compile_schema(BOOK).mismatches(value)
    assert (mismatch.path, mismatch.found) == (path, found)
    assert mismatch.expected.startswith(expected)


def test_a_misspelt_property_is_told_from_both_sides() -> None:
    known = 'did you mean "path"? only "path", "mode", '
    unknown, missing = compile_schema(BOOK).mismatches({"paht": "x"})
    assert (unknown.found, unknown.expected[: len(known)]) == ('unknown property "paht"', known)
    assert (missing.found, missing.keyword) == ('"path" is missing (it has only "paht")', "required")


def test_the_root_comes_first() -> None:
    value = {"path": "ok", "count": 0, "tags": ["a", 1], "x": 1, "shape": {"kind": "dot", "x": "1"}}
    assert [m.path for m in compile_schema(BOOK).mismatches(value)] == ["", "/count", "/tags/1", "/shape/x"]


def test_a_reference_is_followed_to_its_words() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"required": ["b"], "properties": {"b": {"type": "null"}}}},
    }
    (mismatch,) = compile_schema(schema).mismatches({"a": {}})
    assert mismatch == Mismatch("/a", '"b" is missing (it has nothing)', 'the required property "b": null', "required")


def test_nothing_to_explain_is_explained_all_the_same() -> None:
    assert explain([], {}, 1) == (Mismatch("", "1", "a value that fits the schema", "schema"),)


def test_a_pointer_escapes() -> None:
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"
