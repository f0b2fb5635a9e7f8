import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import decode_header_value, encode_header_value

from fuseboard.adapters.upstream.headers import encode, routing

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXTS)
def test_the_codec_is_that_of_the_sdk(value: str) -> None:
    assert encode(value) == encode_header_value(value)
    assert decode_header_value(encode(value)) == value


@pytest.mark.parametrize("value", ["", "a", " a", "a ", "a b", "a\r\nEvil: 1", "é", "=?base64?YQ==?=", "\x7f", "\t"])
def test_the_corners_of_the_codec_are_those_of_the_sdk(value: str) -> None:
    assert encode(value) == encode_header_value(value)


@given(TEXTS, TEXTS)
def test_no_method_and_no_name_ever_ends_a_header_line(method: str, name: str) -> None:
    for shown in (method, "tools/call"):
        headers = routing(shown, json.dumps({"name": name}).encode())
        assert all(value.isascii() and (value.isprintable() or not value) for value in headers.values())


@pytest.mark.parametrize(
    ("method", "params", "headers"),
    [
        pytest.param("tools/list", b"{}", {"Mcp-Method": "tools/list"}, id="nothing to name"),
        pytest.param("tools/call", b'{"name":"echo"}', {"Mcp-Method": "tools/call", "Mcp-Name": "echo"}, id="a tool"),
        pytest.param("prompts/get", b'{"name":"p"}', {"Mcp-Method": "prompts/get", "Mcp-Name": "p"}, id="a prompt"),
        pytest.param(
            "resources/read", b'{"uri":"x://a"}', {"Mcp-Method": "resources/read", "Mcp-Name": "x://a"}, id="a resource"
        ),
        pytest.param("tasks/get", b'{"taskId":"t"}', {"Mcp-Method": "tasks/get", "Mcp-Name": "t"}, id="a task"),
        pytest.param("tools/call", None, {"Mcp-Method": "tools/call"}, id="no params"),
        pytest.param("tools/call", b'{"name":5}', {"Mcp-Method": "tools/call"}, id="a name that is none"),
        pytest.param("tools/call", b'{"uri":"x"}', {"Mcp-Method": "tools/call"}, id="the wrong key"),
        pytest.param(
            "tools/call", b'{"name":"a","uri":5}', {"Mcp-Method": "tools/call", "Mcp-Name": "a"}, id="a key of others"
        ),
    ],
)
def test_a_request_is_shown_to_whoever_routes_it(method: str, params: bytes | None, headers: dict[str, str]) -> None:
    assert routing(method, params) == headers
