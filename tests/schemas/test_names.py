from __future__ import annotations

from typing import Any

import pytest

from fuseboard.schemas.compiled import compile_schema

PATH: dict[str, Any] = {"properties": {"path": {"type": "string"}}}
TREE: dict[str, Any] = {"properties": {"name": {}, "kids": {"items": {"$ref": "#"}}}}


@pytest.mark.parametrize(
    ("schema", "value", "place"),
    [
        pytest.param(PATH, {"path": "a", "Path": "b"}, "", id="besides the declared one"),
        pytest.param(PATH, {"PATH": "b"}, "", id="instead of it"),
        pytest.param(PATH, {"\uff50ath": "b"}, "", id="a wide letter"),
        pytest.param({"properties": {"dstHost": {}}}, {"dsthost": 1}, "", id="the declared name may have capitals"),
        pytest.param({"properties": {"mask": {}}}, {"ma\u017f\u212a": 1}, "", id="a long s and a Kelvin sign"),
        pytest.param(
            {"properties": {"edits": {"items": PATH}}}, {"edits": [{}, {"Path": 1}]}, "/edits/1", id="in a list"
        ),
        pytest.param({"additionalProperties": PATH}, {"a/b": {"Path": 1}}, "/a~1b", id="in a further property"),
        pytest.param({"patternProperties": {"^a": PATH}}, {"ab": {"Path": 1}}, "/ab", id="in one that fits a pattern"),
        pytest.param({"$ref": "#/$defs/p", "$defs": {"p": PATH}}, {"Path": 1}, "", id="by reference"),
        pytest.param({"anyOf": [PATH, {"type": "null"}]}, {"Path": 1}, "", id="by an alternative"),
        pytest.param(TREE, {"kids": [{"kids": [{"Name": 1}]}]}, "/kids/0/kids/0", id="by recursion"),
    ],
)
def test_a_key_that_only_folds_to_a_declared_one_is_a_mismatch(schema: Any, value: Any, place: str) -> None:
    ((mismatch),) = compile_schema(schema).mismatches(value)
    assert (mismatch.path, mismatch.keyword) == (place, "properties")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param(PATH, {"path": "a", "other": 1}, id="other names"),
        pytest.param({"properties": {"path": {}, "Path": {}}}, {"path": 1, "Path": 2}, id="both are declared"),
        pytest.param({"allOf": [PATH, {"properties": {"Path": {}}}]}, {"path": "a", "Path": 2}, id="by two schemas"),
        pytest.param({"properties": {**PATH["properties"], "env": {}}}, {"env": {"PATH": "/bin"}}, id="elsewhere"),
        pytest.param(
            {"properties": {"path": {}, "rows": {"type": "array"}}}, {"rows": [{"Path": 1}] * 50_000}, id="rows"
        ),
        pytest.param(True, {"Path": 1}, id="nothing is declared"),
    ],
)
def test_other_keys_are_as_free_as_the_schema_leaves_them(schema: Any, value: Any) -> None:
    assert compile_schema(schema).mismatches(value) == ()


def test_a_value_too_large_to_be_walked_does_not_fit() -> None:
    rows = [{"path": "a"}] * 30_000
    assert compile_schema({"items": PATH}).mismatches(rows) == ()
    assert compile_schema({"items": PATH}).mismatches([*rows, {"Path": "b"}])[0].keyword == "properties"
