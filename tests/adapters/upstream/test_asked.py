import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from fuseboard.adapters.upstream.asked import ANSWERS, QUESTIONS, Asked
from fuseboard.errors import UpstreamLost
from fuseboard.ports import Failure, Reply, Request, Result, Scope
from support.links import CallScope, Inbound


class Upstream:
    """A link whose other side answers everything, or is gone."""

    open = True

    def __init__(self, reply: Reply | None = None) -> None:
        self.notices: list[str] = []
        self._reply = reply

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        if self._reply is None:
            raise UpstreamLost("files", "gone")
        return self._reply

    async def notify(self, method: str, params: bytes | None) -> None:
        self.notices.append(method)

    async def close(self) -> None:
        return


class Answers:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def __call__(self, frame: bytes) -> None:
        self.sent.append(json.loads(frame))


class Curious(Inbound):
    """Asks back before it answers."""

    async def request(self, request: Request, scope: Scope) -> Reply:
        assert scope.request_id == request.id
        scope.notify("notifications/progress", None)
        return await scope.request("ping", None)


async def test_each_question_gets_its_own_answer() -> None:
    answers, inbound, scope = Answers(), Inbound(Result(b"2")), CallScope(Failure(b'{"code":1,"message":"no"}'))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            asked = Asked(Upstream(), inbound, tasks, answers)
            asked.take(Request(b'"a"', "roots/list", None), b"1", scope)
            asked.take(Request(b"5", "roots/list", None), None, None)
    assert sorted(answers.sent, key=str) == [
        {"jsonrpc": "2.0", "id": "a", "error": {"code": 1, "message": "no"}},
        {"jsonrpc": "2.0", "id": 5, "result": 2},
    ]


async def test_a_question_that_comes_twice_is_asked_once() -> None:
    answers, scope = Answers(), CallScope()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            asked = Asked(Upstream(), Inbound(), tasks, answers)
            asked.take(Request(b"5", "roots/list", None), b"1", scope)
            asked.take(Request(b"5", "roots/list", None), b"1", scope)
    assert len(scope.asked) == len(answers.sent) == 1


@pytest.mark.parametrize(
    ("ending", "dropped"),
    [
        ("its call is over", True),
        ("another call is over", False),
        ("taken back", True),
        ("another is taken back", False),
        ("nonsense is taken back", False),
        ("closed", True),
    ],
)
async def test_a_question_is_dropped_when_nobody_waits_for_it(ending: str, dropped: bool) -> None:
    answers, scope = Answers(), CallScope(answer=None)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            asked = Asked(Upstream(), Inbound(), tasks, answers)
            asked.take(Request(b"5", "roots/list", None), b"1", scope)
            await scope.asks_begun.wait()
            match ending:
                case "its call is over":
                    asked.over(b"1")
                case "another call is over":
                    asked.over(b"2")
                case "taken back":
                    asked.taken_back(b'{"requestId":5}')
                case "another is taken back":
                    asked.taken_back(b'{"requestId":"5"}')
                case "nonsense is taken back":
                    asked.taken_back(None)
                case _:
                    asked.close()
            await anyio.wait_all_tasks_blocked()
            assert scope.asks_cancelled == int(dropped)
            tasks.cancel_scope.cancel()
    assert answers.sent == []


async def test_a_flood_of_questions_ends_the_stream_and_takes_few_connections() -> None:
    under_way: list[bytes] = []

    async def never_taken(frame: bytes) -> None:
        under_way.append(frame)
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        asked = Asked(Upstream(), Inbound(), tasks, never_taken, name="files")
        for id in range(QUESTIONS):
            asked.take(Request(b"%d" % id, "ping", None), b"1", CallScope())
        await anyio.wait_all_tasks_blocked()
        assert len(under_way) == ANSWERS
        with pytest.raises(UpstreamLost, match=f"files asked more than {QUESTIONS}"):
            asked.take(Request(b'"more"', "ping", None), b"1", CallScope())
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (Result(b"{}"), {"result": {}}),
        (None, {"error": {"code": 5020, "message": "gone"}}),
    ],
    ids=["the upstream is there", "the upstream is gone"],
)
async def test_whoever_answers_may_ask_back(reply: Reply | None, answer: dict[str, Any]) -> None:
    answers, upstream = Answers(), Upstream(reply)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            Asked(upstream, Curious(), tasks, answers).take(Request(b"5", "roots/list", None), None, None)
    assert answers.sent == [{"jsonrpc": "2.0", "id": 5, **answer}]
    assert upstream.notices == ["notifications/progress"]
