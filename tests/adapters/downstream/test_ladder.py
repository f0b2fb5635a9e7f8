from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    classify_inbound_request,
    encode_header_value,
    find_duplicated_routing_header,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fuseboard.adapters.downstream import ladder
from fuseboard.adapters.downstream.ladder import Routing
from fuseboard.era import CAPABILITIES_KEY, STATELESS_VERSIONS, VERSION_KEY
from fuseboard.errors import ProtocolFault
from fuseboard.ports import Request
from fuseboard.wire import frames

NAMES = st.sampled_from(["echo", "e", "", "é", "日本", "=?base64?ZQ==?=", "=?base64??=", " x ", "\U0001f600"])
VERSIONS = st.sampled_from(["2026-07-28", "2025-11-25", "2031-01-01", ""])
METHODS = st.sampled_from(["tools/call", "prompts/get", "resources/read", "tools/list", "vendor/x"])
SMALL: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-3, 3) | st.just([]) | st.just({})


def wrapped(raw: bytes) -> str:
    return f"=?base64?{base64.b64encode(raw).decode()}?="


HEADER = st.one_of(
    st.none(),
    NAMES.map(encode_header_value),
    NAMES.map(lambda name: wrapped(name.encode())),
    st.binary(max_size=4).map(wrapped),
    st.text("=?base64?AQZzé!/+ ", max_size=20),
    st.sampled_from(["=?base64?ZR==?=", "=?base64?ZQ?=", "=?base64?=", "=?base64??=", "=?BASE64?ZQ==?="]),
)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """A body and its headers, that agree more often than chance would have it."""
    method, version, name = draw(METHODS), draw(VERSIONS), draw(NAMES)
    meta: Any = {}
    if draw(st.booleans()) or draw(st.booleans()):
        meta[VERSION_KEY] = draw(st.just(version) | SMALL) if draw(st.integers(0, 5)) == 0 else version
    if draw(st.integers(0, 5)):
        meta[CAPABILITIES_KEY] = draw(SMALL)
    if draw(st.integers(0, 9)) == 0:
        meta = draw(SMALL)
    params: Any = {"_meta": meta} if draw(st.integers(0, 9)) else {}
    if draw(st.integers(0, 5)):
        params[draw(st.sampled_from(["name", "uri"]))] = name if draw(st.integers(0, 5)) else draw(SMALL)
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    if draw(st.integers(0, 19)) == 0:
        del body["params"]
    headers = {
        ladder.VERSION: draw(st.just(version) | VERSIONS | st.none()),
        ladder.METHOD: draw(st.just(method) | METHODS | st.none()),
        ladder.NAME: draw(st.just(encode_header_value(name)) | HEADER),
    }
    return body, {key.decode(): value for key, value in headers.items() if value is not None}


def judged(body: dict[str, Any], headers: dict[str, str]) -> ladder.Rejection | None:
    request = frames.decode(json.dumps(body).encode())
    assert isinstance(request, Request)
    return ladder.judge(
        request, Routing(*(headers.get(name.decode()) for name in (ladder.VERSION, ladder.METHOD, ladder.NAME)))
    )


@given(exchanges())
def test_the_ladder_judges_as_the_sdk_does(exchange: tuple[dict[str, Any], dict[str, str]]) -> None:
    body, headers = exchange
    theirs = classify_inbound_request(body, headers=headers)
    ours = judged(body, headers)
    if isinstance(theirs, InboundLadderRejection):
        assert ours is not None
        assert (ours.code, ours.data) == (theirs.code, theirs.data)
    else:
        assert ours is None


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    for params in (raw, b'{"_meta":%b}' % raw, b'{"_meta":{"%b":%b}}' % (VERSION_KEY.encode(), raw)):
        request = Request(b"1", "tools/list", params)
        assert ladder.judge(request, Routing("2026-07-28", "tools/list", None)) is not None


@given(
    st.lists(st.sampled_from(["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-x", "cookie"]), max_size=6)
)
def test_repeated_routing_headers_are_found_as_the_sdk_finds_them(names: list[str]) -> None:
    repeated = {name.encode() for name in names if names.count(name) > 1}
    theirs = find_duplicated_routing_header((name, "x") for name in names)
    ours = ladder.repeated(repeated)
    # The SDK leaves Mcp-Param-* to whoever knows the tool; here they must not stand twice at all.
    assert (ours is not None) == (theirs is not None or b"mcp-param-x" in repeated)


def test_the_tables_are_those_of_the_sdk() -> None:
    assert dict(ERROR_CODE_HTTP_STATUS) == dict(ladder.STATUS)
    assert STATELESS_VERSIONS == MODERN_PROTOCOL_VERSIONS


@pytest.mark.parametrize(
    ("params", "modern"),
    [
        (None, False),
        ({}, False),
        ({"_meta": {}}, False),
        ({"_meta": {VERSION_KEY: "2026-07-28"}}, False),
        ({"_meta": {VERSION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}}, True),
    ],
)
def test_a_modern_request_is_known_by_its_envelope(params: Any, modern: bool) -> None:
    raw = None if params is None else json.dumps(params).encode()
    assert ladder.looks_modern(Request(b"1", "tools/list", raw)) is modern


def test_what_is_refused_as_a_frame_never_climbs_the_ladder() -> None:
    with pytest.raises(ProtocolFault):
        frames.decode(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{},"_meta":{}}}')


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
@pytest.mark.parametrize(
    ("task", "header", "agrees"),
    [
        pytest.param("t-1", "t-1", True, id="the same"),
        pytest.param("é", wrapped("é".encode()), True, id="the same, wrapped"),
        pytest.param("t-1", None, True, id="no header, as the SDK for Python sends it"),
        pytest.param("t-1", "t-2", False, id="another task"),
        pytest.param(None, "t-1", False, id="no task in the body"),
        pytest.param(7, "7", False, id="a task that is no text"),
    ],
)
def test_a_request_about_a_task_names_the_same_task_in_its_header(
    method: str, task: Any, header: str | None, agrees: bool
) -> None:
    params: dict[str, Any] = {"_meta": {VERSION_KEY: STATELESS_VERSIONS[0], CAPABILITIES_KEY: {}}}
    if task is not None:
        params["taskId"] = task
    headers = {"mcp-protocol-version": STATELESS_VERSIONS[0], "mcp-method": method}
    if header is not None:
        headers["mcp-name"] = header
    rejection = judged({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers)
    assert (rejection is None) is agrees
    if rejection is not None:
        assert (rejection.code, "taskId" in rejection.message) == (ladder.HEADER_MISMATCH, True)
