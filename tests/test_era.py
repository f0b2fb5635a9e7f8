"""What changes in a message that crosses from one era to the other, and that nothing else does."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fuseboard import __version__, era
from fuseboard.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
)
from fuseboard.ports import Failure, Result

VERSION = "io.modelcontextprotocol/protocolVersion"
INFO = "io.modelcontextprotocol/clientInfo"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ODD = rb'"x": [ 1.10, 1180591620717411303424, "\u00e9\/" ]'


def written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# What a request says of itself.


@pytest.mark.parametrize(
    ("params", "meta"),
    [
        pytest.param(None, {}, id="no params"),
        pytest.param(b"{}", {}, id="no _meta"),
        pytest.param(b'{"_meta":{"a":1}}', {"a": 1}, id="some"),
        pytest.param(b'{"_meta":null}', {}, id="null"),
        pytest.param(b'{"_meta":7}', {}, id="a number"),
        pytest.param(b"7", {}, id="params that are no object"),
    ],
)
def test_the_meta_of_a_request(params: bytes | None, meta: dict[str, Any]) -> None:
    assert era.meta_of(params) == meta


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ({"name": "claude", "version": "1.2"}, "claude/1.2"),
        ({"name": "claude"}, "claude"),
        ({"name": "claude", "version": 2}, "claude"),
        ({"version": "1"}, None),
        ({"name": 7}, None),
        ("claude", None),
        (None, None),
    ],
)
def test_the_name_of_a_client(info: Any, name: str | None) -> None:
    assert era.client_name(info) == name


def test_a_client_s_name_is_cut_where_one_sees_it() -> None:
    name = era.client_name({"name": "N" * 200_000, "version": "1"})
    assert name == "N" * (era.MAX_CLIENT_NAME - 1) + "…"
    assert era.client_name({"name": "n" * 254, "version": "1"}) == "n" * 254 + "/1"


# Requests.


def test_the_envelope_is_put_round_a_request_and_the_rest_keeps_its_bytes() -> None:
    sent = era.with_envelope(b'{%b,"_meta":{"mine":1.10}}' % ODD, client_info={"name": "c"}, capabilities={"roots": {}})
    assert ODD.partition(b" ")[2] in sent
    assert b'"mine":1.10' in sent
    assert json.loads(sent)["_meta"] == {
        "mine": 1.1,
        VERSION: "2026-07-28",
        INFO: {"name": "c"},
        CAPABILITIES: {"roots": {}},
    }


def test_a_request_without_params_gets_its_envelope_too() -> None:
    assert set(json.loads(era.with_envelope(None, client_info={}, capabilities={}))["_meta"]) == {
        VERSION,
        INFO,
        CAPABILITIES,
    }


def test_a_meta_that_is_no_object_is_the_client_s_fault() -> None:
    with pytest.raises(msgspec.MsgspecError):
        era.with_envelope(b'{"_meta":7}', client_info={}, capabilities={})


@pytest.mark.parametrize(
    ("params", "without"),
    [
        pytest.param(None, None, id="no params"),
        pytest.param(
            b'{%b,"_meta":{"%b":"2026-07-28","mine":1.10}}' % (ODD, VERSION.encode()),
            b'{"x":[ 1.10, 1180591620717411303424, "\\u00e9\\/" ],"_meta":{"mine":1.10}}',
            id="the protocol's keys go, the client's stay",
        ),
        pytest.param(b'{"a":1,"_meta":{"%b":{}}}' % INFO.encode(), b'{"a":1}', id="an empty _meta goes"),
    ],
)
def test_the_envelope_is_taken_off(params: bytes | None, without: bytes | None) -> None:
    assert era.without_envelope(params) == without


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(b'{"a" : 1.10 , "_meta":{"mine":1}}', id="nothing of the protocol's"),
        pytest.param(b'{"a" : "io.modelcontextprotocol/x"}', id="an argument that speaks of it"),
        pytest.param(b'{"a" : "io.modelcontextprotocol/x", "_meta":{"mine":1}}', id="one beside a _meta"),
    ],
)
def test_what_has_no_envelope_keeps_every_byte(params: bytes) -> None:
    assert era.without_envelope(params) is params


def test_on_and_off_again_leaves_what_was_there() -> None:
    params = written({"name": "t", "arguments": {"n": 1}, "_meta": {"progressToken": 3}})
    assert era.without_envelope(era.with_envelope(params, client_info={}, capabilities={})) == params


# Results.


def test_a_result_for_a_stateless_client_says_its_type() -> None:
    assert era.as_stateless(Result(b'{"content":[ 1.10 ]}')) == Result(b'{"content":[ 1.10 ],"resultType":"complete"}')


def test_a_result_for_a_handshake_client_says_nothing_that_it_does_not_know() -> None:
    reply = Result(b'{"content":[ 1.10 ],"resultType":"complete","ttlMs":0,"cacheScope":"public","x-v":1E2}')
    assert era.as_handshake(reply) == Result(b'{"content":[ 1.10 ],"x-v":1E2}')


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Failure(b'{ "code": 1 }'), id="an error"),
        pytest.param(Result(b"[ 1 ]"), id="a list"),
        pytest.param(Result(b"null"), id="null"),
        pytest.param(Result(b"{"), id="no JSON"),
    ],
)
def test_what_is_no_result_object_passes_both_ways_as_it_is(reply: Result | Failure) -> None:
    assert era.as_stateless(reply) is reply
    assert era.as_handshake(reply) is reply


def test_a_result_that_needs_no_change_keeps_every_byte() -> None:
    typed = Result(b'{ "resultType" : "input_required" }')
    assert era.as_stateless(typed) is typed
    plain = Result(b'{ "content" : [] }')
    assert era.as_handshake(plain) is plain


@pytest.mark.parametrize(
    ("raw", "asks"),
    [
        pytest.param(b'{"resultType":"input_required","inputRequests":{}}', True, id="it does"),
        pytest.param(b'{ "resultType" : "input_required" }', True, id="pretty-printed"),
        pytest.param(b'{"resultType":"complete"}', False, id="it does not"),
        pytest.param(b'{"structuredContent":{"state":"input_required"}}', False, id="its content speaks of it"),
        pytest.param(b'["input_required"]', False, id="no result at all"),
    ],
)
def test_whether_a_server_asks_for_input(raw: bytes, asks: bool) -> None:
    assert era.asks_for_input(Result(raw)) is asks
    assert not era.asks_for_input(Failure(raw))


# Introductions.


def test_a_discovery_reads_as_the_answer_to_initialize() -> None:
    discovered = written(
        {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "x-vendor": {"a": 1}},
            "instructions": "Be kind.",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}},
        }
    )
    assert json.loads(era.initialize_result(discovered, version="2025-06-18")) == {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}, "x-vendor": {"a": 1}},
        "serverInfo": {"name": "s", "version": "1"},
        "instructions": "Be kind.",
    }


def test_a_discovery_that_says_nothing_still_makes_a_valid_answer() -> None:
    assert json.loads(era.initialize_result(b"{}", version="2025-06-18")) == {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "serverInfo": {"name": "unknown", "version": "0"},
    }


@pytest.mark.parametrize(
    ("meta", "info"),
    [
        ({INFO: {"name": "c", "version": "1", "x": 1}}, {"name": "c", "version": "1", "x": 1}),
        ({}, {"name": "unknown", "version": "0"}),
    ],
)
def test_a_stateless_client_shakes_hands_under_its_own_name_and_promises_nothing(
    meta: dict[str, Any], info: dict[str, Any]
) -> None:
    assert json.loads(era.initialize_params(meta)) == {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": info,
    }


def test_on_its_own_account_the_proxy_goes_by_its_own_name() -> None:
    me = {"name": "fuseboard", "version": __version__}
    assert era.own_envelope() == {VERSION: "2026-07-28", INFO: me, CAPABILITIES: {}}
    assert json.loads(era.own_initialize())["clientInfo"] == me


@pytest.mark.parametrize(
    ("error", "speaks"),
    [
        ({"code": UNSUPPORTED_VERSION, "data": {"supported": ["2026-07-28", "2099-01-01"]}}, True),
        ({"code": UNSUPPORTED_VERSION, "data": {"supported": ["2025-11-25"]}}, False),
        ({"code": UNSUPPORTED_VERSION, "data": {}}, False),
        ({"code": UNSUPPORTED_VERSION}, False),
        ({"code": HEADER_MISMATCH}, True),
        ({"code": MISSING_CAPABILITY, "message": "x", "data": {"requiredCapabilities": {}}}, True),
        ({"code": METHOD_NOT_FOUND}, False),
        ({"code": INVALID_PARAMS}, False),
        ({"code": "no"}, False),
        ("no", False),
    ],
)
def test_whether_a_refusal_of_discovery_comes_from_the_stateless_era(error: Any, speaks: bool) -> None:
    assert era.speaks_stateless(Failure(written(error))) is speaks


@pytest.mark.parametrize("data", ["no supported versions here", ["2026-07-28"], {"supported": "2026-07-28"}])
def test_data_of_another_shape_never_hides_a_code_that_tells(data: Any) -> None:
    assert era.speaks_stateless(Failure(written({"code": MISSING_CAPABILITY, "data": data})))
