"""Questions of a handshake server in the middle of a call, answered by a stateless client's retry."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from fuseboard.bridges.held_calls import HELD, HOLD_S
from fuseboard.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, UPSTREAM_LOST
from fuseboard.ports import Failure, Reply
from fuseboard.wire import frames
from support.fake_server import Act, Asked, text
from support.holding import ADA, WHO, arrive, asking, begin, heard, refused, retry, server
from support.playbook import playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

# The conversation.


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("elicitation/create", WHO, ADA),
        ("elicitation/create", {"mode": "url", "message": "Go", "url": "https://x.example/"}, {"action": "decline"}),
        (
            "sampling/createMessage",
            {"messages": [], "maxTokens": 9},
            {"role": "assistant", "content": {}, "model": "m"},
        ),
        ("roots/list", None, {"roots": [{"uri": "file:///home/ada"}]}),
    ],
)
async def test_a_question_ends_the_request_and_the_retry_ends_the_call(method: str, params: Any, answer: Any) -> None:
    async with playing(server(asking((method, params)))) as play:
        client = arrive(play)
        questions, state = await begin(client, a=1)
        assert questions == {"q1": {"method": method, **({"params": params} if params else {})}}
        assert heard(await retry(client, state, {"q1": answer}, a=1)) == [answer]
        assert len(play.server("u").calls) == 1


async def test_one_question_after_the_other_takes_a_round_each() -> None:
    async with playing(server(asking(("elicitation/create", WHO), ("roots/list", None)))) as play:
        client = arrive(play)
        questions, state = await begin(client)
        assert list(questions) == ["q1"]
        second = await retry(client, state, {"q1": ADA})
        assert second["inputRequests"] == {"q2": {"method": "roots/list"}}
        assert heard(await retry(client, second["requestState"], {"q2": {"roots": []}})) == [ADA, {"roots": []}]


async def both(asked: Asked) -> Reply:
    said: dict[str, Any] = {}

    async def ask(name: str) -> None:
        reply = await asked.scope.request("elicitation/create", json.dumps({"message": name}).encode())
        said[name] = json.loads(reply.raw)

    async with anyio.create_task_group() as tasks:
        for name in ("one", "two"):
            tasks.start_soon(ask, name)
    return text(json.dumps([said["one"], said["two"]]))


async def test_what_is_asked_together_is_asked_at_once_and_the_rest_of_it_again() -> None:
    async with playing(server(both)) as play:
        client = arrive(play)
        questions, state = await begin(client)
        assert sorted(questions) == ["q1", "q2"]
        again = await retry(client, state, {"q2": ADA, "q77": {"action": "accept"}})
        assert again["inputRequests"] == {"q1": questions["q1"]}
        last = await retry(client, again["requestState"], {"q1": {"action": "cancel"}})
        assert sorted(heard(last), key=str) == sorted([ADA, {"action": "cancel"}], key=str)


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_client_that_cannot_answer_says_so_to_the_server(wrapped: bool) -> None:
    error = {"code": -1, "message": "User rejected sampling request"}
    async with playing(server(asking(("sampling/createMessage", {"messages": []})))) as play:
        client = arrive(play)
        _, state = await begin(client)
        assert heard(await retry(client, state, {"q1": {"error": error} if wrapped else error})) == [error]


async def test_prompts_and_resources_are_held_too() -> None:
    upstream = server(asking())
    upstream.acts["resources/read"] = upstream.acts["prompts/get"] = asking(("roots/list", None))
    async with playing(upstream) as play:
        client = arrive(play)
        for method, params in (("resources/read", {"uri": "a:b"}), ("prompts/get", {"name": "p"})):
            first = await client.request(method, params)
            last = {"requestState": first["requestState"], "inputResponses": {"q1": {"roots": []}}}
            assert heard(await client.request(method, {**params, **last})) == [{"roots": []}]


async def test_progress_goes_by_its_round_s_token_and_what_comes_in_between_is_told_first() -> None:
    turn = anyio.Event()

    async def act(asked: Asked) -> Reply:
        token = asked.value["_meta"]["progressToken"]

        def report(step: int) -> None:
            asked.scope.notify(
                "notifications/progress", json.dumps({"progressToken": token, "progress": step}).encode()
            )

        report(1)
        pending = asked.scope.request("roots/list", None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_and_report, report)
            await pending
        report(3)
        return text("done")

    async def wait_and_report(report: Callable[[int], None]) -> None:
        await turn.wait()
        report(2)

    async with playing(server(act)) as play:
        client = arrive(play)
        params: dict[str, Any] = {"name": "work", "arguments": {}}
        first = await client.request("tools/call", {**params, "_meta": {"progressToken": "a"}})
        turn.set()
        await anyio.sleep(0.1)
        last = {"requestState": first["requestState"], "inputResponses": {"q1": {"roots": []}}}
        await client.request("tools/call", {**params, **last, "_meta": {"progressToken": 7}})
        steps = [(said["progressToken"], said["progress"]) for _, said in client.heard.noticed]
        assert steps == [("a", 1), (7, 2), (7, 3)]
        assert "untranslated" not in play.board.health()["u"]


async def chatters(asked: Asked) -> Reply:
    """Logs while it waits, and ends without having been answered."""

    async def log() -> None:
        await anyio.sleep(1)
        asked.scope.notify("notifications/message", b'{"level":"info","data":"while you were asked"}')
        asked.scope.notify("notifications/tools/list_changed", None)
        waiting.cancel_scope.cancel()

    async with anyio.create_task_group() as waiting:
        waiting.start_soon(log)
        await asked.scope.request("roots/list", None)
    return text("[]")


async def test_what_came_in_between_is_told_even_if_the_call_has_ended_and_only_if_it_is_wanted() -> None:
    for level, told in (("info", ["while you were asked"]), ("error", [])):
        async with playing(server(chatters)) as play:
            client = arrive(play)
            _, state = await begin(client)
            await anyio.sleep(2)
            last = {"name": "work", "arguments": {}, "requestState": state, "inputResponses": {"q1": {"roots": []}}}
            meta = {"io.modelcontextprotocol/logLevel": level}
            assert heard(await client.request("tools/call", {**last, "_meta": meta})) == []
            assert [said["data"] for _, said in client.heard.noticed] == told


async def test_what_came_in_between_is_counted_where_nobody_comes_for_it() -> None:
    async with playing(server(chatters)) as play:
        await begin(arrive(play))
        await anyio.sleep(HOLD_S + 1)
        assert play.board.health()["u"]["untranslated"] == {"notifications/message: came while the client was asked": 1}


# Pages to visit first.


def after_pages(*visits: int) -> tuple[Act, list[Any]]:
    """Wants a page visited before each of the calls of those numbers."""
    calls: list[Any] = []

    async def act(asked: Asked) -> Reply:
        calls.append(asked.arguments)
        if len(calls) in visits:
            page = {"mode": "url", "elicitationId": "e1", "url": "https://x.example/", "message": "Sign in"}
            return frames.failure(-32042, "visit first", {"elicitations": [page]})
        return text("[]")

    return act, calls


async def test_pages_that_an_error_demands_are_asked_for_and_the_call_is_made_again() -> None:
    act, calls = after_pages(1)
    async with playing(server(act)) as play:
        client = arrive(play)
        questions, state = await begin(client, a=1)
        page = {"mode": "url", "url": "https://x.example/", "message": "Sign in"}
        assert questions["q1"] == {"method": "elicitation/create", "params": page}
        assert heard(await retry(client, state, {"q1": {"action": "accept"}}, a=1)) == []
        assert calls == [{"a": 1}, {"a": 1}]


async def test_who_does_not_visit_them_gets_the_error() -> None:
    act, calls = after_pages(1)
    async with playing(server(act)) as play:
        client = arrive(play)
        _, state = await begin(client)
        assert (await refused(retry(client, state, {"q1": {"action": "decline"}}))).code == -32042
        assert len(calls) == 1
        able = arrive(play, elicitation={"form": {}})  # this one cannot be asked to visit anything
        calls.clear()
        assert (await refused(able.call("work"))).code == -32042


# What is not declared, or asked too often.


@pytest.mark.parametrize(
    ("declared", "method", "params", "code"),
    [
        ({"roots": {}}, "elicitation/create", WHO, METHOD_NOT_FOUND),
        ({"elicitation": {}}, "elicitation/create", {"mode": "url", "url": "x:y", "message": ""}, INVALID_PARAMS),
        ({"sampling": {}}, "sampling/createMessage", {"messages": [], "tools": []}, INVALID_PARAMS),
        ({"roots": {}}, "x/unheard-of", {}, METHOD_NOT_FOUND),
    ],
)
async def test_what_the_client_did_not_declare_is_refused_at_once(
    declared: Any, method: str, params: Any, code: int
) -> None:
    async with playing(server(asking((method, params)))) as play:
        assert heard(await arrive(play, **declared).call("work"))[0]["code"] == code
        assert sum(play.board.health()["u"]["untranslated"].values()) == 1


async def test_a_ping_in_between_is_answered_here() -> None:
    async with playing(server(asking(("ping", None)))) as play:
        assert heard(await arrive(play).call("work")) == [{}]


async def test_only_so_many_calls_are_held_for_one_principal() -> None:
    async with playing(server(asking(("roots/list", None)))) as play:
        client = arrive(play)
        states = [(await begin(client, n=n))[1] for n in range(HELD)]
        one_more = heard(await client.call("work", n=HELD))
        assert (one_more[0]["code"], len(states)) == (INTERNAL_ERROR, HELD)
        assert "64 other calls of this caller wait for its answers already" in one_more[0]["message"]
        await begin(arrive(play, "bob"))  # another's room is another's
        assert heard(await retry(client, states[0], {"q1": {"roots": []}}, n=0)) == [{"roots": []}]
        await begin(client, n=HELD)


# Ends.


async def test_a_client_that_never_comes_back_frees_the_call_in_the_end() -> None:
    upstream = server(asking(("roots/list", None)))
    async with playing(upstream) as play:
        client = arrive(play)
        _, state = await begin(client)
        await anyio.sleep(HOLD_S - 1)
        assert upstream.cancelled == []
        await anyio.sleep(2)
        assert upstream.cancelled == ["tools/call"]
        assert "expired" in (await refused(retry(client, state, {"q1": {"roots": []}}))).message


async def test_the_deadline_of_the_call_does_not_run_while_a_person_thinks() -> None:
    async with playing(server(asking(("roots/list", None)), timeout="5s")) as play:
        client = arrive(play)
        _, state = await begin(client)
        await anyio.sleep(300)
        assert heard(await retry(client, state, {"q1": {"roots": []}})) == [{"roots": []}]


async def test_all_rounds_together_are_bounded() -> None:
    async with playing(server(asking(*[("roots/list", None)] * 9))) as play:
        client = arrive(play)
        _, state = await begin(client)
        await anyio.sleep(HOLD_S - 1)
        second = await retry(client, state, {"q1": {"roots": []}})
        await anyio.sleep(2)
        assert "expired" in (await refused(retry(client, second["requestState"], {"q2": {"roots": []}}))).message


async def test_a_client_that_leaves_during_a_round_cancels_the_call() -> None:
    async def act(asked: Asked) -> Reply:
        await asked.scope.request("roots/list", None)
        await anyio.sleep_forever()
        raise AssertionError

    upstream = server(act)
    async with playing(upstream) as play:
        client = arrive(play)
        _, state = await begin(client)
        with anyio.move_on_after(1):
            await retry(client, state, {"q1": {"roots": []}})
        await anyio.sleep(0.1)
        assert upstream.cancelled == ["tools/call"]
        assert "used already" in (await refused(retry(client, state, {"q1": {"roots": []}}))).message


async def test_the_end_of_the_proxy_cancels_what_is_held() -> None:
    upstream = server(asking(("roots/list", None)))
    async with playing(upstream) as play:
        await begin(arrive(play))
        await play.board.close()
        await anyio.sleep(0.1)
        assert upstream.cancelled == ["tools/call"]
        assert upstream.links[-1].closed


async def test_a_server_that_dies_meanwhile_is_said_to_have_died() -> None:
    upstream = server(asking(("roots/list", None)))
    async with playing(upstream) as play:
        client = arrive(play)
        _, state = await begin(client)
        upstream.crash()
        await anyio.sleep(0.1)
        fault = await refused(retry(client, state, {"q1": {"roots": []}}))
        assert (fault.code, "ended with exit code" in fault.message) == (UPSTREAM_LOST, True)


async def test_a_question_that_the_server_takes_back_is_not_asked_for_again() -> None:
    async def act(asked: Asked) -> Reply:
        with anyio.move_on_after(1):
            await asked.scope.request("roots/list", None)
        await anyio.sleep(1)
        return text('["too late"]')

    async with playing(server(act)) as play:
        client = arrive(play)
        _, state = await begin(client)
        await anyio.sleep(1.5)
        assert heard(await retry(client, state, {"q1": {"roots": []}})) == ["too late"]


async def test_a_call_that_ends_before_its_answer_answers_the_question_itself() -> None:
    asides: list[Reply] = []

    async def act(asked: Asked) -> Reply:
        play.board.tasks.start_soon(ask, asked)
        await anyio.sleep(1)
        return text("[]")

    async def ask(asked: Asked) -> None:
        asides.append(await asked.scope.request("roots/list", None))

    async with playing(server(act)) as play:
        client = arrive(play)
        _, state = await begin(client)
        await anyio.sleep(2)
        assert isinstance(asides[0], Failure)
        assert heard(await retry(client, state, {"q1": {"roots": []}})) == []
