"""Tasks by upstream, id and holder; and the names that they go by."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fuseboard import tasks
from fuseboard.events import Caller, CallProposed, Tool
from fuseboard.ports import Failure, Result
from fuseboard.tasks import GRACE_S, LONGEST_S, MAX_ARGUMENTS_OF_ONE_BYTES, MAX_ID_CHARS, Holder, Tasks

ADA, BOB = Holder("ada"), Holder("bob")


def proposal(upstream: str = "lab") -> CallProposed:
    return CallProposed(0.0, "d-1", "r-1", "tools/call", Caller("ada"), Tool(upstream, "brew", "brew"))


def result(value: Any) -> Result:
    return Result(json.dumps(value).encode())


def old(id: str = "t-1", **fields: Any) -> Result:
    """A task as 2025-11-25 begins it."""
    return result({"task": {"taskId": id, "status": "working", **fields}})


def new(id: str = "t-1", **fields: Any) -> Result:
    """A task as the extension of 2026-07-28 begins it."""
    return result({"resultType": "task", "taskId": id, "status": "working", **fields})


@pytest.mark.parametrize("begin", [old, new])
def test_a_task_is_its_holder_s_alone(begin: Any) -> None:
    kept = Tasks()
    kept.begun(proposal(), begin(), ADA, at=0.0)
    task = kept.find("lab", "t-1", ADA, at=1.0)
    assert task is not None
    assert (task.upstream, task.id, task.proposal.id, task.concluded) == ("lab", "t-1", "d-1", False)
    assert kept.find("lab", "t-1", BOB, at=1.0) is None
    assert kept.find("other", "t-1", ADA, at=1.0) is None
    assert kept.is_anyones("lab", "t-1")
    assert not kept.is_anyones("other", "t-1")


def test_two_holders_may_have_tasks_of_one_id() -> None:
    """Two links to a server that counts from one."""
    kept = Tasks()
    kept.begun(proposal(), old(), ADA, at=0.0)
    kept.begun(proposal(), old(), BOB, at=0.0)
    assert kept.find("lab", "t-1", ADA, at=0.0) is not kept.find("lab", "t-1", BOB, at=0.0)


def test_sessions_of_one_principal_are_told_apart() -> None:
    kept = Tasks()
    assert kept.session("ada", prefixed=False) != kept.session("ada", prefixed=False)
    assert kept.session("ada", prefixed=False) != ADA


@pytest.mark.parametrize(
    ("fields", "keep_s"),
    [
        ({"ttl": 60_000}, 60 + GRACE_S),
        ({"ttlMs": 60_000}, 60 + GRACE_S),
        ({"ttl": None}, LONGEST_S),
        ({}, LONGEST_S),
        ({"ttl": 1e300}, LONGEST_S + GRACE_S),
        ({"ttl": -5}, GRACE_S),
    ],
    ids=str,
)
def test_a_task_is_remembered_past_its_time_to_live(fields: dict[str, Any], keep_s: float) -> None:
    kept = Tasks()
    kept.begun(proposal(), old(**fields), ADA, at=100.0)
    assert kept.find("lab", "t-1", ADA, at=99.0 + keep_s) is not None
    assert kept.find("lab", "t-1", ADA, at=100.0 + keep_s) is None
    assert not kept.is_anyones("lab", "t-1")
    assert len(kept) == 0


def test_an_id_that_is_given_out_again_names_the_new_task() -> None:
    kept = Tasks()
    kept.begun(proposal(), old(), ADA, at=0.0)
    first = kept.find("lab", "t-1", ADA, at=0.0)
    kept.begun(proposal(), old(), ADA, at=1.0)
    assert kept.find("lab", "t-1", ADA, at=1.0) is not first
    assert len(kept) == 1


def test_who_begins_too_many_loses_sight_of_their_own_oldest() -> None:
    kept = Tasks(limit=100, limit_of_one=2)
    kept.begun(proposal(), old("bob's"), BOB, at=0.0)
    for n in range(3):
        kept.begun(proposal(), old(f"t-{n}"), ADA, at=0.0)
    assert kept.find("lab", "t-0", ADA, at=0.0) is None
    assert kept.find("lab", "t-2", ADA, at=0.0) is not None
    assert kept.find("lab", "bob's", BOB, at=0.0) is not None


def test_who_opens_session_after_session_pushes_out_nobody_else_s() -> None:
    kept = Tasks(limit=4)
    kept.begun(_of("bob"), old("bob's"), kept.session("bob", prefixed=False), at=0.0)
    for n in range(9):
        kept.begun(_of("eve"), old(f"t-{n}"), kept.session("eve", prefixed=False), at=0.0)
    assert len(kept) == 4
    assert kept.is_anyones("lab", "bob's")
    assert [n for n in range(9) if kept.is_anyones("lab", f"t-{n}")] == [6, 7, 8]


def _of(principal: str) -> CallProposed:
    return msgspec.structs.replace(proposal(), caller=Caller(principal))


def test_of_all_tasks_the_oldest_goes_first() -> None:
    kept = Tasks(limit=3)
    for n in range(5):
        kept.begun(proposal(), old(f"t-{n}"), Holder(str(n)), at=0.0)
    assert len(kept) == 3
    assert [n for n in range(5) if kept.is_anyones("lab", f"t-{n}")] == [2, 3, 4]


def _calling(principal: str, arguments: dict[str, Any]) -> CallProposed:
    return msgspec.structs.replace(_of(principal), arguments=arguments, answers={"a": 1})


def _arguments(kept: Tasks, id: str, holder: Holder = ADA) -> Any:
    task = kept.find("lab", id, holder, at=0.0)
    assert task is not None
    return task.proposal.arguments


def test_a_task_keeps_short_arguments_and_no_answers() -> None:
    kept = Tasks()
    kept.begun(_calling("ada", {"q": "x"}), old("short"), ADA, at=0.0)
    kept.begun(_calling("ada", {"q": "x" * MAX_ARGUMENTS_OF_ONE_BYTES}), old("long"), ADA, at=0.0)
    assert (_arguments(kept, "short"), _arguments(kept, "long")) == ({"q": "x"}, {})
    task = kept.find("lab", "short", ADA, at=0.0)
    assert task is not None
    assert task.proposal.answers is None


def test_where_all_keep_too_much_who_keeps_most_lets_go_of_their_oldest_arguments_and_of_no_task() -> None:
    kept = Tasks(limit_bytes=100)
    kept.begun(_calling("bob", {"q": "x" * 30}), old("bob's"), BOB, at=0.0)
    for n in range(20):
        kept.begun(_calling("ada", {"q": "x" * 20}), old(f"t-{n}"), ADA, at=0.0)
    assert len(kept) == 21
    assert _arguments(kept, "bob's", BOB) == {"q": "x" * 30}
    assert [n for n in range(20) if _arguments(kept, f"t-{n}")] == [18, 19]
    kept.begun(_calling("ada", {"q": "x" * 20}), old("t-19"), ADA, at=0.0)  # a task that is gone keeps nothing
    assert [n for n in range(20) if _arguments(kept, f"t-{n}")] == [18, 19]


def test_an_id_of_the_length_of_a_document_is_not_remembered() -> None:
    kept = Tasks()
    kept.begun(proposal(), old("t" * (MAX_ID_CHARS + 1)), ADA, at=0.0)
    assert len(kept) == 0


@pytest.mark.parametrize(
    "value",
    [{}, {"task": 7}, {"task": {}}, {"task": {"taskId": 7}}, {"resultType": "task"}, {"content": []}, []],
    ids=str,
)
def test_a_result_without_a_task_begins_none(value: Any) -> None:
    kept = Tasks()
    kept.begun(proposal(), result(value), ADA, at=0.0)
    assert len(kept) == 0
    assert tasks.id_of(result(value)) is None


def test_the_id_of_a_task() -> None:
    assert tasks.id_of(old("a")) == "a"
    assert tasks.id_of(new("b")) == "b"
    assert tasks.id_of(Failure(b'{"task":{"taskId":"c"}}')) is None


# Names.


def test_an_exposed_id_leads_back() -> None:
    assert tasks.exposed("lab", "t__1") == "lab__t__1"
    assert tasks.own("lab", "lab__t__1") == "t__1"
    assert tasks.own("other", "lab__t__1") == "lab__t__1"


def test_a_beginning_keeps_all_its_bytes_but_the_id() -> None:
    assert tasks.begun_as("lab", Result(b'{"task":{"taskId":"1","x":1.10},"_meta":{"y":1E2}}')) == Result(
        b'{"task":{"taskId":"lab__1","x":1.10},"_meta":{"y":1E2}}'
    )
    assert tasks.begun_as("lab", Result(b'{"resultType":"task","taskId":"1","x":1.10}')) == Result(
        b'{"resultType":"task","taskId":"lab__1","x":1.10}'
    )


@pytest.mark.parametrize("raw", [b"[]", b'{"a": 1}', b'{"taskId": 7}'], ids=str)
def test_what_is_no_task_stays(raw: bytes) -> None:
    assert tasks.state_as("lab", raw) == raw


def test_a_related_message_is_renamed_both_ways() -> None:
    theirs = b'{"message":"?","_meta":{"x":1.10,"io.modelcontextprotocol/related-task":{"taskId":"1"}}}'
    ours = theirs.replace(b'"1"', b'"lab__1"')
    assert tasks.related_as("lab", theirs) == ours
    assert tasks.related_own("lab", ours) == theirs
    assert tasks.related_own("lab", theirs) == theirs


@pytest.mark.parametrize(
    "raw",
    [
        b"7",
        b'{"_meta": 7}',
        b'{"_meta": {}}',
        b'{"_meta": {"io.modelcontextprotocol/related-task": {}}}',
        b'{"_meta": {"io.modelcontextprotocol/related-task": {"taskId": 7}}}',
        b'{"taskId": "1"}',
    ],
    ids=str,
)
def test_what_is_related_to_no_task_keeps_its_bytes(raw: bytes) -> None:
    assert tasks.related_as("lab", raw) == raw


def test_the_ids_of_a_subscription() -> None:
    params = b'{"notifications":{"toolsListChanged":true,"taskIds":["lab__1","x"]},"_meta":{"n":1.10}}'
    own = tasks.subscribing(params, lambda ids: [id.removeprefix("lab__") for id in ids if id != "x"])
    assert own == b'{"notifications":{"toolsListChanged":true,"taskIds":["1"]},"_meta":{"n":1.10}}'
    assert tasks.subscribed_as("lab", own) == params.replace(b',"x"', b"")


@pytest.mark.parametrize(
    "raw", [b'{"notifications": {"taskIds": 7}}', b'{"notifications": {}, "task": 1}', b'{"task": 1}', b'["task"]']
)
def test_a_subscription_to_no_tasks_keeps_its_bytes(raw: bytes) -> None:
    assert tasks.subscribing(raw, lambda ids: []) == raw


@pytest.mark.parametrize(
    ("raw", "over"),
    [
        (b'{"taskId":"1","status":"working"}', False),
        (b'{"taskId":"1","status":"completed","result":{}}', True),
        (b'{"taskId":"1","status":"completed","result":null}', True),
        (b'{"taskId":"1","status":"failed","error":{}}', True),
        (b'{"taskId":"1","status":"cancelled"}', True),
        (b'{"taskId":"1","status":"completed"}', False),
        (b"[]", False),
    ],
    ids=str,
)
def test_whether_anything_has_come_of_a_task(raw: bytes, over: bool) -> None:
    assert tasks.is_over(raw) is over


def test_the_id_in_a_notice() -> None:
    assert tasks.id_in(b'{"taskId":"1"}') == "1"
    assert tasks.id_in(b'{"taskId":1}') is None
    assert tasks.id_in(b"{}") is None


def test_a_stranger_has_no_record_to_close() -> None:
    task = tasks.stranger(Caller("ada"), "lab", "t-9", run="r-1", at=5.0)
    assert task.concluded
    assert (task.proposal.tool.known, task.proposal.tool.upstream) == (False, "lab")
