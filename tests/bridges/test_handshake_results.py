"""A stateless server's answers for a client of the handshake era."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges.handshake_results import as_handshake, asks_for_input, result_type
from fuseboard.bridges.losses import Losses
from fuseboard.errors import INTERNAL_ERROR, INVALID_PARAMS
from fuseboard.ports import Failure, Reply, Result


def translated(method: str, reply: Reply | Any, losses: Losses | None = None) -> Reply:
    given = reply if isinstance(reply, Result | Failure) else Result(json.dumps(reply).encode())
    return as_handshake(method, given, alias="u", losses=losses or Losses())


def value(reply: Reply) -> Any:
    return json.loads(reply.raw)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"{}", "complete"),
        (b'{"resultType":"input_required"}', "input_required"),
        (b'{"resultType":"input\\u005frequired"}', "input_required"),
        (b'{"structuredContent":{"resultType":"task"}}', "complete"),
        (b'{"resultType":7}', "7"),
        (b"[]", "complete"),
    ],
)
def test_the_kind_of_a_result(raw: bytes, kind: str) -> None:
    assert result_type(Result(raw)) == kind
    assert asks_for_input(Result(raw)) is (kind == "input_required")
    assert not asks_for_input(Failure(raw))


def test_what_only_the_stateless_era_knows_goes_and_the_rest_keeps_its_bytes() -> None:
    raw = b'{"resultType":"complete","content":[ 1.10 ],"ttlMs":5,"x-v":1E2,"cacheScope":"public"}'
    assert translated("acme/x", Result(raw)) == Result(b'{"content":[ 1.10 ],"x-v":1E2}')


@pytest.mark.parametrize("reply", [Result(b'{ "a":1 }'), Result(b"[1]"), Failure(b'{ "code": 4.0 }'), Failure(b"7")])
def test_what_needs_no_change_keeps_every_byte(reply: Reply) -> None:
    assert translated("tools/call", reply) is reply


def test_a_result_of_a_kind_that_the_client_cannot_know_is_refused_and_counted() -> None:
    losses = Losses()
    refused = translated("tools/call", {"resultType": "task", "taskId": "t"}, losses)
    assert isinstance(refused, Failure)
    assert value(refused)["code"] == INTERNAL_ERROR
    assert "'task'" in value(refused)["message"]
    assert losses.counts == {"result of type task": 1}


@pytest.mark.parametrize("structured", [[1, 2], "x", 7, None, True])
def test_structured_content_that_is_no_object_is_left_out_and_its_text_stays(structured: Any) -> None:
    losses = Losses()
    content = [{"type": "text", "text": "said"}]
    reply = translated("tools/call", {"content": content, "structuredContent": structured}, losses)
    assert value(reply) == {"content": content}
    assert losses.counts == {"structuredContent that is no object": 1}


@pytest.mark.parametrize("beside", [{}, {"content": []}])
def test_structured_content_without_any_text_beside_it_becomes_the_text(beside: dict[str, Any]) -> None:
    reply = translated("tools/call", {**beside, "structuredContent": [1, 2]})
    assert value(reply) == {"content": [{"type": "text", "text": "[1, 2]"}]}


def test_structured_content_that_is_an_object_stays() -> None:
    raw = Result(b'{"content":[],"structuredContent":{ "n":1.10 }}')
    assert translated("tools/call", raw) is raw


def test_output_schemas_of_no_object_are_left_out_of_the_list() -> None:
    losses = Losses()
    plain = {"name": "plain", "inputSchema": {"type": "object"}}
    kept = {"name": "kept", "outputSchema": {"type": "object", "x-v": 1}}
    tools = [plain, kept, {"name": "list", "outputSchema": {"type": "array"}}, {"name": "any", "outputSchema": True}]
    reply = translated("tools/list", {"tools": tools, "nextCursor": "2"}, losses)
    assert value(reply) == {"tools": [plain, kept, {"name": "list"}, {"name": "any"}], "nextCursor": "2"}
    assert losses.counts == {"outputSchema of no object": 2}


@pytest.mark.parametrize(
    "raw",
    [b'{"tools":[ {"outputSchema":{"type":"object"}} ]}', b'{"tools":[{"name":"a"}]}', b'{"tools":["outputSchema"]}'],
)
def test_a_list_that_needs_no_change_keeps_every_byte(raw: bytes) -> None:
    assert translated("tools/list", Result(raw)) == Result(raw)


@pytest.mark.parametrize(
    ("code", "known", "words"),
    [
        (-32020, INTERNAL_ERROR, "headers"),
        (-32021, INVALID_PARAMS, "capability"),
        (-32022, INTERNAL_ERROR, "version"),
        (-32021.0, INVALID_PARAMS, "capability"),
    ],
)
def test_error_codes_of_the_stateless_era_never_reach_the_client(code: float, known: int, words: str) -> None:
    losses = Losses()
    error = {"code": code, "message": "so it is", "data": {"requiredCapabilities": {"sampling": {}}}}
    reply = translated("tools/call", Failure(json.dumps(error).encode()), losses)
    assert isinstance(reply, Failure)
    assert (value(reply)["code"], value(reply)["data"]) == (known, error["data"])
    assert words in value(reply)["message"]
    assert value(reply)["message"].endswith("so it is")
    assert losses.counts == {f"error {code:g}": 1}
