"""What a result really was, from the reply itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import truth
from fuseboard.errors import (
    UpstreamFault,
    UpstreamGarbled,
    UpstreamLost,
    UpstreamOversize,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from fuseboard.ports import Failure, Reply, Result
from fuseboard.truth import Truth

METHODS = {"tools/call": b"content", "prompts/get": b"messages", "resources/read": b"contents"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b'{"content":[{"type":"text","text":"sun"}]}', Truth.OK, id="content"),
        pytest.param(b'{"content":[]}', Truth.EMPTY, id="no content"),
        pytest.param(b'{"content": [ \n ] }', Truth.EMPTY, id="no content, pretty-printed"),
        pytest.param(b'{"content":[],"structuredContent":{"n":1}}', Truth.OK, id="structured content alone"),
        pytest.param(b'{"structuredContent":{"n":1}}', Truth.OK, id="structured content without the other"),
        pytest.param(b'{"content":[],"isError":false}', Truth.EMPTY, id="no error and no content"),
        pytest.param(b'{"content":[],"isError":true}', Truth.BUSINESS_ERROR, id="the tool says that it failed"),
        pytest.param(b'{"isError":true}', Truth.BUSINESS_ERROR, id="it says so without a word"),
        pytest.param(b'{"content":[{}],"isError":null}', Truth.OK, id="isError of null"),
        pytest.param(b'{"resultType":"input_required","inputRequests":{}}', Truth.INPUT_REQUIRED, id="asks back"),
        pytest.param(b'{"task":{"taskId":"t","status":"working"}}', Truth.TASK, id="a task of 2025-11-25"),
        pytest.param(b'{"resultType":"task","taskId":"t"}', Truth.TASK, id="a task of the stateless era"),
        pytest.param(b'{"resultType":"task","taskId":"t","isError":true}', Truth.TASK, id="a task in error"),
        pytest.param(b'{"resultType":"task","taskId":"t","content":[1]}', Truth.OK, id="a task beside a result"),
        pytest.param(b'{"task":{"taskId":"t"},"structuredContent":1}', Truth.OK, id="a task beside a structured one"),
        pytest.param(b'{"resultType":"task"}', Truth.MALFORMED, id="a task without an id"),
        pytest.param(b'{"task":{"taskId":7}}', Truth.MALFORMED, id="a task with a number for an id"),
        pytest.param(b'{"task":null}', Truth.MALFORMED, id="a task of null"),
        pytest.param(b'{"resultType":"complete","content":[1]}', Truth.OK, id="a complete result of the stateless era"),
        pytest.param(b"{}", Truth.MALFORMED, id="an empty object"),
        pytest.param(b'{"content":null}', Truth.MALFORMED, id="content of null"),
        pytest.param(b'{"content":"sun"}', Truth.MALFORMED, id="content of text"),
        pytest.param(b'{"content":{}}', Truth.MALFORMED, id="content that is an object"),
        pytest.param(b'{"content":[],"isError":"yes"}', Truth.MALFORMED, id="isError of text"),
        pytest.param(b'{"contents":[1]}', Truth.MALFORMED, id="the result of another method"),
        pytest.param(b"null", Truth.MALFORMED, id="null"),
        pytest.param(b"[]", Truth.MALFORMED, id="a list"),
        pytest.param(b'"done"', Truth.MALFORMED, id="text"),
        pytest.param(b"{", Truth.MALFORMED, id="no JSON"),
    ],
)
def test_the_truth_of_a_tool_s_result(raw: bytes, said: Truth) -> None:
    assert truth.of_reply("tools/call", Result(raw)) is said


@pytest.mark.parametrize(("method", "field"), METHODS.items(), ids=METHODS.keys())
def test_each_governed_method_has_a_body_of_its_own(method: str, field: bytes) -> None:
    assert truth.of_reply(method, Result(b'{"%b":[1]}' % field)) is Truth.OK
    assert truth.of_reply(method, Result(b'{"%b":[]}' % field)) is Truth.EMPTY
    assert truth.of_reply(method, Result(b'{"other":[1]}')) is Truth.MALFORMED


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b'{"code":-32602,"message":"x"}', Truth.BAD_ARGUMENTS, id="invalid params"),
        pytest.param(b'{"code":-32600,"message":"x"}', Truth.BAD_ARGUMENTS, id="invalid request"),
        pytest.param(b'{"code":-32602.0}', Truth.BAD_ARGUMENTS, id="a code with a fraction of nought"),
        pytest.param(b'{"code":-32603,"message":"x"}', Truth.ERROR, id="internal error"),
        pytest.param(b'{"code":42}', Truth.ERROR, id="a code of the server's own"),
        pytest.param(b"{}", Truth.ERROR, id="no code"),
        pytest.param(b'{"code":5021}', Truth.MALFORMED, id="our own of an answer that cannot be read"),
        pytest.param(b'{"code":5022}', Truth.OVERSIZE, id="our own of an answer too large"),
        pytest.param(b'{"code":"E1"}', Truth.MALFORMED, id="a code of text"),
        pytest.param(b'"no"', Truth.MALFORMED, id="text"),
    ],
)
def test_the_truth_of_an_error(raw: bytes, said: Truth) -> None:
    assert truth.of_reply("tools/call", Failure(raw)) is said


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (UpstreamUnreachable("u", "x"), Truth.OUTAGE),
        (UpstreamLost("u", "x"), Truth.LOST),
        (UpstreamTimeout("u", "x"), Truth.TIMEOUT),
        (UpstreamFault("u", "x"), Truth.OUTAGE),
        (UpstreamThrottled("u", "x"), Truth.THROTTLED),
        (UpstreamGarbled("u", "x"), Truth.MALFORMED),
        (UpstreamOversize("u", "x"), Truth.OVERSIZE),
    ],
)
def test_the_truth_of_an_upstream_that_did_not_answer(fault: UpstreamFault, said: Truth) -> None:
    assert truth.of_fault(fault) is said


@given(st.sampled_from(sorted(METHODS)), st.sampled_from([Result, Failure]), st.binary(max_size=30))
def test_no_reply_is_without_a_truth(method: str, kind: type[Reply], raw: bytes) -> None:
    assert isinstance(truth.of_reply(method, kind(raw)), Truth)


def test_a_reply_of_any_depth_has_a_truth() -> None:
    deep = b"[" * 1_000_000 + b"]" * 1_000_000
    assert truth.of_reply("tools/call", Result(b'{"content":%b}' % deep)) is Truth.MALFORMED


def test_the_words_are_those_of_the_ledger() -> None:
    assert json.dumps(Truth.SCHEMA_VIOLATION) == '"schema_violation"'
    assert all(word == word.name.lower() for word in Truth)


@pytest.mark.parametrize(
    ("said", "wanted", "met"),
    [
        ("ok", "ok", True),
        ("drift", "ok", True),
        ("drift", "empty", False),
        ("empty", "ok", False),
        ("empty", "empty", True),
    ],
)
def test_a_warning_takes_nothing_from_a_good_result(said: str, wanted: str, met: bool) -> None:
    assert truth.meets(said, wanted) is met
