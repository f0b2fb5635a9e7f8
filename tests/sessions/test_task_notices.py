"""Notices of tasks: named as the client knows them, judged where they hold a result, and heard by nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fuseboard.cleaning.result import Cleaner
from fuseboard.era import Era
from fuseboard.ports import Reply
from fuseboard.sessions.task_notices import TaskNotices
from fuseboard.tasks import Holder
from support.fake_server import Asked, FakeServer, FakeTool, answers, result
from support.leaks import OPEN, SECRETS
from support.links import CallScope
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
GOOD = {"content": [], "structuredContent": {"sum": 3}}
WRONG = {"content": [], "structuredContent": {"sum": "three"}}
LISTEN = "subscriptions/listen"
NOTICE = "notifications/tasks"


class Lab(FakeServer):
    """Begins tasks in the way of the stateless era, and holds subscriptions open."""

    def __init__(self, alias: str = "lab") -> None:
        super().__init__(alias, FakeTool("brew", self._begin, outputSchema=SUM), tools={"brew": {"effect": "read"}})
        self.scoped = True
        self.heard_by: list[Asked] = []
        self.acts[LISTEN] = self._listen
        self._numbers = iter(range(1, 100))

    async def _begin(self, asked: Asked) -> Reply:
        return result({"resultType": "task", "taskId": f"t-{next(self._numbers)}", "status": "working", "ttlMs": 1000})

    async def _listen(self, asked: Asked) -> Reply:
        self.heard_by.append(asked)
        await anyio.sleep_forever()
        raise AssertionError

    def tell(self, id: str, status: str = "working", **more: Any) -> None:
        for asked in self.heard_by:
            params = {"taskId": id, "status": status, **more}
            asked.scope.notify(NOTICE, json.dumps(params).encode())


@asynccontextmanager
async def listening(client: FakeClient, lab: Lab, *ids: str) -> AsyncIterator[None]:
    """A subscription to the tasks, held open."""
    before = len(lab.heard_by)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.request, LISTEN, {"notifications": {"taskIds": list(ids)}})
        await lab.reached(LISTEN, before + 1)
        yield
        tasks.cancel_scope.cancel()


async def begin(client: FakeClient) -> str:
    id: str = (await client.call("brew"))["taskId"]
    return id


def truths(play: Play) -> list[str]:
    return [str(entry.truth) for entry in play.concluded]


async def test_a_notice_of_one_s_own_task_is_heard() -> None:
    lab = Lab()
    async with playing(lab) as play:
        client = await play.connect(Era.STATELESS)
        id = await begin(client)
        async with listening(client, lab, id):
            lab.tell(id, "working", statusMessage="boiling")
            assert (await client.heard.until(NOTICE))["statusMessage"] == "boiling"


async def test_a_subscription_names_no_task_of_others_and_hears_of_none() -> None:
    lab = Lab()
    async with playing(lab) as play:
        ada = await play.connect(Era.STATELESS, principal="ada", transport="http")
        bob = await play.connect(Era.STATELESS, principal="bob", transport="http")
        hers, his = await begin(ada), await begin(bob)
        async with listening(bob, lab, hers, his):
            assert lab.heard_by[0].value["notifications"] == {"taskIds": [his]}
            lab.tell(hers, "completed", result=GOOD)
            lab.tell(his)
            assert (await bob.heard.until(NOTICE))["taskId"] == his
            assert [params["taskId"] for _, params in bob.heard.noticed] == [his]


@pytest.mark.parametrize(("final", "truth"), [(GOOD, "ok"), (WRONG, "schema_violation")], ids=["good", "wrong"])
async def test_a_result_inside_a_notice_is_judged_and_recorded(final: dict[str, Any], truth: str) -> None:
    lab = Lab()
    async with playing(lab) as play:
        client = await play.connect(Era.STATELESS)
        id = await begin(client)
        async with listening(client, lab, id):
            lab.tell(id, "completed", result=final)
            heard = await client.heard.until(NOTICE)
            assert (heard["result"] == final) is (truth == "ok")
            assert heard["result"].get("isError", False) is (truth != "ok")
            assert truths(play) == ["task", truth]


async def test_that_a_task_was_cancelled_is_recorded() -> None:
    lab = Lab()
    async with playing(lab) as play:
        client = await play.connect(Era.STATELESS)
        id = await begin(client)
        async with listening(client, lab, id):
            lab.tell(id, "cancelled")
            await client.heard.until(NOTICE)
            assert truths(play) == ["task", "cancelled"]


# The scope by itself.


class Pipe(CallScope):
    connection = "pipe 7"


@asynccontextmanager
async def way_back(*, modern: bool, prefixed: bool = True) -> AsyncIterator[tuple[Pipe, TaskNotices]]:
    async with playing(Lab()) as play, anyio.create_task_group() as tasks:
        pipe = Pipe()
        holder = Holder("ada", prefixed)
        yield pipe, TaskNotices(pipe, "lab", holder, play.board.exchange, tasks, modern=modern)


async def test_a_notice_of_the_handshake_era_is_renamed_and_passed_on() -> None:
    """The link is the session's own, and the server may tell of a task before it answers the call that began it."""
    async with way_back(modern=False) as (pipe, scope):
        scope.notify("notifications/tasks/status", b'{"taskId":"t-1","status":"working"}')
        assert pipe.noticed == [("notifications/tasks/status", {"taskId": "lab__t-1", "status": "working"})]


@pytest.mark.parametrize("params", [b'{"taskId":"t-1"}', b'{"taskId":7}', b'{"task":{}}', b'["task"]'], ids=str)
async def test_a_notice_of_the_stateless_era_of_a_task_that_nobody_knows_is_dropped(params: bytes) -> None:
    async with way_back(modern=True) as (pipe, scope):
        scope.notify(NOTICE, params)
        assert pipe.noticed == []


async def test_what_tells_of_no_task_passes_as_it_is() -> None:
    async with way_back(modern=True) as (pipe, scope):
        scope.notify("notifications/message", None)
        scope.notify("notifications/message", b'{"data":"a task"}')
        assert pipe.noticed == [("notifications/message", None), ("notifications/message", {"data": "a task"})]


@pytest.mark.parametrize("prefixed", [True, False])
async def test_an_acknowledgement_names_tasks_as_the_client_knows_them(prefixed: bool) -> None:
    async with way_back(modern=True, prefixed=prefixed) as (pipe, scope):
        scope.notify("notifications/subscriptions/acknowledged", b'{"notifications":{"taskIds":["t-1"]}}')
        ((_, params),) = pipe.noticed
        assert params["notifications"]["taskIds"] == ["lab__t-1" if prefixed else "t-1"]


async def test_what_else_a_scope_knows_is_still_known() -> None:
    async with way_back(modern=True) as (pipe, scope):
        assert scope.connection == pipe.connection
        assert scope.request_id == pipe.request_id
        assert getattr(scope, "shoe_size", None) is None
        scope.stream()
        scope.release()


async def test_the_error_that_came_of_a_task_is_passed_on_clean_and_recorded() -> None:
    lab = Lab()
    error = {"code": -32000, "message": "bad\u202e plainsecret0123456789"}
    lab.acts["tasks/get"] = answers({"taskId": "t-1", "status": "failed", "error": error})
    async with playing(lab, cleaner=Cleaner(OPEN, SECRETS)) as play:
        client = await play.connect(era=Era.STATELESS)
        await client.call("brew")
        for _ in range(2):
            state = await client.request("tasks/get", {"taskId": "t-1"})
            assert state["error"]["message"] == "bad «secret»"
            assert (state["taskId"], state["status"]) == ("t-1", "failed")
        checks = [check for check in play.concluded[-1].checks if check["policy"] == "output"]
        assert checks[0]["facts"]["counts"] == {"bidi": 1, "own secret": 1}
