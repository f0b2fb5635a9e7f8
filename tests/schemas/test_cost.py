from __future__ import annotations

from typing import Any

import pytest

from fuseboard.schemas.cost import COMPARED_COST, LONGEST_CHAIN, Cost, References, Unusable, weights


def _ladder(steps: int) -> dict[str, Any]:
    rungs: dict[str, Any] = {
        f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(steps)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**rungs, f"d{steps}": {"type": "string"}}}


def _cost(schema: Any) -> Cost:
    return Cost(schema, lambda pattern: "(?=" in pattern)


def test_a_plain_schema_costs_what_it_has() -> None:
    cost = _cost({"type": "object", "properties": {"a": {"type": "string"}, "b": {"items": {"type": "null"}}}})
    assert [cost.at(depth) for depth in range(4)] == [1, 1, 1, 0]


def test_a_ladder_doubles_with_each_rung() -> None:
    assert [_cost(_ladder(steps)).at(0) > 2**steps for steps in (3, 10, 30)] == [True] * 3


def test_overlapping_recursion_doubles_with_each_level() -> None:
    cost = _cost({"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]})
    assert [cost.at(depth + 1) >= 2 * cost.at(depth) for depth in range(30)] == [True] * 30


def test_a_json_value_described_by_itself_stays_linear() -> None:
    cost = _cost({"anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]})
    assert max(cost.at(depth) for depth in range(30)) <= 5


def test_only_one_named_property_meets_a_child() -> None:
    wide = {"properties": {f"p{i}": {"type": "string"} for i in range(500)}}
    assert _cost(wide).at(1) == 1


def test_a_backtracking_pattern_weighs_more() -> None:
    assert _cost({"pattern": "^(?=a)b"}).at(0) > 50 * _cost({"pattern": "^a"}).at(0)
    assert _cost({"patternProperties": {"(?=a)": True}}).at(1) > 50


@pytest.mark.parametrize(
    ("schema", "cost"),
    [
        pytest.param({"enum": ["a"] * 500}, 1, id="strings are looked up"),
        pytest.param({"enum": [1, "a"] * 250}, 501, id="a mixture is compared one by one"),
        pytest.param({"enum": [{"v": i} for i in range(500)]}, 501 + COMPARED_COST * 1_000, id="objects part by part"),
        pytest.param({"const": list(range(500))}, 2 + COMPARED_COST * 501, id="one large constant"),
        pytest.param({"required": ["a"] * 500}, 501, id="required names"),
        pytest.param({"dependentRequired": {"a": ["b"] * 500}}, 501, id="names that others require"),
    ],
)
def test_lists_of_the_schema_count(schema: Any, cost: int) -> None:
    assert _cost(schema).at(0) == cost
    assert _cost({"items": schema}).at(1) == cost


def test_counting_itself_ends() -> None:
    knots = {
        f"d{i}": {"properties": {"a": {"$ref": f"#/$defs/d{(i + 1) % 1_500}"}}, "items": {"$ref": f"#/$defs/d{i}"}}
        for i in range(1_500)
    }
    cost = _cost({"$defs": knots, "anyOf": [{"$ref": f"#/$defs/{name}"} for name in knots]})
    with pytest.raises(Unusable, match="entangled"):
        [cost.at(depth) for depth in range(65)]


def test_siblings_that_need_a_second_look_count_twice() -> None:
    assert _cost({"allOf": [{}, {}], "unevaluatedProperties": False}).at(0) == 6


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#"}, id="itself"),
        pytest.param({"allOf": [{"$ref": "#"}]}, id="itself, through a combination"),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, id="a circle"
        ),
    ],
)
def test_a_reference_without_end_is_refused(schema: Any) -> None:
    with pytest.raises(Unusable, match="without end"):
        _cost(schema).at(0)


def test_a_chain_too_long_to_follow_is_refused() -> None:
    links: dict[str, Any] = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(LONGEST_CHAIN + 5)}
    with pytest.raises(Unusable, match="on and on"):
        _cost({"$ref": "#/$defs/d0", "$defs": links}).at(0)


DOCUMENT: dict[str, Any] = {
    "$id": "https://example.com/root.json",
    "$defs": {
        "plain": {"type": "string"},
        "a/b": {"type": "null"},
        "named": {"$anchor": "here", "type": "integer"},
        "inner": {"$id": "inner.json", "$defs": {"x": {"type": "boolean"}}, "items": {"$ref": "#/$defs/x"}},
    },
}


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("#/$defs/plain", "string"),
        ("#/$defs/a~1b", "null"),
        ("#/%24defs/plain", "string"),
        ("#here", "integer"),
        ("https://example.com/root.json#/$defs/plain", "string"),
        ("inner.json#/$defs/x", "boolean"),
    ],
)
def test_references_stay_in_the_document(reference: str, kind: str) -> None:
    found: Any = References(DOCUMENT).resolve(reference, DOCUMENT)
    assert found["type"] == kind


def test_a_reference_counts_from_the_resource_that_it_stands_in() -> None:
    inner = DOCUMENT["$defs"]["inner"]
    assert References(DOCUMENT).resolve("#/$defs/x", inner["items"]) == {"type": "boolean"}


def test_a_meta_schema_is_known() -> None:
    assert References(DOCUMENT).resolve("https://json-schema.org/draft/2020-12/schema", DOCUMENT) is None


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("https://evil.example/x", "never fetched"),
        ("file:///etc/passwd", "never fetched"),
        ("other.json", "never fetched"),
        ("#/$defs/absent", "names nothing"),
        ("#absent", "names nothing"),
    ],
)
def test_other_references_are_refused(reference: str, message: str) -> None:
    with pytest.raises(Unusable, match=message):
        References(DOCUMENT).resolve(reference, DOCUMENT)


def test_a_value_is_weighed_level_by_level() -> None:
    assert weights({"a": [1, 2], "b": "x" * 2_048}, depth=9) == [1, 4, 2]  # the long string counts for three
    assert weights([[[]]], depth=2) == [1, 1, 1]
    assert weights([[[]]], depth=1) is None
