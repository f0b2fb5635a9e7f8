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


def test_a_log_level_is_part_of_the_envelope_where_one_was_set() -> None:
    sent = era.with_envelope(None, client_info={}, capabilities={}, log_level="info")
    assert json.loads(sent)["_meta"][era.LOG_LEVEL_KEY] == "info"


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


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Failure(b'{ "code": 1 }'), id="an error"),
        pytest.param(Result(b"[ 1 ]"), id="a list"),
        pytest.param(Result(b"null"), id="null"),
        pytest.param(Result(b"{"), id="no JSON"),
    ],
)
def test_what_is_no_result_object_passes_as_it_is(reply: Result | Failure) -> None:
    assert era.as_stateless(reply) is reply


def test_a_result_that_needs_no_change_keeps_every_byte() -> None:
    typed = Result(b'{ "resultType" : "input_required" }')
    assert era.as_stateless(typed) is typed


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


def test_what_a_discovery_says_beyond_that_is_kept_and_takes_nothing_over() -> None:
    discovered = b'{"ttlMs":1,"protocolVersion":"x","x-v":1.10,"_meta":{"io.modelcontextprotocol/other":1,"mine":1E2}}'
    said = era.initialize_result(discovered, version="2025-06-18")
    assert b'"x-v":1.10' in said
    assert b'"_meta":{"mine":1E2}' in said
    assert json.loads(said)["protocolVersion"] == "2025-06-18"
    assert "ttlMs" not in json.loads(said)


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


def test_a_discovery_is_made_of_an_introduction_in_its_own_bytes() -> None:
    introduced = (
        b'{"protocolVersion":"2025-06-18","capabilities":{"tools":{"x":1.10},"tasks":{}},'
        b'"serverInfo":{"name":"s","version":"1"},"instructions":"Mind.","_meta":{"a/b":1E2}}'
    )
    raw = era.discover_result(introduced)
    found = json.loads(raw)
    assert found["capabilities"] == {"tools": {"x": 1.10}}
    assert b'{"x":1.10}' in raw
    assert b"1E2" in raw
    assert found["_meta"][era.SERVER_INFO_KEY]["name"] == "s"
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")
    assert "protocolVersion" not in found
    assert json.loads(era.discover_result(b"{}"))["capabilities"] == {}


def test_a_missing_resource_is_a_bad_parameter_in_the_stateless_era() -> None:
    missing = Failure(b'{"code":-32002,"message":"m","data":{"uri":"a:b","x":1.10}}')
    assert era.error_as_stateless(missing) == Failure(b'{"code":-32602,"message":"m","data":{"uri":"a:b","x":1.10}}')
    for other in (Failure(b'{"code":-32603,"message":"-32002"}'), Result(b'{"code":-32002}'), Failure(b"[-32002]")):
        assert era.error_as_stateless(other) is other


@pytest.mark.parametrize(
    ("error", "mismatch"),
    [({"code": HEADER_MISMATCH, "message": "x"}, True), ({"code": -32602}, False), ([], False)],
)
def test_an_error_that_says_that_the_headers_do_not_fit(error: Any, mismatch: bool) -> None:
    assert era.is_header_mismatch(Failure(written(error))) is mismatch


@pytest.mark.parametrize("method", ["tools/list", "resources/read", "resources/templates/list"])
def test_lists_and_contents_say_that_they_are_stale_at_once_unless_the_server_said_otherwise(method: str) -> None:
    reply = era.as_stateless(Result(b'{"x":[ 1.10 ],"ttlMs":5}'), method)
    assert json.loads(reply.raw) == {"x": [1.1], "ttlMs": 5, "cacheScope": "private", "resultType": "complete"}
    assert b"[ 1.10 ]" in reply.raw
    assert b"ttlMs" not in era.as_stateless(Result(b"{}"), "tools/call").raw
