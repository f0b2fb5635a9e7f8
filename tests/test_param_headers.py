"""Arguments mirrored into headers: ours against the SDK's own reading of the specification."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared import inbound

from fuseboard import param_headers
from fuseboard.events import Mirrored
from fuseboard.ports import Request

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "deep": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
        "free": {"type": "string"},
    },
}
DECLARED = param_headers.declared(SCHEMA)
assert DECLARED is not None

values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text(max_size=8), st.lists(st.integers(), max_size=1)
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "region": values,
        "count": values,
        "free": values,
        "deep": st.fixed_dictionaries({}, optional={"on": values}),
    },
)


def over_http(arguments: dict[str, Any], headers: dict[str, str]) -> Request:
    value = {"name": "t", "arguments": arguments}
    return Request(b"1", "tools/call", b"{}", value, {k.lower(): v for k, v in headers.items()}, True)


def test_declarations_are_read_along_properties() -> None:
    assert {
        ("region",): Mirrored("Region", "string"),
        ("count",): Mirrored("Count", "integer"),
        ("deep", "on"): Mirrored("On", "boolean"),
    } == DECLARED


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"type": "number", "x-mcp-header": "A"}, id="a number has no portable text"),
        pytest.param({"type": ["string"], "x-mcp-header": "A"}, id="one type, not a list"),
        pytest.param({"type": "string", "x-mcp-header": ""}, id="no name"),
        pytest.param({"type": "string", "x-mcp-header": "a b"}, id="a name that is no token"),
        pytest.param({"type": "string", "x-mcp-header": 7}, id="a name that is no text"),
        pytest.param({"type": "string", "x-mcp-header": "REGION"}, id="a name that is taken"),
    ],
)
def test_a_bad_declaration_spoils_the_tool(bad: dict[str, Any]) -> None:
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "x": bad}}
    with pytest.raises(param_headers.Misdeclared, match="x"):
        param_headers.declared(schema)
    assert inbound.find_invalid_x_mcp_header(schema) is not None


HEADER = {"type": "string", "x-mcp-header": "A"}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({**HEADER, "properties": {}}, id="the root is no argument"),
        pytest.param({"properties": {"a": {"items": HEADER}}}, id="below an array"),
        pytest.param({"properties": {"a": {"anyOf": [HEADER]}}}, id="in an alternative"),
        pytest.param({"$defs": {"a": HEADER}}, id="in a definition that may be used anywhere"),
        pytest.param({"patternProperties": {"a": HEADER}}, id="in a property of any name"),
        pytest.param({"additionalProperties": HEADER}, id="in a property without a name"),
        pytest.param({"if": {"properties": {"a": HEADER}}}, id="under a condition"),
    ],
)
def test_a_declaration_that_no_chain_of_properties_leads_to_spoils_the_tool(schema: dict[str, Any]) -> None:
    with pytest.raises(param_headers.Misdeclared, match="no chain of properties"):
        param_headers.declared(schema)
    assert inbound.find_invalid_x_mcp_header(schema) is not None


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"properties": {"x-mcp-header": {"type": "string"}}}, id="a property of that name"),
        pytest.param({"properties": {"a": {"default": HEADER}}}, id="a default"),
        pytest.param({"properties": {"a": {"enum": [HEADER]}}}, id="a value"),
        pytest.param(True, id="a schema that is no object"),
    ],
)
def test_what_is_data_declares_nothing(schema: Any) -> None:
    assert param_headers.declared(schema) is None
    assert inbound.find_invalid_x_mcp_header(schema) is None


schemas = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "number", ["string"]])},
        optional={"x-mcp-header": st.sampled_from(["A", "a", "B", "", "b c", 7, None])},
    ),
    lambda inner: st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(st.sampled_from(["p", "q", "x-mcp-header"]), inner, max_size=2),
            "items": inner | st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "$defs": st.dictionaries(st.just("d"), inner, max_size=1),
            "not": inner,
            "default": inner,
        },
    ),
    max_leaves=6,
)


@given(schema=schemas)
def test_what_spoils_a_tool_is_what_the_sdk_drops_it_for(schema: dict[str, Any]) -> None:
    try:
        found = param_headers.declared(schema) or {}
    except param_headers.Misdeclared:
        assert inbound.find_invalid_x_mcp_header(schema) is not None
        return
    assert inbound.find_invalid_x_mcp_header(schema) is None
    assert {path: one.token for path, one in found.items()} == inbound.x_mcp_header_map(schema)


@given(arguments=arguments)
def test_what_is_derived_is_what_the_sdk_derives(arguments: dict[str, Any]) -> None:
    theirs = inbound.mcp_param_headers(inbound.x_mcp_header_map(SCHEMA), arguments)
    assert param_headers.derived(DECLARED, arguments) == theirs


@given(arguments=arguments)
def test_derived_headers_agree_with_their_arguments(arguments: dict[str, Any]) -> None:
    derived = param_headers.derived(DECLARED, arguments)
    assert param_headers.mismatch(DECLARED, over_http(arguments, derived)) is None


@given(arguments=arguments, region=st.text(max_size=6), count=st.sampled_from(["1", "1.0", "1.5", "01", "-1", "x", ""]))
def test_the_sdk_and_we_refuse_the_same(arguments: dict[str, Any], region: str, count: str) -> None:
    headers = {"mcp-param-region": param_headers.encode(region), "mcp-param-count": count}
    theirs = inbound.validate_mcp_param_headers(SCHEMA, arguments, headers)
    ours = param_headers.mismatch(DECLARED, over_http(arguments, headers))
    assert (ours is None) == (theirs is None), (ours, theirs)


@given(text=st.text(max_size=12))
def test_any_text_survives_a_header(text: str) -> None:
    encoded = param_headers.encode(text)
    assert encoded == inbound.encode_header_value(text)
    assert encoded.isascii()
    assert param_headers.decode(encoded) == text


@pytest.mark.parametrize("broken", ["=?base64?%%?=", "=?base64?QQ?=", "=?base64?/w==?="])
def test_a_broken_sentinel_matches_nothing(broken: str) -> None:
    assert param_headers.decode(broken) is None


def test_what_came_over_no_http_has_no_headers_to_disagree_with() -> None:
    request = Request(b"1", "tools/call", b"{}", {"name": "t", "arguments": {"region": "x"}})
    assert param_headers.mismatch(DECLARED, request) is None
