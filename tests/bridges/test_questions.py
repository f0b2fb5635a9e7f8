"""The words in which a question and its answer cross from one era to the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges import questions
from fuseboard.bridges.questions import ELICIT, ROOTS, SAMPLE
from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND, ProtocolFault
from fuseboard.ports import Failure, Result
from fuseboard.wire import frames

FORM = b'{"message":"Who?","requestedSchema":{"type":"object","properties":{}, "x":1.10}}'


def test_the_handshake_is_told_all_that_the_client_declared_but_tasks_which_mean_something_else_there() -> None:
    declared = {
        "elicitation": {"form": {}},
        "tasks": {"requests": {}},
        "x/vendor": 1,
        "extensions": {"io.modelcontextprotocol/ui": {"a": 1}, "io.modelcontextprotocol/tasks": {}},
    }
    assert questions.declared_upstream(declared) == {
        "elicitation": {"form": {}},
        "x/vendor": 1,
        "extensions": {"io.modelcontextprotocol/ui": {"a": 1}},
    }
    assert "tasks" in declared


@pytest.mark.parametrize(
    ("capabilities", "able"),
    [
        ({}, False),
        ({"experimental": {}}, False),
        ({"roots": {}}, True),
        ({"sampling": {}}, True),
        ({"roots": 1}, False),
    ],
)
def test_who_declared_nothing_to_answer_with_is_never_asked(capabilities: Any, able: bool) -> None:
    assert questions.may_be_asked(capabilities) is able


@pytest.mark.parametrize(
    ("method", "params", "capabilities", "code"),
    [
        (ELICIT, FORM, {"elicitation": {}}, None),
        (ELICIT, FORM, {"elicitation": {"form": {}}}, None),
        (ELICIT, FORM, {"elicitation": {"url": {}}}, INVALID_PARAMS),
        (ELICIT, b'{"mode":"url"}', {"elicitation": {"url": {}}}, None),
        (ELICIT, b'{"mode":"url"}', {"elicitation": {}}, INVALID_PARAMS),
        (ELICIT, FORM, {"sampling": {}}, METHOD_NOT_FOUND),
        (ELICIT, b"[]", {"elicitation": {}}, INVALID_PARAMS),
        (SAMPLE, b"{}", {"sampling": {}}, None),
        (SAMPLE, b'{"toolChoice":{}}', {"sampling": {}}, INVALID_PARAMS),
        (SAMPLE, b'{"tools":[]}', {"sampling": {"tools": {}}}, None),
        (ROOTS, None, {"roots": {}}, None),
        (ROOTS, None, {}, METHOD_NOT_FOUND),
        ("tasks/get", b"{}", {"roots": {}}, METHOD_NOT_FOUND),
    ],
)
def test_only_what_was_declared_may_be_asked(method: str, params: Any, capabilities: Any, code: int | None) -> None:
    refusal = questions.refusal(method, params, capabilities)
    assert (json.loads(refusal.raw)["code"] if refusal else None) == code


def test_a_question_keeps_its_bytes() -> None:
    assert bytes(questions.as_input_request(ELICIT, FORM)) == b'{"method":"elicitation/create","params":%b}' % FORM
    assert bytes(questions.as_input_request(ROOTS, None)) == b'{"method":"roots/list"}'


def test_what_the_newer_revision_does_not_have_is_left_out_of_a_question() -> None:
    params = b'{"mode":"url","url":"x:y","elicitationId":"e","task":{},"_meta":{"progressToken":1,"a/b":1.10}}'
    asked = json.loads(bytes(questions.as_input_request(ELICIT, params)))
    assert asked["params"] == {"mode": "url", "url": "x:y", "_meta": {"a/b": 1.10}}
    alone = json.loads(bytes(questions.as_input_request(ROOTS, b'{"_meta":{"progressToken":1}}')))
    assert alone["params"] == {}


def test_answers_keep_their_bytes_and_say_no_type_to_a_server_that_knows_none() -> None:
    given = questions.answers(
        b'{"a":{"action":"accept","content":{"n":1.10}},"b":{"roots":[],"resultType":"complete"}}'
    )
    assert given == {"a": Result(b'{"action":"accept","content":{"n":1.10}}'), "b": Result(b'{"roots":[]}')}
    assert questions.answers(None) == {}


@pytest.mark.parametrize(
    ("raw", "failed"),
    [
        (b'{"code":-1,"message":"no"}', True),
        (b'{"error":{"code":-1,"message":"no"}}', True),
        (b'{"error":{"code":"x"}}', False),
        (b'{"action":"accept","content":{},"code":1,"message":"a form of that name"}', False),
        (b'{"roots":[],"error":{"code":1,"message":"m"}}', False),
    ],
)
def test_an_error_is_told_from_an_answer_that_looks_like_one(raw: bytes, failed: bool) -> None:
    (answer,) = questions.answers(b'{"q":%b}' % raw).values()
    assert isinstance(answer, Failure) is failed


@pytest.mark.parametrize("raw", [b"[]", b'{"q":1}', b'{"q":null}'])
def test_what_is_no_map_of_answers_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolFault, match="inputResponses"):
        questions.answers(raw)


def test_only_accept_is_consent() -> None:
    assert questions.accepted(Result(b'{"action":"accept"}'))
    for other in (Result(b'{"action":"decline"}'), Result(b"{}"), frames.failure(1, "accept")):
        assert not questions.accepted(other)


@pytest.mark.parametrize(
    ("reply", "pages"),
    [
        (frames.failure(-32042, "m", {"elicitations": [{"mode": "url", "url": "x:y", "elicitationId": "e"}]}), 1),
        (frames.failure(-32042, "m", {"elicitations": []}), 0),
        (frames.failure(-32042, "m", {"elicitations": [{"mode": "form"}]}), 0),
        (frames.failure(-32042, "m"), 0),
        (frames.failure(-32000, "-32042", {"elicitations": [{"url": "x:y"}]}), 0),
        (Result(b'{"code":-32042}'), 0),
    ],
)
def test_the_pages_that_an_error_demands(reply: Any, pages: int) -> None:
    assert len(questions.pages_required(reply)) == pages
