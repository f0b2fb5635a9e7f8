from __future__ import annotations

import json
import re
import threading
from time import perf_counter
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuseboard.schemas.compiled import MOST_MISMATCHES, CompiledSchema, Limits, compile_schema


@pytest.mark.parametrize(
    ("dialect", "fits"),
    [
        pytest.param(None, False, id="2020-12 is the default"),
        pytest.param("https://json-schema.org/draft/2020-12/schema", False, id="2020-12"),
        pytest.param("http://json-schema.org/draft-07/schema#", True, id="draft 7 knows no prefixItems"),
        pytest.param("https://json-schema.org/draft/2019-09/schema", True, id="nor does 2019-09"),
    ],
)
def test_the_schema_names_its_dialect(dialect: str | None, fits: bool) -> None:
    schema: dict[str, Any] = {"prefixItems": [{"type": "string"}]}
    if dialect:
        schema["$schema"] = dialect
    assert (compile_schema(schema).mismatches([1]) == ()) is fits


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def _ladder(steps: int) -> dict[str, Any]:
    rungs = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(steps)}
    return {"$ref": "#/$defs/d0", "$defs": {**rungs, f"d{steps}": {"type": "string"}}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param({"$ref": "https://evil.example/x"}, "never fetched", id="a network reference"),
        pytest.param({"$ref": "file:///etc/passwd"}, "never fetched", id="a file reference"),
        pytest.param({"properties": {"a": {"$ref": "x.json"}}}, "never fetched", id="a relative reference"),
        pytest.param({"$defs": {"u": {"$ref": "http://a/b"}}}, "cannot fetch|not present", id="one that nobody uses"),
        pytest.param({"$ref": "#/$defs/no"}, "names nothing", id="a reference to nothing"),
        pytest.param({"allOf": [{"$ref": "#"}]}, "without end", id="a reference without end"),
        pytest.param(_ladder(30), "unfold", id="a ladder"),
        pytest.param(_nested(80), "nested deeper than 64", id="too deep"),
        pytest.param(b"[" * 100_000, "nested|not JSON", id="a tower of brackets"),
        pytest.param({"description": "x" * 300_000}, "bytes, more than", id="too large"),
        pytest.param({"type": "strnig"}, "strnig", id="no schema"),
        pytest.param({"$defs": {str(i): {"pattern": str(i)} for i in range(200)}}, "patterns", id="too many patterns"),
        pytest.param({"pattern": "("}, "regex", id="no regular expression"),
        pytest.param({"pattern": "(a{1000}){1000}"}, "regex", id="a regular expression too large"),
        pytest.param({"$schema": "http://example.com/mine"}, "meta-schema", id="an unknown dialect"),
        pytest.param({"$schema": 3}, "not a URI", id="no dialect"),
        pytest.param(b"{", "not JSON", id="no JSON"),
        pytest.param(b'{"maximum": NaN}', "not JSON", id="not a number"),
        pytest.param(b"[1]", "not an object", id="a list"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why_and_fits_nothing(raw: bytes | dict[str, Any], message: str) -> None:
    schema = compile_schema(raw)
    assert re.search(message, schema.refusal or "")
    ((mismatch),) = schema.mismatches({})
    assert mismatch.keyword == "$schema"


@pytest.mark.parametrize(
    "raw",
    [
        True,
        {},
        b'{"type": "object"}',
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"$id": "https://e.com/a", "$ref": "b", "$defs": {"b": {"$id": "b"}}},
        {"pattern": "^(?!no)[a-z]+$"},
        {"properties": {"$ref": {"type": "string"}}},
        {"const": {"$ref": "https://example.com/data"}},
        {"anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]},
    ],
    ids=str,
)
def test_a_schema_that_can_be_used_has_no_refusal(raw: Any) -> None:
    assert compile_schema(raw).refusal is None


def test_nothing_is_compiled_before_its_first_use_and_then_once() -> None:
    schema = compile_schema(b"nonsense")
    answers: list[str | None] = []
    threads = [threading.Thread(target=lambda: answers.append(schema.refusal)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(answer is answers[0] and answer is not None for answer in answers)


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        pytest.param({"type": "integer"}, 2**80, True, id="a large integer is an integer"),
        pytest.param({"maximum": 10}, 2**80, False, id="and is compared"),
        pytest.param({"minimum": 10}, 2**80, True, id="both ways"),
        pytest.param({"maximum": 10}, 10**4_000, False, id="a huge one, too"),
        pytest.param({"type": "integer"}, 5.0, True, id="5.0 is an integer"),
        pytest.param({"type": "integer"}, True, False, id="true is none"),
        pytest.param({"multipleOf": 0.01}, 19.99, True, id="cents are exact"),
        pytest.param({"type": "number"}, 1e308, True, id="a large float"),
        pytest.param({"type": "number"}, float("nan"), False, id="NaN is no number"),
        pytest.param({"type": "string"}, "\ud800", False, id="a lone surrogate is no string"),
        pytest.param({}, {1: 2}, False, id="a key that is no string"),
        pytest.param({"format": "email"}, "no address", True, id="formats annotate"),
    ],
)
def test_values_at_the_edge_raise_nothing(schema: dict[str, Any], value: Any, fits: bool) -> None:
    assert (compile_schema(schema).mismatches(value) == ()) is fits


@pytest.mark.parametrize(
    ("schema", "value", "keyword"),
    [
        pytest.param({"items": {"required": list("abcdefghij")}}, [{}] * 50_000, "required", id="ten errors an item"),
        pytest.param({"anyOf": [{"items": {"type": "null"}}]}, [{}] * 50_000, "schema", id="inside of alternatives"),
        pytest.param({"required": [f"f{i}" for i in range(1_000)]}, {"a": "x" * 300_000}, "required", id="copies"),
        pytest.param({"propertyNames": {"maxLength": 2}}, {f"k{i}": 1 for i in range(1_300)}, None, id="names"),
        pytest.param({"items": {"enum": [f"v{i}" for i in range(15_000)]}}, ["zz"] * 300, "enum", id="many options"),
        pytest.param(
            {"items": {"enum": [{"v": i} for i in range(9_000)]}}, [{"v": 8_999}] * 5_000, "size", id="objects"
        ),
        pytest.param(
            {"items": {"properties": {"a" * 40 + str(i): {} for i in range(99)}, "additionalProperties": False}},
            [{"a" * 41 + str(i): 1 for i in range(30)}] * 40,
            "additionalProperties",
            id="near misses",
        ),
    ],
)
def test_telling_is_bounded_too(schema: dict[str, Any], value: Any, keyword: str | None) -> None:
    compiled = compile_schema(schema)
    assert compiled.refusal is None
    start = perf_counter()
    mismatches = compiled.mismatches(value)
    assert perf_counter() - start < 0.25  # some 20 ms; unbounded, each of these takes from 0.5 to 10 s
    assert mismatches
    assert keyword in (None, mismatches[0].keyword)


def test_a_small_value_is_told_all_of_its_faults() -> None:
    rows = compile_schema({"items": {"anyOf": [{"required": ["a", "b"]}]}}).mismatches([{}] * 4)
    assert [mismatch.path for mismatch in rows] == ["/0", "/0", "/1", "/1", "/2", "/2", "/3", "/3"]


def _tower(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


RECURSIVE = {"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}, {"type": "string"}]}
EVIL = r"^(a+)+(?=b)\1c$"


@pytest.mark.parametrize(
    ("schema", "value", "keyword"),
    [
        pytest.param({}, _tower(5_000), "depth", id="a tower"),
        pytest.param(RECURSIVE, _tower(50), "size", id="what would double with each level"),
        pytest.param({"items": True}, [0] * 1_000_000, "size", id="too many parts"),
        pytest.param({"items": {"pattern": EVIL}}, ["a"] * 20_000, "size", id="too many matches of an evil pattern"),
        pytest.param({"pattern": EVIL}, "a" * 60 + "b", "pattern", id="one evil match gives up"),
        pytest.param(
            {"pattern": "^(a+)+$"}, "a" * 100_000 + "b", "pattern", id="a pattern without look-around is linear"
        ),
    ],
)
def test_the_work_is_bounded_before_it_is_done(schema: dict[str, Any], value: Any, keyword: str) -> None:
    ((mismatch),) = compile_schema(schema).mismatches(value)
    assert mismatch.keyword == keyword


def test_ordinary_large_values_are_within_bounds() -> None:
    schema = compile_schema({"type": "object", "properties": {"rows": {"items": {"type": "object"}}}})
    assert schema.mismatches({"rows": [{"id": i, "name": "x" * 50} for i in range(20_000)]}) == ()


def test_the_bounds_can_be_set() -> None:
    schema = compile_schema({"type": "array"}, limits=Limits(value_depth=2))
    assert schema.mismatches([[1]]) == ()
    assert schema.mismatches([[[1]]])[0].keyword == "depth"


def test_never_more_than_ten() -> None:
    schema = compile_schema({"items": {"type": "string"}})
    assert len(schema.mismatches(list(range(1_000)))) == MOST_MISMATCHES


# --- against the reference -------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "c"])
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**53, 2**63, -(2**70), 1.0, 2.5, -0.5]),
    st.sampled_from(["", "a", "ab", "b", "é"]),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=8
)
_TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


@st.composite
def _keywords(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    few = st.integers(0, 2)
    schemas = st.lists(inner, min_size=1, max_size=2)
    grammar: dict[str, st.SearchStrategy[Any]] = {
        "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(_VALUES, min_size=1, max_size=3),
        "const": _VALUES,
        "minimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "multipleOf": st.integers(1, 3),
        "minLength": few,
        "maxLength": few,
        "pattern": st.sampled_from(["^a", "b$", "^(?!a)"]),
        "minItems": few,
        "maxItems": few,
        "uniqueItems": st.booleans(),
        "items": inner,
        "prefixItems": schemas,
        "contains": inner,
        "properties": st.dictionaries(_NAMES, inner, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "c"]), inner, max_size=1),
        "additionalProperties": inner,
        "propertyNames": inner,
        "required": st.lists(_NAMES, max_size=2, unique=True),
        "dependentRequired": st.dictionaries(_NAMES, st.lists(_NAMES, max_size=1), max_size=1),
        "allOf": schemas,
        "anyOf": schemas,
        "oneOf": schemas,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "unevaluatedProperties": inner,
        "$ref": st.just("#/$defs/d"),
    }
    names = draw(st.lists(st.sampled_from(sorted(grammar)), max_size=4, unique=True))
    return {name: draw(grammar[name]) for name in names}


_SCHEMAS = st.recursive(st.booleans() | st.fixed_dictionaries({"type": _TYPES}), _keywords, max_leaves=6)


@settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=_SCHEMAS, defs=_SCHEMAS, values=st.lists(_VALUES, min_size=4, max_size=8))
def test_the_engine_agrees_with_the_reference(schema: Any, defs: Any, values: list[Any]) -> None:
    document = {**schema, "$defs": {"d": defs}} if isinstance(schema, dict) else schema
    ours = compile_schema(json.dumps(document).encode())
    if ours.refusal is not None:
        assert "without end" in ours.refusal
        return
    reference = jsonschema.Draft202012Validator(document)
    for value in values:
        found = ours.mismatches(value)
        assert (found == ()) is reference.is_valid(value), (document, value, found)
        assert len(found) <= MOST_MISMATCHES
        for mismatch in found:
            _lookup(value, mismatch.path)


def _lookup(value: Any, path: str) -> None:
    for token in path.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]


def test_a_compiled_schema_is_a_schema() -> None:
    assert isinstance(compile_schema({}), CompiledSchema)
