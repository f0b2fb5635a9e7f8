"""Tasks, from the call that begins one to what comes of it: routed, bound to who began it, judged, recorded."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.accounts import standing
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND
from fuseboard.pipeline import Fuses
from fuseboard.ports import Reply, Result
from fuseboard.revocation import Revocation, gate
from fuseboard.sessions.tasks import LIST_BYTES
from fuseboard.state import EMPTY
from fuseboard.upstreams.listing import LIST_TIMEOUT_S
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, result
from support.playbook import FakeClient, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

DONE = {"content": [{"type": "text", "text": "tea"}], "structuredContent": {"sum": 3}}
WRONG = {"content": [], "structuredContent": {"sum": "three"}}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
RELATED = "io.modelcontextprotocol/related-task"


def old_task(id: str, status: str = "working") -> dict[str, Any]:
    stamp = "2025-11-25T10:30:00Z"
    return {"taskId": id, "status": status, "createdAt": stamp, "lastUpdatedAt": stamp, "ttl": 60_000}


def new_task(id: str, status: str = "working", **more: Any) -> dict[str, Any]:
    task = old_task(id, status)
    task["ttlMs"] = task.pop("ttl")
    return {"resultType": "complete", **task, **more}


def lab(alias: str = "lab", *, came_of_it: dict[str, Any] | None = None, first: int = 1, **facts: Any) -> FakeServer:
    """A server with one tool, which begins a task in the form of the era: ``t-1``, ``t-2``, …"""
    numbers = iter(range(first, 100))
    final = DONE if came_of_it is None else came_of_it

    async def begin(asked: Asked) -> Reply:
        id = f"t-{next(numbers)}"
        if asked.era is Era.STATELESS:
            return result({**new_task(id), "resultType": "task"})
        return result({"task": old_task(id)})

    async def get(asked: Asked) -> Reply:
        if asked.era is Era.STATELESS:
            return result(new_task(asked.value["taskId"], "completed", result=final))
        return result(old_task(asked.value["taskId"], "completed"))

    async def fetch(asked: Asked) -> Reply:
        return result({**final, "_meta": {RELATED: {"taskId": asked.value["taskId"]}}})

    async def cancel(asked: Asked) -> Reply:
        if asked.era is Era.STATELESS:
            return result({"resultType": "complete"})
        return result(old_task(asked.value["taskId"], "cancelled"))

    facts = {"tools": {"brew": {"effect": "read"}}, **facts}
    server = FakeServer(alias, FakeTool("brew", begin, outputSchema=SUM), **facts)
    server.acts |= {"tasks/get": get, "tasks/result": fetch, "tasks/cancel": cancel}
    server.acts["tasks/update"] = answers({"resultType": "complete"})
    return server


async def begin(client: FakeClient, tool: str = "brew") -> str:
    """Call the tool as a task; its id."""
    params: dict[str, Any] = {"name": tool, "arguments": {}}
    if client.era is Era.HANDSHAKE:
        params["task"] = {"ttl": 60_000}
    said = await client.request("tools/call", params)
    id: str = (said.get("task") or said)["taskId"]
    return id


async def finish(client: FakeClient, id: str) -> Any:
    """What came of it, as the era gives it."""
    if client.era is Era.STATELESS:
        return (await client.request("tasks/get", {"taskId": id}))["result"]
    return await client.request("tasks/result", {"taskId": id})


async def unknown(client: FakeClient, method: str, id: str) -> None:
    with pytest.raises(RpcError, match="unknown task") as refused:
        await client.request(method, {"taskId": id})
    assert refused.value.code == INVALID_PARAMS


def history(play: Play) -> list[tuple[str, str]]:
    return [(entry.id, str(entry.truth)) for entry in play.concluded]


@pytest.mark.parametrize("era", Era)
async def test_what_comes_of_a_task_is_charged_once(era: Era) -> None:
    tea = {"content": [{"type": "text", "text": "tea" * 1000}], "structuredContent": {"sum": 3}}
    fuses = Fuses(RunLimits.model_validate({"pause_at": None}), PrincipalLimits(), ())
    async with playing(lab(came_of_it=tea), fuses=fuses) as play:
        client = await play.connect(era=era)
        id = await begin(client)
        await finish(client, id)
        await finish(client, id)
        begun, came = play.concluded
        key = f"run/{play.proposed[0].run}"
        used = standing((await play.store.read([key], at=play.board.now())).get(key), at=play.board.now()).used
        assert came.result_bytes > 3000
        assert (used["calls"], used["output_bytes"]) == (1, begun.result_bytes + came.result_bytes)


# One upstream: the bytes stay as they are.


@pytest.mark.parametrize("era", Era)
async def test_a_task_ends_in_the_record_of_the_call_that_began_it(era: Era) -> None:
    async with playing(lab()) as play:
        client = await play.connect(era)
        id = await begin(client)
        assert id == "t-1"
        (proposed,) = play.proposed
        assert history(play) == [(proposed.id, "task")]
        assert {"policy": "task", "verdict": "allow", "rule": None, "facts": {"id": "t-1"}} in play.concluded[0].checks
        assert (await finish(client, id))["content"] == DONE["content"]
        assert history(play) == [(proposed.id, "task"), (proposed.id, "ok")]
        assert [check["policy"] for check in play.concluded[1].checks] == ["schema", "task"]
        assert len(play.proposed) == 1


async def test_the_request_and_all_answers_keep_their_bytes() -> None:
    server = lab()
    server.tools["brew"].act = answers(Result(b'{"task": {"taskId":"\\u0074-1","n":1.10}}'))
    server.acts["tasks/get"] = answers(Result(b'{"taskId": "t-1","status":"working","n":1.10}'))
    server.acts["tasks/result"] = answers(Result(b'{"content": [],"structuredContent":{"sum":1},"n":1.10}'))
    async with playing(server) as play:
        client = await play.connect()
        params = b'{"name":"brew", "arguments":{},"task":{"ttl":1E5}}'
        begun = await client.reply("tools/call", params)
        assert begun.raw == b'{"task": {"taskId":"\\u0074-1","n":1.10}}'
        assert server.calls[0].params == params
        state = await client.reply("tasks/get", b'{"taskId":"t-1", "n":1.10}')
        assert state.raw == b'{"taskId": "t-1","status":"working","n":1.10}'
        assert (await server.reached("tasks/get")).params == b'{"taskId":"t-1", "n":1.10}'
        final = await client.reply("tasks/result", b'{"taskId":"t-1"}')
        assert final.raw == b'{"content": [],"structuredContent":{"sum":1},"n":1.10}'


@pytest.mark.parametrize("era", Era)
async def test_a_late_result_is_judged_as_any_other(era: Era) -> None:
    async with playing(lab(came_of_it=WRONG)) as play:
        client = await play.connect(era)
        id = await begin(client)
        for _ in range(2):
            refused = await finish(client, id)
            assert refused["isError"] is True
            assert "/sum" in refused["content"][0]["text"]
            assert refused["_meta"]["fuseboard/decision"]["id"] == play.proposed[0].id
        assert [truth for _, truth in history(play)] == ["task", "schema_violation"]  # the second is no news


@pytest.mark.parametrize("era", Era)
async def test_in_observe_mode_a_late_result_passes(era: Era) -> None:
    async with playing(lab(came_of_it=WRONG), mode="observe") as play:
        client = await play.connect(era)
        id = await begin(client)
        for _ in range(2):
            assert (await finish(client, id))["structuredContent"] == {"sum": "three"}


@pytest.mark.parametrize("era", Era)
async def test_a_result_that_is_fetched_again_is_recorded_once(era: Era) -> None:
    async with playing(lab()) as play:
        client = await play.connect(era)
        id = await begin(client)
        assert await finish(client, id) == await finish(client, id)
        assert [truth for _, truth in history(play)] == ["task", "ok"]


@pytest.mark.parametrize("era", Era)
async def test_what_was_taken_back_since_the_first_delivery_is_not_delivered_again(era: Era) -> None:
    server = lab()
    del server.tools["brew"].definition["outputSchema"]
    fuses = Fuses(RunLimits.model_validate({"pause_at": None}), PrincipalLimits(), ())
    async with playing(server, fuses=fuses) as play:
        client = await play.connect(era)
        id = await begin(client)
        assert (await finish(client, id))["content"] == DONE["content"]
        at = play.board.now()
        standing_now = [gate([Revocation("v-1", "lab", at, "ida")])]
        assert await play.store.commit(standing_now, EMPTY, None, at=at)
        refused = await finish(client, id)
        assert refused["_meta"]["fuseboard/decision"]["rule"] == "revoked.result"
        assert "tea" not in json.dumps(refused["content"])


async def test_the_error_of_a_task_is_what_came_of_it() -> None:
    server = lab()
    server.acts["tasks/result"] = fails(-32602, "no such tea")
    async with playing(server) as play:
        client = await play.connect()
        id = await begin(client)
        with pytest.raises(RpcError, match="no such tea"):
            await finish(client, id)
        assert [truth for _, truth in history(play)] == ["task", "bad_arguments"]


async def test_a_failed_task_of_the_stateless_era_ends_with_its_error() -> None:
    server = lab()
    failed = new_task("t-1", "failed", error={"code": -32603, "message": "kettle"})
    server.acts["tasks/get"] = answers(failed)
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        assert await client.request("tasks/get", {"taskId": await begin(client)}) == failed
        assert [truth for _, truth in history(play)] == ["task", "error"]


async def test_that_an_upstream_has_no_such_method_says_nothing_of_the_task() -> None:
    server = lab()
    server.acts["tasks/result"] = fails(METHOD_NOT_FOUND, "Method not found")
    async with playing(server) as play:
        client = await play.connect()
        id = await begin(client)
        with pytest.raises(RpcError, match="Method not found"):
            await finish(client, id)
        assert [truth for _, truth in history(play)] == ["task"]


async def test_a_cancelled_task_comes_to_nothing() -> None:
    async with playing(lab()) as play:
        client = await play.connect()
        id = await begin(client)
        assert (await client.request("tasks/cancel", {"taskId": id}))["status"] == "cancelled"
        await client.request("tasks/cancel", {"taskId": id})
        assert [truth for _, truth in history(play)] == ["task", "cancelled"]


async def test_in_the_stateless_era_to_cancel_is_a_wish() -> None:
    server = lab()
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        id = await begin(client)
        await client.request("tasks/cancel", {"taskId": id})
        assert [truth for _, truth in history(play)] == ["task"]
        server.acts["tasks/get"] = answers(new_task(id, "cancelled"))
        await client.request("tasks/get", {"taskId": id})
        assert [truth for _, truth in history(play)] == ["task", "cancelled"]


async def test_a_task_that_waits_for_input_gets_it() -> None:
    server = lab()
    waiting = new_task("t-1", "input_required", inputRequests={"name": {"method": "elicitation/create"}})
    server.acts["tasks/get"] = answers(waiting)
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        id = await begin(client)
        assert await client.request("tasks/get", {"taskId": id}) == waiting
        responses = {"name": {"action": "accept", "content": {"input": "Ada"}}}
        assert await client.request("tasks/update", {"taskId": id, "inputResponses": responses}) == {
            "resultType": "complete"
        }
        assert (await server.reached("tasks/update")).value["inputResponses"] == responses
        assert [truth for _, truth in history(play)] == ["task"]


async def test_a_call_that_is_denied_begins_no_task() -> None:
    rules = [{"id": "no", "tools": "*", "decide": "deny", "say": "No."}]
    async with playing(lab(), rules=rules) as play:
        client = await play.connect()
        assert (await client.request("tools/call", {"name": "brew", "arguments": {}, "task": {}}))["isError"] is True
        assert play.server("lab").calls == []


@pytest.mark.parametrize("body", [{"content": []}, {"structuredContent": {"sum": "x"}}], ids=str)
async def test_a_result_beside_a_task_is_judged_at_once(body: dict[str, Any]) -> None:
    server = lab()
    server.tools["brew"].act = answers({"task": old_task("t-1"), **body})
    async with playing(server) as play:
        client = await play.connect()
        await client.refusal("brew")
        assert [truth for _, truth in history(play)] == ["schema_violation"]


async def test_only_a_tool_s_call_can_begin_a_task() -> None:
    server = lab()
    server.prompts = ["p"]
    server.acts["prompts/get"] = answers({**new_task("t-1"), "resultType": "task"})
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        await client.request("prompts/get", {"name": "p"})
        assert play.truths == ["malformed"]
        assert not play.board.exchange.tasks.is_anyones("lab", "t-1")


# Whose task it is.


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_another_principal_s_task_is_as_unknown_as_none(method: str) -> None:
    server = lab()
    async with playing(server) as play:
        ada = await play.connect(Era.STATELESS, principal="ada", transport="http")
        bob = await play.connect(Era.STATELESS, principal="bob", transport="http")
        id = await begin(ada)
        with pytest.raises(RpcError) as theirs:
            await bob.request(method, {"taskId": id})
        with pytest.raises(RpcError) as none:
            await bob.request(method, {"taskId": "t-9"})
        assert theirs.value.message.replace(id, "t-9") == none.value.message
        assert theirs.value.code == none.value.code == INVALID_PARAMS
        assert method not in server.methods
        assert (await finish(ada, id)) == DONE


async def test_another_session_s_task_is_unknown_even_to_the_same_principal() -> None:
    async with playing(lab()) as play:
        one, other = await play.connect(), await play.connect()
        id = await begin(one)
        for method in ("tasks/get", "tasks/result", "tasks/cancel"):
            await unknown(other, method, id)
        assert await begin(other) == "t-2"
        assert (await finish(other, "t-2"))["content"] == DONE["content"]


@pytest.mark.parametrize("era", Era)
async def test_what_began_before_a_restart_is_still_fetched_where_nobody_else_can_be(era: Era) -> None:
    async with playing(lab()) as play:
        client = await play.connect(era)
        assert (await finish(client, "from-before"))["content"] == DONE["content"]
        assert play.concluded == []


async def test_what_began_before_a_restart_is_unknown_where_principals_are_told_apart() -> None:
    async with playing(lab()) as play:
        client = await play.connect(principal="ada", transport="http")
        await unknown(client, "tasks/result", "from-before")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (b'{"taskId":"t-1","taskId":"t-2"}', "twice"),
        (b'{"taskId":"t-1","taskid":"t-2"}', "one key"),
        (b'{"taskid":"t-1"}', "taskId"),
        (b'{"taskId":7}', "must be a string"),
        (b"{}", "must be a string"),
        (None, "must be a string"),
    ],
    ids=str,
)
async def test_a_request_that_could_mean_another_task_is_refused(params: bytes | None, message: str) -> None:
    server = lab()
    async with playing(server) as play:
        client = await play.connect()
        await begin(client)
        with pytest.raises(RpcError, match=message) as refused:
            await client.request("tasks/get", params)
        assert refused.value.code in (INVALID_PARAMS, INVALID_REQUEST)
        assert "tasks/get" not in server.methods


# Several upstreams.


@pytest.mark.parametrize("era", Era)
async def test_ids_of_two_upstreams_that_collide_are_told_apart(era: Era) -> None:
    tea, coffee = lab("tea"), lab("coffee")
    async with playing(tea, coffee) as play:
        client = await play.connect(era)
        ids = [await begin(client, f"{alias}__brew") for alias in ("tea", "coffee")]
        assert ids == ["tea__t-1", "coffee__t-1"]
        state = await client.request("tasks/get", {"taskId": "coffee__t-1"})
        assert state["taskId"] == "coffee__t-1"
        assert (await coffee.reached("tasks/get")).value["taskId"] == "t-1"
        assert "tasks/get" not in tea.methods
        final = await finish(client, "coffee__t-1")
        assert final.get("_meta", {}).get(RELATED, {"taskId": "coffee__t-1"}) == {"taskId": "coffee__t-1"}


@pytest.mark.parametrize("id", ["t-1", "tea__t-9", "nobody__t-1", "coffee__t-1"])
async def test_among_several_upstreams_a_stranger_is_unknown(id: str) -> None:
    tea, coffee = lab("tea"), lab("coffee")
    async with playing(tea, coffee) as play:
        client = await play.connect()
        await begin(client, "tea__brew")
        await unknown(client, "tasks/get", id)


async def test_what_is_asked_for_a_task_names_it_as_the_client_knows_it() -> None:
    tea, coffee = lab("tea"), lab("coffee")

    async def fetch(asked: Asked) -> Reply:
        meta = {RELATED: {"taskId": asked.value["taskId"]}}
        answer = await asked.scope.request("elicitation/create", json.dumps({"message": "?", "_meta": meta}).encode())
        asked.scope.notify("notifications/progress", json.dumps({"progressToken": 1, "_meta": meta}).encode())
        return result({**DONE, "answered": json.loads(answer.raw)})

    tea.acts["tasks/result"] = fetch
    async with playing(tea, coffee) as play:
        client = await play.connect()
        id = await begin(client, "tea__brew")
        client.answer = result({"action": "decline", "_meta": {RELATED: {"taskId": "tea__t-1"}}})
        final = await finish(client, id)
        asked = client.scopes[-1].asked
        assert asked == [("elicitation/create", {"message": "?", "_meta": {RELATED: {"taskId": "tea__t-1"}}})]
        assert final["answered"]["_meta"] == {RELATED: {"taskId": "t-1"}}
        noticed = client.scopes[-1].noticed
        assert noticed[0][1]["_meta"] == {RELATED: {"taskId": "tea__t-1"}}


async def test_a_client_s_own_tasks_keep_their_names() -> None:
    """2025-11-25: a server may ask for sampling as a task, and then asks the client for what came of it."""
    tea, coffee = lab("tea"), lab("coffee")

    async def act(asked: Asked) -> Reply:
        answer = await asked.scope.request("tasks/result", b'{"taskId":"client-1"}')
        return result({**DONE, "answered": json.loads(answer.raw)})

    tea.tools["brew"].act = act
    async with playing(tea, coffee) as play:
        client = await play.connect()
        answer = {"role": "assistant", "_meta": {RELATED: {"taskId": "client-1"}}}
        client.answer = result(answer)
        assert (await client.call("tea__brew"))["answered"] == answer
        assert client.scopes[-1].asked == [("tasks/result", {"taskId": "client-1"})]


# The list.


async def test_a_list_of_one_s_own_tasks_keeps_its_bytes() -> None:
    server = lab()
    page = b'{"tasks": [{"taskId":"t-1","n":1.10}],"nextCursor":"c"}'
    server.acts["tasks/list"] = answers(Result(page))
    async with playing(server) as play:
        client = await play.connect()
        await begin(client)
        assert (await client.reply("tasks/list")).raw == page


async def test_a_list_leaves_out_the_tasks_of_others() -> None:
    server = lab()
    server.acts["tasks/list"] = answers({"tasks": [old_task(f"t-{n}") for n in (1, 2, 3)], "x": 1})
    async with playing(server) as play:
        ada = await play.connect(principal="ada", transport="http")
        bob = await play.connect(principal="bob", transport="http")
        assert [await begin(ada), await begin(bob)] == ["t-1", "t-2"]
        assert await ada.request("tasks/list") == {"tasks": [old_task("t-1")], "x": 1}
        assert await bob.request("tasks/list") == {"tasks": [old_task("t-2")], "x": 1}


async def test_the_lists_of_several_upstreams_are_one() -> None:
    tea, coffee, none = lab("tea"), lab("coffee"), FakeServer("none")

    async def pages(asked: Asked) -> Reply:
        if asked.value.get("cursor") is None:
            return result({"tasks": [old_task("t-9")], "nextCursor": "more"})
        return result({"tasks": [old_task("t-1")]})

    tea.acts["tasks/list"] = pages
    coffee.acts["tasks/list"] = answers({"tasks": [old_task("t-1")]})
    async with playing(tea, coffee, none) as play:
        client = await play.connect()
        for alias in ("tea", "coffee"):
            await begin(client, f"{alias}__brew")
        listed = await client.request("tasks/list")
        assert listed == {"tasks": [old_task("tea__t-1"), old_task("coffee__t-1")]}


async def test_a_list_that_never_ends_is_followed_for_a_while_and_costs_the_others_nothing() -> None:
    tea, coffee = lab("tea"), lab("coffee")

    async def endless(asked: Asked) -> Reply:
        if asked.value.get("cursor") is None:
            return result({"tasks": [old_task("t-1")], "nextCursor": "more"})
        await anyio.sleep_forever()
        raise AssertionError

    tea.acts["tasks/list"] = endless
    coffee.acts["tasks/list"] = answers({"tasks": [old_task("t-1")]})
    async with playing(tea, coffee) as play:
        client = await play.connect()
        for alias in ("tea", "coffee"):
            await begin(client, f"{alias}__brew")
        with anyio.fail_after(LIST_TIMEOUT_S + 1):
            listed = await client.request("tasks/list")
        assert listed == {"tasks": [old_task("tea__t-1"), old_task("coffee__t-1")]}


async def test_a_list_takes_no_more_than_its_room() -> None:
    tea, coffee = lab("tea"), lab("coffee")
    page = {"tasks": [old_task("t-1") | {"x": "x" * 1_000_000}], "nextCursor": "and so on"}
    tea.acts["tasks/list"] = answers(page)
    coffee.acts["tasks/list"] = answers({"tasks": [old_task("t-1")]})
    async with playing(tea, coffee) as play:
        client = await play.connect()
        for alias in ("tea", "coffee"):
            await begin(client, f"{alias}__brew")
        listed = (await client.request("tasks/list"))["tasks"]
        assert len(listed) == LIST_BYTES // 2 // 1_000_000 + 1
        assert listed[-1] == old_task("coffee__t-1")


@pytest.mark.parametrize("odd", [{}, {"tasks": {}}, {"tasks": [], "nextCursor": None}, []], ids=str)
async def test_an_odd_list_costs_the_others_nothing(odd: Any) -> None:
    tea, coffee = lab("tea"), lab("coffee")
    tea.acts["tasks/list"] = answers(result(odd))
    coffee.acts["tasks/list"] = answers({"tasks": [old_task("t-1")]})
    async with playing(tea, coffee) as play:
        client = await play.connect()
        await begin(client, "coffee__brew")
        assert await client.request("tasks/list") == {"tasks": [old_task("coffee__t-1")]}
        assert len([asked for asked in tea.asked if asked.method == "tasks/list"]) == 1


async def test_where_no_upstream_lists_tasks_the_method_is_not_found() -> None:
    async with playing(FakeServer("a"), FakeServer("b")) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as refused:
            await client.request("tasks/list")
        assert refused.value.code == METHOD_NOT_FOUND


async def test_a_server_down_costs_its_own_tasks_alone() -> None:
    tea, coffee = lab("tea"), lab("coffee")
    coffee.acts["tasks/list"] = answers({"tasks": [old_task("t-1")]})

    async def lost(asked: Asked) -> Reply:
        tea.crash()
        await anyio.sleep_forever()
        raise AssertionError

    tea.acts["tasks/list"] = lost
    async with playing(tea, coffee) as play:
        client = await play.connect()
        await begin(client, "coffee__brew")
        assert await client.request("tasks/list") == {"tasks": [old_task("coffee__t-1")]}


async def test_the_stateless_era_has_no_list() -> None:
    async with playing(lab()) as play:
        client = await play.connect(Era.STATELESS)
        with pytest.raises(RpcError) as refused:
            await client.request("tasks/list")
        assert refused.value.code == METHOD_NOT_FOUND
