"""What is judged is what is sent: whatever two parsers could read differently is refused."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.errors import INVALID_REQUEST, PARSE_ERROR, ProtocolFault
from fuseboard.wire import strict

KNOWN = frozenset({"name", "arguments", "uri", "_meta"})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def parse(data: bytes, depth: int = 128) -> Any:
    return strict.parse(data, depth=depth)


def refusal(data: bytes, depth: int = 128) -> ProtocolFault:
    with pytest.raises(ProtocolFault) as caught:
        parse(data, depth)
    return caught.value


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        pytest.param(b'{"a":1,"a":2}', INVALID_REQUEST, "'a' stands twice", id="a key twice at the top"),
        pytest.param(b'{"x":{"a":1,"b":0,"a":1}}', INVALID_REQUEST, "'a' stands twice", id="a key twice within"),
        pytest.param(b'[[{"a":1,"a":1}]]', INVALID_REQUEST, "'a' stands twice", id="a key twice under arrays"),
        pytest.param(b'{"a":1,"\\u0061":2}', INVALID_REQUEST, "'a' stands twice", id="a key twice, once escaped"),
        pytest.param(b'{"a":NaN}', PARSE_ERROR, "NaN", id="NaN"),
        pytest.param(b'{"a":Infinity}', PARSE_ERROR, "Infinity", id="Infinity"),
        pytest.param(b"[-Infinity]", PARSE_ERROR, "-Infinity", id="minus Infinity"),
        pytest.param(b"1e999", INVALID_REQUEST, "1e999", id="a number beyond every float"),
        pytest.param(b"[-1.5E+999]", INVALID_REQUEST, "too large", id="a negative one"),
        pytest.param(b"1" * 401, INVALID_REQUEST, "401 digits", id="an integer of 401 digits"),
        pytest.param(b"1" * 100_000, INVALID_REQUEST, "100000 digits", id="an integer that takes time to read"),
        pytest.param(b'"\\ud800"', PARSE_ERROR, "surrogate", id="a high surrogate alone"),
        pytest.param(b'{"\\udc00":1}', PARSE_ERROR, "surrogate", id="a low surrogate alone, in a key"),
        pytest.param(b'"\\udc00\\ud800"', PARSE_ERROR, "surrogate", id="a pair the wrong way round"),
        pytest.param(b'"\\uD83D\\\\uDE00"', PARSE_ERROR, "surrogate", id="a pair with a backslash between"),
        pytest.param(b'"\xed\xa0\x80"', PARSE_ERROR, "byte 1 is not UTF-8", id="a surrogate as raw bytes"),
        pytest.param(b'{"a":"\xff"}', PARSE_ERROR, "byte 6 is not UTF-8", id="a byte that is not UTF-8"),
        pytest.param(b'"\xc0\xaf"', PARSE_ERROR, "not UTF-8", id="an overlong slash"),
        pytest.param(b"\xef\xbb\xbf{}", PARSE_ERROR, "not JSON", id="a byte order mark"),
        pytest.param("{}".encode("utf-16"), PARSE_ERROR, "not UTF-8", id="UTF-16"),
        pytest.param(b"{} {}", PARSE_ERROR, "not JSON", id="trailing bytes"),
        pytest.param(b"{}\x00", PARSE_ERROR, "not JSON", id="a trailing NUL"),
        pytest.param(b"", PARSE_ERROR, "not JSON", id="nothing"),
        pytest.param(b'{"a":1,}', PARSE_ERROR, "not JSON", id="a trailing comma"),
        pytest.param(b"{'a':1}", PARSE_ERROR, "not JSON", id="single quotes"),
        pytest.param(b'{"a":"x\ny"}', PARSE_ERROR, "not JSON", id="a raw line break in a string"),
        pytest.param(b'{"a":01}', PARSE_ERROR, "not JSON", id="a leading zero"),
        pytest.param(b'{"a":+1}', PARSE_ERROR, "not JSON", id="a plus sign"),
        pytest.param(b'{"a":.5}', PARSE_ERROR, "not JSON", id="a bare fraction"),
    ],
)
def test_refused(data: bytes, code: int, said: str) -> None:
    fault = refusal(data)
    assert fault.code == code
    assert said in fault.message


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b'{"a":{"a":1},"b":{"a":2}}', {"a": {"a": 1}, "b": {"a": 2}}, id="the same key in two objects"),
        pytest.param(b'"\\ud83d\\ude00"', "😀", id="a surrogate pair"),
        pytest.param(b'"\\\\ud800"', "\\ud800", id="an escaped backslash before what looks like one"),
        pytest.param(b"1180591620717411303424", 2**70, id="an integer of 71 bits"),
        pytest.param(b" \r\n\t[ ] ", [], id="white space around"),
        pytest.param(b"1e308", 1e308, id="the largest floats"),
        pytest.param(b"-0.0", -0.0, id="minus zero"),
        pytest.param(b'"\\u0000"', "\0", id="an escaped NUL"),
    ],
)
def test_accepted(data: bytes, value: Any) -> None:
    assert parse(data) == value


@given(json_values)
def test_what_is_accepted_reads_as_any_parser_reads_it(value: Any) -> None:
    for ascii_only in (True, False):
        try:
            data = json.dumps(value, ensure_ascii=ascii_only).encode()
        except UnicodeEncodeError:
            continue
        assert parse(data) == json.loads(data)


@given(st.binary(max_size=40))
def test_bytes_of_any_kind_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        value = parse(data)
    except ProtocolFault:
        return
    assert value == json.loads(data)


# Depth.


def arrays(depth: int, core: bytes = b"") -> bytes:
    return b"[" * depth + core + b"]" * depth


def objects(depth: int, core: bytes = b"1") -> bytes:
    return b'{"a":' * depth + core + b"}" * depth


@pytest.mark.parametrize("nested", [arrays, objects])
@pytest.mark.parametrize("depth", [129, 500, 10_000, 200_000])
def test_too_deep_is_refused(nested: Any, depth: int) -> None:
    assert "nested deeper than 128 levels" in refusal(nested(depth)).message


@pytest.mark.parametrize("nested", [arrays, objects])
def test_as_deep_as_is_allowed_is_accepted(nested: Any) -> None:
    parse(nested(128))
    parse(nested(3), depth=3)
    assert refusal(nested(4), depth=3)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    parse(b"[" + b",".join([b"[[]]"] * 1000) + b"]", depth=3)
    parse(json.dumps("[" * 1000).encode(), depth=1)


@pytest.mark.parametrize("nested", [arrays, objects])
def test_no_depth_near_the_end_of_the_stack_escapes_as_anything_else(nested: Any) -> None:
    """Decoding may just have room on the stack where what follows it has not."""
    limit = sys.getrecursionlimit()
    for depth in range(limit - 120, limit + 20):
        refusal(nested(depth, b'"\\ud83d\\ude00"'))


# Near misses.


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        pytest.param("Name", "name", id="other letter case"),
        pytest.param("NAME", "name", id="all capitals"),
        pytest.param("argument\u017f", "arguments", id="the long s"),
        pytest.param("ｎａｍｅ", "name", id="full-width letters"),
        pytest.param("nam\u212f", "name", id="a script letter"),
        pytest.param("_Meta", "_meta", id="the meta key"),
        pytest.param("URI", "uri", id="an abbreviation in capitals"),
    ],
)
def test_a_look_alike_of_a_protocol_key_is_refused_by_name(key: str, meant: str) -> None:
    with pytest.raises(ProtocolFault, match=f"send it exactly as '{meant}'") as caught:
        strict.refuse_near_misses(["other", key], KNOWN)
    assert caught.value.code == INVALID_REQUEST


def test_the_kelvin_sign_is_a_k() -> None:
    with pytest.raises(ProtocolFault):
        strict.refuse_near_misses(["to\u212aen"], frozenset({"token"}))


@pytest.mark.parametrize("keys", [["name", "arguments"], ["names", "argument", "x-name", "na me"], []])
def test_exact_keys_and_strangers_pass(keys: list[str]) -> None:
    strict.refuse_near_misses(keys, KNOWN)


@given(st.text(max_size=12))
def test_a_key_passes_exactly_when_no_lenient_parser_takes_it_for_another(key: str) -> None:
    lenient = {name for name in KNOWN if key != name and key.lower() == name.lower()}
    if lenient:
        with pytest.raises(ProtocolFault):
            strict.refuse_near_misses([key], KNOWN)


def test_no_number_that_is_accepted_is_infinite() -> None:
    assert math.isfinite(parse(b"1.7976931348623157e308"))
    refusal(b"1.7976931348623159e308")


NEAR_TWINS = [
    pytest.param({"path": 1, "Path": 2}, id="letter case"),
    pytest.param({"x": [{"filePath": 1, "b": 0, "FilePath": 2}]}, id="letter case, within"),
    pytest.param({"path": 1, "\uff50ath": 2}, id="a full-width letter"),
    pytest.param({"keys": 1, "key\u017f": 2}, id="a long s"),
    pytest.param({"key": 1, "\u212aey": 2}, id="the Kelvin sign"),
    pytest.param({"\u00e9": 1, "\u00c9": 2}, id="case beyond ASCII"),
    pytest.param({"\u00e9": 1, "e\u0301": 2}, id="an accent apart"),
    pytest.param({"Name": 1, "name": 2}, id="a usual key"),
]


@pytest.mark.parametrize("value", NEAR_TWINS)
@pytest.mark.parametrize("ensure_ascii", [True, False], ids=["escaped", "raw"])
def test_two_keys_that_some_readers_take_for_one_are_refused_and_both_named(value: Any, ensure_ascii: bool) -> None:
    fault = refusal(json.dumps(value, ensure_ascii=ensure_ascii).encode())
    assert fault.code == INVALID_REQUEST
    inner = value["x"][0] if "x" in value else value
    assert all(repr(key) in fault.message for key in inner if key != "b")


@pytest.mark.parametrize(
    "value", [{"a": {"X": 1}, "b": {"x": 1}}, {"filePath": 1, "fileName": 2}, {"\u00e9": 1, "e": 2}]
)
def test_keys_that_are_near_twins_of_nothing_beside_them_pass(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
