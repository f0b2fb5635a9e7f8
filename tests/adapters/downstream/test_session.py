from __future__ import annotations

import anyio
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Reply, Request, Result, Scope
from support.edge import Event, answer_to, frame, serving
from support.gateway import FakeGateway, result, says

CALL = {"name": "echo", "arguments": {"text": "hello"}}


def telling(*numbers: int) -> FakeGateway:
    gateway = FakeGateway()

    async def tell(request: Request, scope: Scope) -> Reply:
        for number in numbers:
            scope.notify("notifications/progress", b'{"progress":%d}' % number)
        return result({"content": []})

    gateway.acts["tools/call"] = tell
    return gateway


async def test_a_call_that_notifies_becomes_a_stream_that_can_be_resumed() -> None:
    async with serving(telling(1, 2)) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            answer = await wire.answer()
            assert answer.streams
            assert answer.headers["x-accel-buffering"] == "no"
            priming, *events = await wire.events()
    assert (priming.data, priming.retry) == ("", "1000")
    assert [event.json.get("params", {}).get("progress") for event in events] == [1, 2, None]
    assert events[-1].json["id"] == 7
    ids = [priming.id, *(event.id for event in events)]
    assert None not in ids
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("revision", "primed"),
    [("2024-11-05", False), ("2025-03-26", False), ("2025-06-18", False), ("2025-11-25", True), ("made up", False)],
)
async def test_only_revisions_that_know_priming_events_get_them(revision: str, primed: bool) -> None:
    gateway = telling(1)
    gateway.acts["initialize"] = says({"protocolVersion": revision})
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            first, *_ = await wire.events()
    assert (first.data == "") is primed
    assert first.id


async def test_resuming_gets_exactly_the_missed_events_and_then_the_rest() -> None:
    gateway = FakeGateway()
    go_on = anyio.Event()

    async def tell(request: Request, scope: Scope) -> Reply:
        for number in (1, 2, 3):
            scope.notify("n", b'{"n":%d}' % number)
        await go_on.wait()
        scope.notify("n", b'{"n":4}')
        return result({})

    gateway.acts["tools/call"] = tell
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            seen = [await wire.event() for _ in range(3)]  # the priming event, 1, 2
            wire.cut()
        assert seen[-1] is not None
        async with client.listening(last=seen[-1].id) as (answer, wire):
            assert answer.streams
            third = await wire.event()
            assert third is not None
            assert third.json["params"] == {"n": 3}
            go_on.set()
            rest = await wire.events()
        assert rest[0].json["params"] == {"n": 4}
        assert rest[1].json == {"jsonrpc": "2.0", "id": 7, "result": {}}
        # Ended since, and still there for a client that lost the end.
        async with client.listening(last=rest[0].id) as (_, wire):
            assert [event.json for event in await wire.events()] == [rest[1].json]


async def test_a_priming_event_is_enough_to_come_back_for_everything() -> None:
    async with serving(telling(1, 2)) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            priming = await wire.event()
            wire.cut()
        assert priming is not None
        async with client.listening(last=priming.id) as (_, wire):
            events = await wire.events()
    assert len(events) == 3


async def test_streams_do_not_mix_when_resumed() -> None:
    async with serving(telling(1, 2)) as served:
        client = await served.open()
        firsts: list[Event] = []
        for id in (7, 8):
            async with client.asking(frame(id, "tools/call", CALL)) as wire:
                await wire.answer()
                firsts.append((await wire.events())[0])
        for id, first in zip((7, 8), firsts, strict=True):
            async with client.listening(last=first.id) as (_, wire):
                events = await wire.events()
            assert len(events) == 3
            assert events[-1].json["id"] == id


@pytest.mark.parametrize("last", ["x", "1", "9-1", "1-x", "-1-1", "1" * 50 + "-1", "१-१"])
async def test_nothing_is_resumed_that_nothing_is_known_of(last: str) -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        headers = {**client.headers, "Accept": "text/event-stream", "Last-Event-ID": last}
        async with served.wire() as wire:
            wire.write(f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n".encode())
            wire.write("".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
            answer = await wire.answer()
    assert answer.status == 400


async def test_a_call_may_ask_its_client_and_gets_the_answer_of_another_post() -> None:
    gateway = FakeGateway()

    async def ask(request: Request, scope: Scope) -> Reply:
        reply = await scope.request("elicitation/create", b'{"message":"name?"}')
        assert isinstance(reply, Result)
        return reply

    gateway.acts["tools/call"] = ask
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            await wire.event()  # the priming event
            question = await wire.event()
            assert question is not None
            assert question.json["method"] == "elicitation/create"
            answered = await client.ask(answer_to(question.json["id"], {"name": "ann"}))
            assert answered.status == 202
            final = await wire.event()
            assert final is not None
            assert final.json == {"jsonrpc": "2.0", "id": 7, "result": {"name": "ann"}}


async def test_a_question_to_a_client_that_leaves_the_session_is_answered_with_a_failure() -> None:
    gateway = FakeGateway()
    replies: list[Reply] = []
    async with serving(gateway) as served:
        client = await served.open()
        back = gateway.sessions[0].back
        assert back is not None
        assert back.request_id is None

        async def ask() -> None:
            replies.append(await back.request("roots/list", None))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            await served.ask("DELETE", "/mcp", client.headers)
        assert isinstance(await back.request("roots/list", None), type(replies[0]))
    assert b"session has ended" in replies[0].raw


async def test_what_belongs_to_no_request_waits_for_the_standing_stream() -> None:
    gateway = FakeGateway()
    async with serving(gateway) as served:
        client = await served.open()
        back = gateway.sessions[0].back
        assert back is not None
        back.notify("notifications/tools/list_changed", None)
        async with client.listening() as (answer, wire):
            assert answer.streams
            early = await wire.event()
            assert early is not None
            assert early.json["method"] == "notifications/tools/list_changed"
            back.notify("notifications/second", None)
            later = await wire.event()
            assert later is not None
            assert later.json["method"] == "notifications/second"
        back.notify("notifications/third", None)
        async with client.listening(last=early.id) as (_, wire):
            missed = [(await wire.event()), (await wire.event())]
        assert [event.json["method"] for event in missed if event] == ["notifications/second", "notifications/third"]


async def test_cancelling_by_notification_stops_the_handler_and_sends_no_answer() -> None:
    gateway = FakeGateway()
    started, stopped = anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return result({})

    gateway.acts["tools/call"] = slow
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame("x", "tools/call", CALL)) as wire:
            await started.wait()
            assert (await client.ask(frame(None, "notifications/cancelled", {"requestId": "other"}))).status == 202
            assert not stopped.is_set()
            assert (await client.ask(frame(None, "notifications/cancelled", {"requestId": "x"}))).status == 202
            await stopped.wait()
            assert (await wire.answer()).streams
            assert await wire.events() == []
        assert gateway.sessions[0].notified_of == []
        assert (await client.ask(frame("x", "ping"))).status == 200  # the id is free again


async def test_a_cancelled_stream_ends_with_an_error_so_that_nobody_polls_for_its_end() -> None:
    gateway = FakeGateway()

    async def slow(request: Request, scope: Scope) -> Reply:
        scope.notify("n", None)
        await anyio.sleep_forever()
        raise AssertionError

    gateway.acts["tools/call"] = slow
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            await wire.event()
            await wire.event()
            await client.ask(frame(None, "notifications/cancelled", {"requestId": 7}))
            (last,) = await wire.events()
    assert last.json["error"]["code"] == -32800


@pytest.mark.parametrize("params", [None, {}, {"requestId": None}, {"requestId": 99}, {"requestId": {"a": 1}}])
async def test_a_cancellation_of_nothing_does_nothing(params: object) -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        assert (await client.ask(frame(None, "notifications/cancelled", params))).status == 202
        assert (await client.ask(frame(1, "ping"))).status == 200


async def test_a_disconnect_is_no_cancellation() -> None:
    gateway = FakeGateway()
    started, go_on, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        await go_on.wait()
        ended.set()
        return result({})

    gateway.acts["tools/call"] = slow
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await started.wait()
            wire.cut()
        duplicate = await client.ask(frame(7, "tools/call", CALL))
        assert duplicate.status == 400
        assert duplicate.json["error"]["code"] == -32600
        assert duplicate.json["id"] == 7
        go_on.set()
        await ended.wait()


async def test_the_same_ids_in_many_sessions_do_not_meet() -> None:
    gateway = FakeGateway()
    arrived: list[bytes] = []
    all_there = anyio.Event()

    async def meet(request: Request, scope: Scope) -> Reply:
        assert request.value is not None
        arrived.append(request.id)
        if len(arrived) == 30:
            all_there.set()
        await all_there.wait()
        scope.notify("n", None)
        return result(request.value["arguments"])

    gateway.acts["tools/call"] = meet
    async with serving(gateway) as served:
        clients = [await served.open() for _ in range(30)]

        async def one(number: int) -> None:
            call = {"name": "echo", "arguments": {"number": number}}
            async with clients[number].asking(frame(1, "tools/call", call)) as wire:
                await wire.answer()
                *_, last = await wire.events()
            assert last.json == {"jsonrpc": "2.0", "id": 1, "result": {"number": number}}

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(one, number)
    assert set(arrived) == {b"1"}


async def test_ending_a_session_answers_what_is_open_in_it() -> None:
    gateway = FakeGateway()
    started = anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    gateway.acts["tools/call"] = slow
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire, client.listening() as (_, standing):
            await started.wait()
            await served.ask("DELETE", "/mcp", client.headers)
            answer = await wire.answer()
            assert answer.json["error"]["message"] == "the session has ended"
            await standing.events()


async def test_an_upstream_that_wants_to_be_polled_is_polled_by_the_client_too() -> None:
    gateway = FakeGateway()
    go_on = anyio.Event()

    async def poll(request: Request, scope: Scope) -> Reply:
        scope.release()  # type: ignore[attr-defined]
        await go_on.wait()
        return result({})

    gateway.acts["tools/call"] = poll
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            (priming,) = await wire.events()
        go_on.set()
        async with client.listening(last=priming.id) as (_, wire):
            (final,) = await wire.events()
    assert final.json["id"] == 7


STREAMS_FIRST = "text/event-stream, application/json"


async def test_a_client_that_names_streams_first_gets_one_even_for_a_plain_answer() -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        answer = await client.ask(frame(7, "tools/list"), Accept=STREAMS_FIRST)
        assert answer.streams
        plain = await client.ask(frame(8, "tools/list"))
        assert not plain.streams


async def test_a_client_that_names_streams_first_is_left_to_poll_for_what_lasts() -> None:
    gateway = FakeGateway()
    go_on = anyio.Event()

    async def last(request: Request, scope: Scope) -> Reply:
        scope.notify("notifications/progress", b'{"progress":1}')
        await go_on.wait()
        return result({})

    gateway.acts["tools/call"] = last
    async with serving(gateway, limits=Limits(linger_s=0.01, poll_s=0.02)) as served:
        client = await served.open(Accept=STREAMS_FIRST)
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            priming, progress = await wire.events()
        go_on.set()
        async with client.listening(last=progress.id) as (_, wire):
            (final,) = await wire.events()
    assert (priming.data, priming.retry) == ("", "1000")
    assert final.json["id"] == 7


async def test_a_client_of_an_older_revision_is_not_left_to_poll() -> None:
    gateway = FakeGateway()
    gateway.acts["initialize"] = says({"protocolVersion": "2025-06-18"})

    async def last(request: Request, scope: Scope) -> Reply:
        await anyio.sleep(0.1)
        return result({})

    gateway.acts["tools/call"] = last
    async with serving(gateway, limits=Limits(linger_s=0.01, poll_s=0.02)) as served:
        client = await served.open(Accept=STREAMS_FIRST)
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            (final,) = await wire.events()
    assert final.json["id"] == 7


async def test_a_client_that_came_back_is_not_sent_away_again() -> None:
    gateway = FakeGateway()
    go_on = anyio.Event()

    async def poll(request: Request, scope: Scope) -> Reply:
        scope.release()
        await go_on.wait()
        return result({})

    gateway.acts["tools/call"] = poll
    async with serving(gateway, limits=Limits(linger_s=0.01, poll_s=0.1)) as served:
        client = await served.open(Accept=STREAMS_FIRST)
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await wire.answer()
            (priming,) = await wire.events()
        async with client.listening(last=priming.id) as (_, wire):
            await anyio.sleep(0.2)  # past the time at which it would have been left to poll
            go_on.set()
            (final,) = await wire.events()
    assert final.json["id"] == 7
