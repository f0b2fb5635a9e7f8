"""A JSON-RPC peer: questions find their answers, in both directions, and an end is an end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseboard.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    Undelivered,
    UpstreamLost,
    UpstreamUnreachable,
)
from fuseboard.peer import CANCELLED, Peer
from fuseboard.ports import Failure, Reply, Request, Result, Scope
from fuseboard.wire import frames
from support.mutation import mutated
from support.peers import Side, alone, asking, hang, settle, wired
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


@pytest.fixture
def ends() -> tuple[Side, Side]:
    return wired()


# Questions and answers.


async def test_an_answer_comes_back_byte_for_byte(ends: tuple[Side, Side]) -> None:
    params = rb'{ "n": 1.10, "big":1180591620717411303424,"t":"\u00e9\/" }'
    assert await ends[0].peer.request("echo", params) == Result(params)


async def test_an_error_comes_back_byte_for_byte(ends: tuple[Side, Side]) -> None:
    failure = Failure(b'{ "code": 4.0, "message":"no", "x": [] }')

    async def fail(request: Request, scope: Scope) -> Reply:
        return failure

    ends[1].acts["fail"] = fail
    assert await ends[0].peer.request("fail", None) == failure


async def test_answers_find_their_questions_when_they_come_out_of_order(ends: tuple[Side, Side]) -> None:
    answered: list[bytes] = []

    async def ask(seconds: int) -> None:
        params = b'{"s":%d}' % seconds
        assert await ends[0].peer.request("wait", params) == Result(params)
        answered.append(params)

    async with anyio.create_task_group() as tasks:
        for seconds in (5, 1, 4, 2, 3):
            tasks.start_soon(ask, seconds)
    assert answered == [b'{"s":%d}' % seconds for seconds in (1, 2, 3, 4, 5)]


async def test_both_sides_ask_at_once_under_the_same_ids(ends: tuple[Side, Side]) -> None:
    async def ask_back(request: Request, scope: Scope) -> Reply:
        assert scope.request_id == request.id
        return await scope.request("echo", b'{"asked":"back"}')

    ends[1].acts["ask"] = ask_back
    assert await ends[0].peer.request("ask", b"{}") == Result(b'{"asked":"back"}')


async def test_no_id_is_given_twice(ends: tuple[Side, Side]) -> None:
    for _ in range(5):
        await ends[0].peer.request("echo", None)
    assert [json.loads(frame)["id"] for frame in ends[0].sent] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("id", [7, 0, "1", 1.5, None])
async def test_an_answer_to_a_question_that_nobody_asked_is_dropped(id: Any) -> None:
    side = alone()
    async with asking(side, "x") as ended:
        side.receive(id=id, result={})
        await settle()
        assert ended == {}
        assert len(side.sent) == 1


async def test_a_second_answer_is_dropped() -> None:
    side = alone()
    async with asking(side, "x") as ended:
        side.receive(id=1, result=1)
        side.receive(id=1, result=2)
        await settle()
        assert ended == {"x": Result(b"1")}


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":{"text":"cut \\ud83d"}}', id="half a surrogate pair"),
        pytest.param(b'{"result":{"text":"cut \\ud83d"},"jsonrpc":"2.0","id":1}', id="the id at its end"),
        pytest.param(b'{"id":1,"result":{}}', id="no jsonrpc"),
        pytest.param(b'{"jsonrpc":"2.0","id":1}', id="neither result nor error"),
    ],
)
async def test_an_answer_that_cannot_be_read_fails_its_question_and_no_other(frame: bytes) -> None:
    side = alone()
    async with asking(side, "x", "y") as ended:
        side.peer.receive(frame)
        await settle()
        assert list(ended) == ["x"]
        assert b"other gave an answer that cannot be read" in ended["x"].raw
        assert len(side.sent) == 2


async def test_an_answer_too_large_to_be_taken_fails_its_question_and_says_why() -> None:
    side = alone()
    async with asking(side, "x", "y") as ended:
        side.peer.dropped(b'{"jsonrpc":"2.0","id":2,"result":{"content":[', "longer than 10 bytes")
        await settle()
        assert list(ended) == ["y"]
        assert b"longer than 10 bytes" in ended["y"].raw


async def test_a_request_too_large_to_be_taken_is_refused_without_an_id() -> None:
    side = alone()
    side.peer.dropped(b'{"jsonrpc":"2.0","id":2,"method":"x","params":{', "longer than 10 bytes")
    assert side.answers == [{"id": None, "error": {"code": INVALID_REQUEST, "message": "longer than 10 bytes"}}]


# Requests that come in.


async def test_7_and_the_text_7_are_different_ids() -> None:
    side = alone()
    side.receive(id=7, method="hang")
    side.receive(id="7", method="hang")
    await settle()
    assert side.sent == []
    side.receive(method=CANCELLED, params={"requestId": "7"})
    await settle()
    assert side.gave_up == [b'"7"']
    side.peer.lost("over")
    await settle()


async def test_an_id_is_refused_while_it_is_being_answered_and_free_again_after() -> None:
    side = alone()
    side.receive(id=1, method="wait", params={"s": 1})
    side.receive(id=1, method="echo", params={"second": 1})
    await settle()
    (refusal,) = side.answers
    assert (refusal["id"], refusal["error"]["code"]) == (1, INVALID_REQUEST)
    await anyio.sleep(2)
    side.receive(id=1, method="echo", params={"third": 1})
    await settle()
    assert side.answers[1:] == [{"id": 1, "result": {"s": 1}}, {"id": 1, "result": {"third": 1}}]
    assert side.heard == ["wait", "echo"]


@pytest.mark.parametrize(
    ("frame", "code", "id"),
    [
        pytest.param(b"hello", PARSE_ERROR, None, id="no JSON"),
        pytest.param(b"[]", INVALID_REQUEST, None, id="a batch"),
        pytest.param(b"{}", INVALID_REQUEST, None, id="an empty object"),
        pytest.param(b'{"jsonrpc":"2.0","id":1.0,"method":"x"}', INVALID_REQUEST, 1.0, id="an id with a fraction"),
        pytest.param(b'{"jsonrpc":"2.0","id":9,"method":3}', INVALID_REQUEST, 9, id="a method that is no text"),
        pytest.param(
            b'{"jsonrpc":"2.0","id":"a","method":"x","params":[]}', INVALID_PARAMS, "a", id="a list as params"
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"a","name":"b"}}',
            INVALID_REQUEST,
            9,
            id="a governed request with a key twice",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}',
            INVALID_REQUEST,
            None,
            id="a governed request as a notification",
        ),
        pytest.param(b"[" * 1_000_000, INVALID_REQUEST, None, id="depth"),
    ],
)
async def test_a_bad_frame_is_answered_under_its_id_where_that_can_be_read(frame: bytes, code: int, id: Any) -> None:
    side = alone()
    side.peer.receive(frame)
    await settle()
    (answer,) = side.answers
    assert (answer["error"]["code"], answer["id"]) == (code, id)
    assert side.heard == []


async def test_two_peers_never_quarrel_about_a_bad_frame(ends: tuple[Side, Side]) -> None:
    ends[0].peer.receive(b"hello")
    await settle()
    assert len(ends[0].sent) == 1
    assert ends[1].sent == []


async def test_the_configured_depth_counts() -> None:
    side = Side("other")
    side.peer = Peer(side._send, side, name="other", depth=4)
    side.receive(id=1, method="tools/call", params={"name": "a", "arguments": {"x": [[]]}})
    assert "4 levels" in side.answers[0]["error"]["message"]


# Notifications.


async def test_notifications_keep_their_order(ends: tuple[Side, Side]) -> None:
    for number in range(50):
        ends[0].peer.notify(f"n{number}", None)
    await settle()
    assert ends[1].heard == [f"n{number}" for number in range(50)]


async def test_what_is_told_while_answering_comes_before_the_answer(ends: tuple[Side, Side]) -> None:
    async def tell(request: Request, scope: Scope) -> Reply:
        for number in range(3):
            scope.notify(f"n{number}", None)
        return Result(b"{}")

    ends[1].acts["tell"] = tell
    await ends[0].peer.request("tell", None)
    assert ends[0].heard == ["n0", "n1", "n2"]


# Cancellation.


async def test_giving_up_reaches_the_other_side_and_no_answer_follows(ends: tuple[Side, Side]) -> None:
    with anyio.move_on_after(1):
        await ends[0].peer.request("hang", None)
    await settle()
    assert [json.loads(frame)["method"] for frame in ends[0].sent] == ["hang", CANCELLED]
    assert json.loads(ends[0].sent[1])["params"] == {"requestId": 1}
    assert ends[1].gave_up == [b"1"]
    assert ends[1].sent == []


async def test_giving_up_on_initialize_is_not_told_since_the_specification_forbids_it(ends: tuple[Side, Side]) -> None:
    ends[1].acts["initialize"] = hang
    with anyio.move_on_after(1):
        await ends[0].peer.request("initialize", None)
    assert len(ends[0].sent) == 1


async def test_giving_up_when_the_answer_is_already_here_tells_nothing() -> None:
    side = alone()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(side.peer.request, "x", None)
        await settle()
        side.receive(id=1, result={})
        tasks.cancel_scope.cancel()
    assert len(side.sent) == 1


async def test_a_handler_that_answers_all_the_same_is_not_heard() -> None:
    async def stubborn(request: Request, scope: Scope) -> Reply:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
        return Result(b"{}")

    side = alone()
    side.acts["stubborn"] = stubborn
    side.receive(id=1, method="stubborn")
    await settle()
    side.receive(method=CANCELLED, params={"requestId": 1})
    await anyio.sleep(2)
    assert side.sent == []


async def test_a_request_that_is_given_up_before_it_begins_leaves_nothing_behind() -> None:
    side = alone()
    side.receive(id=1, method="echo")
    side.receive(method=CANCELLED, params={"requestId": 1})
    await settle()
    assert (side.sent, side.heard) == ([], [])
    with anyio.fail_after(1):
        await side.peer.drained()
    side.receive(id=1, method="echo")
    await settle()
    assert side.answers == [{"id": 1, "result": None}]


@pytest.mark.parametrize(
    "params", [None, {}, {"requestId": None}, {"requestId": 2}, {"requestId": "1"}, {"requestId": 1.0}]
)
async def test_giving_up_what_nobody_asked_changes_nothing(params: Any) -> None:
    side = alone()
    side.receive(id=1, method="wait", params={"s": 1})
    await settle()
    side.receive(method=CANCELLED, **({} if params is None else {"params": params}))
    await anyio.sleep(2)
    assert side.answers == [{"id": 1, "result": {"s": 1}}]
    assert side.heard == ["wait"]


async def test_a_server_may_end_a_stream_that_it_serves_and_no_other_request() -> None:
    """2026-07-28, subscriptions, cancellation: on stdio it says so by the client's own notification."""
    side = alone()
    async with asking(side, "subscriptions/listen", "tools/call") as ended:
        await settle()
        for id in (1, 2):
            side.receive(method=CANCELLED, params={"requestId": id})
        await settle()
        assert list(ended) == ["subscriptions/listen"]
        assert ended["subscriptions/listen"].message == "other ended the subscription"
        side.receive(id=2, result={})


async def test_a_stream_that_was_answered_already_is_not_ended_again() -> None:
    side = alone()
    async with asking(side, "subscriptions/listen") as ended:
        await settle()
        side.receive(id=1, result={})
        side.receive(method=CANCELLED, params={"requestId": 1})
        await settle()
    assert isinstance(ended["subscriptions/listen"], Result)


# The end.


async def test_when_the_connection_is_lost_every_question_fails_and_says_why() -> None:
    side = alone()
    async with asking(side, "a", "b") as ended:
        side.peer.lost("other ended with exit code 3")
        side.peer.lost("and again")
        await settle()
    assert [(type(fault), fault.upstream, fault.message) for fault in ended.values()] == [
        (UpstreamLost, "other", "other ended with exit code 3")
    ] * 2
    assert not side.peer.open


async def test_after_it_nothing_is_sent() -> None:
    side = alone()
    side.peer.lost("gone")
    side.peer.notify("n", None)
    with pytest.raises(UpstreamUnreachable, match="gone"):
        await side.peer.request("x", None)
    assert side.sent == []


async def test_what_was_being_answered_is_given_up_unanswered() -> None:
    side = alone()
    side.receive(id=1, method="hang")
    await settle()
    side.peer.lost("gone")
    await settle()
    assert side.gave_up == [b"1"]
    assert side.sent == []


async def test_a_question_asked_back_over_a_lost_connection_has_an_error_for_an_answer() -> None:
    scopes: list[Scope] = []

    async def keep(request: Request, scope: Scope) -> Reply:
        scopes.append(scope)
        return Result(b"{}")

    side = alone()
    side.acts["keep"] = keep
    side.receive(id=1, method="keep")
    await settle()
    side.peer.lost("gone")
    reply = await scopes[0].request("echo", None)
    assert isinstance(reply, Failure)
    assert json.loads(reply.raw)["message"] == "gone"


async def test_all_that_came_in_is_answered_before_it_counts_as_drained() -> None:
    side = alone()
    for seconds in (1, 3, 2):
        side.receive(id=seconds, method="wait", params={"s": seconds})
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(side.peer.drained)
    assert [answer["id"] for answer in side.answers] == [1, 2, 3]


async def test_lines_that_are_no_messages_are_named_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    side = alone()
    for _ in range(3):
        side.peer.receive(b"Starting up...")
    assert [record.levelname for record in caplog.records if "no MCP message" in record.message] == ["WARNING"]


async def test_what_is_given_up_is_answered_once_and_served_no_longer() -> None:
    side = alone()
    side.receive(id=1, method="hang")
    await settle()
    side.receive(id=2, method="hang")  # has not begun
    side.peer.give_up(frames.failure(-32603, "stopping"))
    await settle()
    assert [(answer["id"], answer["error"]["message"]) for answer in side.answers] == [(1, "stopping"), (2, "stopping")]
    await side.peer.drained()
    side.peer.lost("gone")
    assert len(side.answers) == 2


async def test_a_lost_connection_has_nothing_to_drain() -> None:
    side = alone()
    side.receive(id=1, method="hang")
    await settle()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(side.peer.drained)
        await settle()
        side.peer.lost("gone")


# Anything may happen.

steps = st.lists(
    st.tuples(st.sampled_from(["ask", "answer", "fail", "give up", "repeat", "babble"]), st.integers(0, 5)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_comes_in_whichever_order_each_question_ends_once_and_as_it_should(
    script: list[tuple[str, int]],
) -> None:
    asyncio.run(_play(script))


async def _play(script: list[tuple[str, int]]) -> None:
    side = alone()
    asked: list[asyncio.Task[Reply]] = []
    ends: dict[int, Reply | None] = {}
    for step, number in script:
        if step == "ask":
            asked.append(asyncio.create_task(side.peer.request("x", None)))
        elif number < len(asked):
            id = number + 1
            match step:
                case "answer" | "repeat":
                    side.receive(id=id, result=number)
                    ends.setdefault(number, Result(b"%d" % number))
                case "fail":
                    side.receive(id=id, error={"code": number})
                    ends.setdefault(number, Failure(b'{"code": %d}' % number))
                case "give up":
                    if not asked[number].done():
                        asked[number].cancel()
                        ends.setdefault(number, None)
                case _:
                    side.receive(id=str(id), result=-1)
        await settle()
    for number, task in enumerate(asked):
        if number not in ends:
            assert not task.done()
            side.receive(id=number + 1, result=number)
            ends[number] = Result(b"%d" % number)
    await settle()
    for number, task in enumerate(asked):
        assert task.cancelled() if ends[number] is None else task.result() == ends[number]
    told = [json.loads(frame)["params"]["requestId"] - 1 for frame in side.sent if CANCELLED.encode() in frame]
    assert sorted(told) == sorted(number for number, end in ends.items() if end is None)


# Whatever comes in, the link lives on.


@settings(max_examples=200)
@given(st.lists(mutated(), min_size=1, max_size=5))
async def test_no_frame_however_bad_ends_the_link(datas: list[bytes]) -> None:
    side = alone()
    async with asking(side, "x"):
        for data in datas:
            side.peer.receive(data)
        await settle()
        assert side.peer.open


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b'{"jsonrpc":2.0","id":1,"result":{}}', id="a quote that nobody opened"),
        pytest.param(b'{"jsonrpc":2.0,"id":1,"result":{}}', id="jsonrpc as a number"),
    ],
)
async def test_an_answer_wrong_in_its_head_fails_its_question_at_once(frame: bytes) -> None:
    side = alone()
    async with asking(side, "x") as ended:
        side.peer.receive(frame)
        await settle()
        assert b"cannot be read" in ended["x"].raw


async def test_a_frame_that_we_fail_over_is_answered_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake of ours")

    side = alone()
    async with asking(side, "x") as ended:
        monkeypatch.setattr("fuseboard.peer.frames.decode", fail)
        side.receive(id=1, result={})
        side.receive(id=7, method="echo")
        side.receive(method="notifications/x")
        await settle()
        assert json.loads(ended["x"].raw)["code"] == INTERNAL_ERROR
    assert [(answer["id"], answer["error"]["code"]) for answer in side.answers[1:]] == [(7, INTERNAL_ERROR)]
    assert caplog.text.count("RuntimeError: a mistake of ours") == 3


async def test_a_handler_that_fails_leaves_no_question_open(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request, scope: Scope) -> Reply:
        raise RuntimeError("a mistake of ours")

    side = alone()
    side.acts["fail"] = fail
    side.receive(id=7, method="fail")
    await settle()
    assert [(answer["id"], answer["error"]["code"]) for answer in side.answers] == [(7, INTERNAL_ERROR)]
    assert "a mistake of ours" in caplog.text


async def test_where_not_even_that_can_be_told_the_link_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    def send(frame: bytes) -> None:
        raise OSError("a pipe that is gone")

    side = alone()
    peer = Peer(send, side, name="other")
    peer.receive(b"hello")
    peer.receive(b'{"jsonrpc":"1.0","id":1,"method":"x"}')
    assert peer.open
    assert "nor could its sender be told" in caplog.text


async def test_a_question_that_never_left_fails_as_one_and_the_others_go_on(ends: tuple[Side, Side]) -> None:
    ends[1].acts["hang"] = hang
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(Undelivered, match="refused unread"):
                await ends[0].peer.request("hang", None)

        tasks.start_soon(ask)
        await settle()
        ends[0].peer.undelivered(b"1", "refused unread")
        ends[0].peer.undelivered(b"7", "never asked")
    assert await ends[0].peer.request("echo", b"{}") == Result(b"{}")


async def test_the_loss_of_the_connection_is_told_once() -> None:
    told: list[str] = []
    peer = Peer(lambda frame: None, Side("x"), name="x", on_lost=told.append)
    peer.lost("first")
    peer.lost("second")
    assert told == ["first"]


async def test_the_id_of_a_question_is_told_before_it_is_sent() -> None:
    order: list[bytes] = []
    peer = Peer(order.append, Side("x"), name="x")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.request, "one", None, order.append)
        await settle()
        tasks.cancel_scope.cancel()
    assert order[0] == b"1"
    assert json.loads(order[1])["id"] == 1
