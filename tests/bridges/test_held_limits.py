"""What held calls may cost: an upstream that asks without end, many calls at once, calls that are long over."""

from __future__ import annotations

import gc
import json
import weakref

import anyio
import pytest

from fuseboard.bridges.held_calls import HELD, HeldCall, HeldCalls, target_of
from fuseboard.bridges.losses import Losses
from fuseboard.ports import Failure, Reply, Result, Scope
from support.links import CallScope
from support.seal import HmacSeal
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ABLE = {"elicitation": {"form": {}, "url": {}}, "roots": {}}


def held(tasks: anyio.abc.TaskGroup) -> HeldCalls:
    return HeldCalls(HmacSeal(), tasks, anyio.current_time, principal="ada")


async def asking(scope: Scope) -> Reply:
    return await scope.request("roots/list", None)


async def make(calls: HeldCalls, losses: Losses | None = None) -> Reply:
    losses = losses or Losses()
    return await calls.make(asking, CallScope(), lambda: "it", capabilities=ABLE, losses=losses)


async def test_an_error_that_demands_pages_without_end_is_passed_on_and_nobody_is_asked() -> None:
    demanded = Failure(
        json.dumps({"code": -32042, "message": "", "data": {"elicitations": [{"url": "a"}] * (HELD + 1)}}).encode()
    )

    async def send(scope: Scope) -> Reply:
        return demanded

    losses = Losses()
    async with anyio.create_task_group() as tasks:
        reply = await held(tasks).make(send, CallScope(), lambda: "it", capabilities=ABLE, losses=losses)
        assert reply is demanded
    assert losses.counts == {"pages to visit first: too many": 1}


async def test_calls_that_ask_at_the_same_moment_share_the_room() -> None:
    replies: list[Reply] = []
    losses = Losses()
    async with anyio.create_task_group() as tasks:
        calls = held(tasks)

        async def one() -> None:
            replies.append(await make(calls, losses))

        async with anyio.create_task_group() as many:
            for _ in range(HELD + 3):
                many.start_soon(one)
        assert len(calls.handles) == HELD
        assert sum(isinstance(reply, Failure) for reply in replies) == 3
        await calls.close()
        assert isinstance(await make(calls), Result)  # all of the room is free again
        await calls.close()
    assert losses.counts == {"roots/list: too many questions at once": 3}


async def test_a_call_that_is_over_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[HeldCall]] = []
    begin = HeldCall.__init__

    def noted(self: HeldCall, *args: object, **options: object) -> None:
        begin(self, *args, **options)  # type: ignore[arg-type]
        made.append(weakref.ref(self))

    monkeypatch.setattr(HeldCall, "__init__", noted)
    async with anyio.create_task_group() as tasks:
        calls = held(tasks)
        state = json.dumps(json.loads((await make(calls)).raw)["requestState"]).encode()
        await calls.resume(state, b'{"q1":{"roots":[]}}', CallScope(), "it")
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert [call() for call in made] == [None]
        tasks.cancel_scope.cancel()


def test_a_number_is_no_text_that_looks_like_it() -> None:
    number, text = b'{"arguments":{"a":1.50}}', b'{"arguments":{"a":"1.50"}}'
    assert target_of("u", "tools/call", number) == target_of("u", "tools/call", number)
    assert target_of("u", "tools/call", number) != target_of("u", "tools/call", text)
