"""The envelope is read strictly; ``params``, ``result`` and ``error`` stay the bytes that they were."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, ProtocolFault
from fuseboard.ports import Failure, Frame, Notification, Request, Response, Result
from fuseboard.wire import frames
from support.mutation import mutated

ODD = rb'{ "a" : 1.10, "b":1180591620717411303424, "c":"\u00e9\/", "d":1E400, "a":-0.0 }'


def request(params: bytes = b"{}", *, method: bytes = b"vendor/x", id: bytes = b"1") -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"method":"%b","params":%b}' % (id, method, params)


def call(params: bytes = b'{"name":"t","arguments":{}}', *, id: bytes = b"1") -> bytes:
    return request(params, method=b"tools/call", id=id)


def refusal(data: bytes, **options: Any) -> ProtocolFault:
    with pytest.raises(ProtocolFault) as caught:
        frames.decode(data, **options)
    return caught.value


# What is a frame.


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        pytest.param(request(ODD), Request(b"1", "vendor/x", ODD), id="a request keeps the bytes of its params"),
        pytest.param(b'{"jsonrpc":"2.0","id":"a","method":"ping"}', Request(b'"a"', "ping", None), id="no params"),
        pytest.param(request(id=b"-7"), Request(b"-7", "vendor/x", b"{}"), id="a negative id"),
        pytest.param(request(id=b'""'), Request(b'""', "vendor/x", b"{}"), id="an empty string as id"),
        pytest.param(request(id=b"9" * 30), Request(b"9" * 30, "vendor/x", b"{}"), id="a huge integer as id"),
        pytest.param(
            b' {\n "id" : 1 ,\r\n "method" : "x", "jsonrpc":"2.0" } ',
            Request(b"1", "x", None),
            id="white space",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"n","params":{"a":1}}', Notification("n", b'{"a":1}'), id="a notification"
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"result":%b}' % ODD, Response(b"1", Result(ODD)), id="a result keeps its bytes"
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"error":{"code":1.0,"x":[]}}',
            Response(b"1", Failure(b'{"code":1.0,"x":[]}')),
            id="an error keeps its bytes",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":null,"error":{}}',
            Response(b"null", Failure(b"{}")),
            id="an error for no id",
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":null}', Response(b"1", Result(b"null")), id="a result of null"),
        pytest.param(
            rb'{"jsonrpc":"2.0","id":1,"method":"vendor\/x","x-vendor":{"a":[1]}}',
            Request(b"1", "vendor/x", None),
            id="fields of no protocol go no further",
        ),
    ],
)
def test_decoded(data: bytes, frame: Frame) -> None:
    assert frames.decode(data) == frame
    assert frames.decode(bytearray(data)) == frame


def test_a_governed_request_is_parsed_as_well_and_keeps_its_bytes() -> None:
    params = rb'{"name":"t", "arguments":{"n":1.10,"big":1180591620717411303424}, "x-v":1E2}'
    frame = frames.decode(call(params))
    assert frame == Request(b"1", "tools/call", params, json.loads(params))


def test_an_escaped_name_of_a_governed_method_is_governed() -> None:
    frame = frames.decode(request(b'{"name":"t"}', method=rb"tools\/\u0063all"))
    assert isinstance(frame, Request)
    assert frame.value == {"name": "t"}


@pytest.mark.parametrize("method", sorted(frames.GOVERNED))
def test_a_governed_request_may_lack_params(method: str) -> None:
    frame = frames.decode(b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % method.encode())
    assert frame == Request(b"1", method, None, {})


# What is none.


@pytest.mark.parametrize(
    ("data", "code", "said", "id"),
    [
        pytest.param(b"", PARSE_ERROR, "not JSON", None, id="nothing"),
        pytest.param(b"hello", PARSE_ERROR, "not JSON", None, id="a log line"),
        pytest.param(request()[:-1], PARSE_ERROR, "not JSON", None, id="half a frame"),
        pytest.param(request() + b"x", PARSE_ERROR, "trailing", None, id="trailing bytes"),
        pytest.param(request() + request(), PARSE_ERROR, "trailing", None, id="two frames in one"),
        pytest.param(b"\xef\xbb\xbf" + request(), PARSE_ERROR, "not JSON", None, id="a byte order mark"),
        pytest.param(request().decode().encode("utf-16"), PARSE_ERROR, "not JSON", None, id="UTF-16"),
        pytest.param(request(b'{"a":"\xff"}'), PARSE_ERROR, "not UTF-8", None, id="params that are not UTF-8"),
        pytest.param(request(b'{"a":"\xed\xa0\x80"}'), PARSE_ERROR, "not UTF-8", None, id="a surrogate as raw bytes"),
        pytest.param(request(id=b'"\xff"'), PARSE_ERROR, "not UTF-8", None, id="an id that is not UTF-8"),
        pytest.param(request(method=b"x\xff"), PARSE_ERROR, "not JSON", None, id="a method that is not UTF-8"),
        pytest.param(request(b'{"a":NaN}'), PARSE_ERROR, "not JSON", None, id="NaN"),
        pytest.param(request(b'{"a":Infinity}'), PARSE_ERROR, "not JSON", None, id="Infinity"),
        pytest.param(request(b'{"a":"x\ny"}'), PARSE_ERROR, "not JSON", None, id="a raw line break in a string"),
        pytest.param(request(id=b'"a\nb"'), PARSE_ERROR, "not JSON", None, id="a raw line break in an id"),
        pytest.param(request(b'{"a":"\\ud800"}'), PARSE_ERROR, "not JSON", None, id="half a surrogate pair"),
        pytest.param(request(b'{"a":tru}'), PARSE_ERROR, "not JSON", None, id="a broken word"),
        pytest.param(b"[]", INVALID_REQUEST, "batches", None, id="an empty batch"),
        pytest.param(b" \n[" + request() + b"]", INVALID_REQUEST, "batches", None, id="a batch"),
        pytest.param(b"{}", INVALID_REQUEST, '"jsonrpc" must be', None, id="an empty object"),
        pytest.param(b"7", INVALID_REQUEST, "not a JSON-RPC message", None, id="a number"),
        pytest.param(b"null", INVALID_REQUEST, "not a JSON-RPC message", None, id="null"),
        pytest.param(b'{"id":1,"method":"x"}', INVALID_REQUEST, '"jsonrpc"', b"1", id="no jsonrpc"),
        pytest.param(b'{"jsonrpc":"1.0","id":1,"method":"x"}', INVALID_REQUEST, '"2.0"', b"1", id="another jsonrpc"),
        pytest.param(
            b'{"jsonrpc":2.0,"id":1,"method":"x"}', INVALID_REQUEST, "got `float`", b"1", id="jsonrpc as a number"
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":5}', INVALID_REQUEST, "`str`", b"1", id="a method of no text"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":null}', INVALID_REQUEST, "`str`", b"1", id="a method of null"),
        pytest.param(b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST, "neither", b"1", id="an id and nothing else"),
        pytest.param(request(b"[]"), INVALID_PARAMS, "must be an object", b"1", id="params in a list"),
        pytest.param(request(b"null"), INVALID_PARAMS, "must be an object", b"1", id="params of null"),
        pytest.param(request(b'"x"'), INVALID_PARAMS, "must be an object", b"1", id="params of text"),
        pytest.param(request(id=b"1.0"), INVALID_REQUEST, "id must be", b"1.0", id="an id of 1.0"),
        pytest.param(request(id=b"1e3"), INVALID_REQUEST, "id must be", b"1e3", id="an id of 1e3"),
        pytest.param(request(id=b"null"), INVALID_REQUEST, "id must be", b"null", id="an id of null"),
        pytest.param(request(id=b"true"), INVALID_REQUEST, "id must be", b"true", id="an id of true"),
        pytest.param(request(id=b"{}"), INVALID_REQUEST, "id must be", None, id="an object as id"),
        pytest.param(request(id=b"[]"), INVALID_REQUEST, "id must be", None, id="a list as id"),
    ],
)
def test_refused(data: bytes, code: int, said: str, id: bytes | None) -> None:
    fault = refusal(data)
    assert (fault.code, fault.id) == (code, id)
    assert said in fault.message


@pytest.mark.parametrize("method", sorted(frames.GOVERNED))
def test_a_governed_method_as_a_notification_is_refused_lest_it_pass_unjudged(method: str) -> None:
    fault = refusal(b'{"jsonrpc":"2.0","method":"%b","params":{"name":"t"}}' % method.encode())
    assert (fault.code, fault.id) == (INVALID_REQUEST, None)
    assert "needs an id" in fault.message


GOVERNED_AND_HOSTILE = {
    "a key twice in the envelope": b'{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call"}',
    "params twice": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}',
    "the name twice": call(b'{"name":"a","name":"b"}', id=b"7"),
    "an argument twice": call(b'{"name":"a","arguments":{"x":1,"x":2}}', id=b"7"),
    "an argument twice, deep within": call(b'{"name":"a","arguments":{"x":[{"y":1,"y":1}]}}', id=b"7"),
    "a key twice in _meta": call(b'{"name":"a","_meta":{"x":1,"x":2}}', id=b"7"),
    "the method in other letters": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","Method":"ping"}',
    "params in other letters": b'{"jsonrpc":"2.0","id":7,"method":"tools/call","Params":{}}',
    "the name in other letters": call(b'{"Name":"a"}', id=b"7"),
    "the arguments with a long s": call('{"name":"a","argument\u017f":{}}'.encode(), id=b"7"),
    "full-width arguments": call('{"name":"a","ａrguments":{}}'.encode(), id=b"7"),
    "a number beyond every float": call(b'{"name":"a","arguments":{"n":1e999}}', id=b"7"),
    "too much depth": call(b'{"name":"a","arguments":{"x":' + b"[" * 200 + b"]" * 200 + b"}}", id=b"7"),
    "a byte that is not UTF-8": call(b'{"name":"a","arguments":{"x":"\xff"}}', id=b"7"),
}


@pytest.mark.parametrize("data", GOVERNED_AND_HOSTILE.values(), ids=GOVERNED_AND_HOSTILE.keys())
def test_a_governed_request_that_two_parsers_read_differently_is_refused_under_its_id(data: bytes) -> None:
    assert refusal(data).id == b"7"


def test_the_same_oddities_in_what_is_only_relayed_are_left_alone() -> None:
    params = b'{"Name":"a","name":"b","name":"c","n":1e999}'
    assert frames.decode(request(params)) == Request(b"1", "vendor/x", params)


@pytest.mark.parametrize("nested", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("make", [request, call], ids=["relayed", "governed"])
@pytest.mark.parametrize("depth", [990, 10_000, 1_000_000])
def test_no_depth_of_anything_is_more_than_a_refusal(nested: tuple[bytes, bytes], make: Any, depth: int) -> None:
    opened, closed = nested
    data = make(b'{"name":"t","arguments":{"x":%b1%b}}' % (opened * depth, closed * depth))
    try:
        frame = frames.decode(data)
    except ProtocolFault:
        return
    assert isinstance(frame, Request)
    frames.request(b"1", frame.method, frame.params)


def test_the_configured_depth_is_the_one_that_counts() -> None:
    nested = call(b'{"name":"t","arguments":{"x":[[[]]]}}')
    frames.decode(nested, depth=6)
    assert "5 levels" in refusal(nested, depth=5).message


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_a_frame_or_refused(data: bytes) -> None:
    for frame in (data, b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%b}}' % data):
        with suppress(ProtocolFault):
            frames.decode(frame)


# Frames of our own.


def test_requests_notifications_and_responses_are_made_anew() -> None:
    assert frames.request(b"7", 'a"b', ODD) == b'{"jsonrpc":"2.0","id":7,"method":"a\\"b","params":%b}' % ODD
    assert frames.request(b'"x"', "ping", None) == b'{"jsonrpc":"2.0","id":"x","method":"ping"}'
    assert frames.notification("n", ODD) == b'{"jsonrpc":"2.0","method":"n","params":%b}' % ODD
    assert frames.notification("n", None) == b'{"jsonrpc":"2.0","method":"n"}'
    assert frames.response(b"1", Result(ODD)) == b'{"jsonrpc":"2.0","id":1,"result":%b}' % ODD
    assert frames.response(None, Failure(b"{}")) == b'{"jsonrpc":"2.0","id":null,"error":{}}'


def test_a_failure_of_our_own_holds_data_only_where_there_is_some() -> None:
    assert json.loads(frames.failure(4030, "no").raw) == {"code": 4030, "message": "no"}
    assert json.loads(frames.failure(4030, "no", {"a": 1}).raw) == {"code": 4030, "message": "no", "data": {"a": 1}}


pieces = st.recursive(
    st.sampled_from(
        [b"null", b"true", b"1.10", b"-0.0", b"1180591620717411303424", b"1E400", rb'"a\nb"', rb'"\u00e9\/"']
    )
    | st.text().map(lambda text: json.dumps(text).encode()),
    lambda inner: (
        st.lists(inner).map(lambda items: b"[\r\n%b\n]" % b" ,\n\t".join(items))
        | st.lists(inner).map(
            lambda items: b"{\n%b\r}" % b",\n".join(b'"k%d" :\r\n %b' % pair for pair in enumerate(items))
        )
    ),
    max_leaves=15,
)


def as_written(data: bytes) -> Any:
    return json.loads(data, parse_float=str, parse_int=str)


@given(pieces)
def test_on_one_line_pretty_printed_json_means_the_same_down_to_its_digits(pretty: bytes) -> None:
    line = frames.one_line(pretty)
    assert b"\n" not in line
    assert b"\r" not in line
    assert as_written(line) == as_written(pretty)
    for frame in (
        frames.request(b"1", "x", pretty),
        frames.notification("x", pretty),
        frames.response(b"1", Result(pretty)),
        frames.response(b"1", Failure(pretty)),
    ):
        assert frame.splitlines() == [frame]


def test_what_stands_on_one_line_keeps_every_byte() -> None:
    assert frames.one_line(ODD) is ODD


def test_depth_is_no_matter_for_putting_json_on_one_line() -> None:
    deep = b"[\n" * 100_000 + b"]" * 100_000
    assert frames.one_line(deep) == b"[" * 100_000 + b"]" * 100_000


# Answers that cannot be read.


@pytest.mark.parametrize(
    ("data", "id"),
    [
        pytest.param(b'{"result":{"t":"cut \\ud83d"},"jsonrpc":"2.0","id":3}', b"3", id="half a surrogate pair"),
        pytest.param(b'{"id":3,"result":{}}', b"3", id="no jsonrpc"),
        pytest.param(b'{"jsonrpc":2.0","id":3,"result":{}}', b"3", id="a quote that nobody opened"),
        pytest.param(b'{"jsonrpc":2.0,"id":3,"result":{}}', b"3", id="jsonrpc as a number"),
        pytest.param(b'{"jsonrpc":"2.0","id":3,"result":NaN}', b"3", id="NaN"),
        pytest.param(b'{"jsonrpc":"2.0","id":"3","result":NaN}', None, id="an id that we never give"),
        pytest.param(b'{"jsonrpc":"2.0","id":true,"result":NaN}', None, id="an id that only looks like a number"),
        pytest.param(b'{"id":3,"method":"x"}', None, id="a request"),
        pytest.param(b"starting on port 3", None, id="a log line"),
        pytest.param(b"[3]", None, id="a list"),
        pytest.param(b"\xff", None, id="not text"),
        pytest.param(b'{"jsonrpc":"2.0","id":3,"result":' + b"[" * 100_000, b"3", id="a head before too much depth"),
        pytest.param(b'{ "id" : 3 , "error" : {"code"', b"3", id="the head of what was cut off"),
        pytest.param(b'{"result":{"structuredContent":{"id":3', None, id="an id further inside"),
        pytest.param(b'{"jsonrpc":"2.0","id":3,"method":"x","params":{', None, id="the head of a request"),
        pytest.param(b"[" * 100_000, None, id="depth"),
        pytest.param(b'{"id":%b}' % (b"9" * 5000), None, id="a number that nobody reads"),
    ],
)
def test_the_id_of_an_answer_that_cannot_be_read(data: bytes, id: bytes | None) -> None:
    assert frames.answered_id(data) == id


# Near misses of what is governed.

NEAR_METHODS = [
    "Tools/Call",
    "TOOLS/CALL",
    "tools/call ",
    "\ttools/call\r\n",
    "tools/call\x00",
    "tools /call",
    "tools/ca\u200bll",
    "\ufefftools/call",
    "tools\uff0fcall",
    "\uff54ools/call",
    "tool\u017f/call",
    "Prompts/Get",
    "resources/READ",
    "Tasks/Result",
    "tasks/ get",
]


@pytest.mark.parametrize("method", NEAR_METHODS, ids=ascii)
def test_what_only_a_lenient_upstream_takes_for_a_governed_method_is_refused(method: str) -> None:
    fault = refusal(request(method=json.dumps(method)[1:-1].encode(), id=b"7"))
    assert (fault.code, fault.id) == (INVALID_REQUEST, b"7")
    assert any(f"exactly as {exact!r}" in fault.message for exact in frames.GOVERNED | frames.TASKS)
    said = refusal(json.dumps({"jsonrpc": "2.0", "method": method}).encode())
    assert (said.code, said.id) == (INVALID_REQUEST, None)


@pytest.mark.parametrize(
    "method", ["tools/calls", "x/tools/call", "tools.call", "Vendor/X", "tools/list ", "ping\x00", ""]
)
def test_other_methods_pass_as_they_are(method: str) -> None:
    frame = frames.decode(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode())
    assert frame == Request(b"1", method, None)


def test_a_method_as_long_as_a_book_is_refused_unread() -> None:
    assert "300 characters" in refusal(request(method=b"x" * 300)).message


def test_two_arguments_that_some_upstreams_take_for_one_are_refused() -> None:
    fault = refusal(call(b'{"name":"t","arguments":{"path":"/ok","Path":"/secret"}}', id=b"7"))
    assert fault.id == b"7"
    assert "'path' and 'Path'" in fault.message


# Bytes that went wrong on the way.


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b'{"jsonrpc":2.0","id":1,"method":"tools/call"}', PARSE_ERROR, id="a quote that nobody opened"),
        pytest.param(b'{"jsonrpc":2,"id":1', PARSE_ERROR, id="wrong, and cut off"),
        pytest.param(b'{"method":5,"x":%b' % (b"[" * 100_000), INVALID_REQUEST, id="wrong, and too deep"),
    ],
)
def test_what_is_wrong_in_two_ways_is_refused_all_the_same(data: bytes, code: int) -> None:
    assert refusal(data).code == code


def test_an_id_that_is_not_utf8_is_not_sent_back() -> None:
    assert refusal(b'{"jsonrpc":"1.0","id":"\xff","method":"x"}').id is None


@given(mutated())
def test_a_frame_gone_wrong_is_a_frame_or_refused(data: bytes) -> None:
    with suppress(ProtocolFault):
        frames.decode(data)
    frames.answered_id(data)
    frames.asked_id(data)


@pytest.mark.parametrize(
    ("data", "id"),
    [
        (b'{"id":3,"method":"x"}', b"3"),
        (b'{"id":"a\\u00e9","method":"x"}', rb'"a\u00e9"'),
        (b'{"id":3}', None),
        (b'{"id":true,"method":"x"}', None),
        (b'{"method":"x"}', None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_the_id_of_a_request_that_we_failed_over(data: bytes, id: bytes | None) -> None:
    assert frames.asked_id(data) == id
