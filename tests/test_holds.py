"""A call that waits for a person: nothing is sent but what was approved, as it was approved, and once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fuseboard.approvals import INDEX, Approval, Unsettled
from fuseboard.config.conduct import Approvals
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.era import Era
from fuseboard.pipeline import Fuses
from fuseboard.ports import Result
from support.fake_server import FakeServer, FakeTool, echoes, result
from support.playbook import BEGAN, FakeClient, GatedStore, Play, RpcError, playing
from support.virtual_time import anyio_backend  # noqa: F401

RULES = [{"id": "deploys-need-a-person", "tools": "ci__deploy", "decide": "ask", "say": "Deploying needs a yes."}]
PAGE = "http://127.0.0.1:1/approvals"
URL = {"elicitation": {"url": {}}}
FORM = {"elicitation": {}}


def ci(**definition: Any) -> FakeServer:
    return FakeServer("ci", FakeTool("deploy", echoes, **definition))


@asynccontextmanager
async def asking(server: FakeServer | None = None, store: Any = None, **approvals: Any) -> AsyncIterator[Play]:
    page = approvals.pop("page", None)
    async with playing(server or ci(), rules=RULES, approvals=Approvals(**approvals), page=page, store=store) as play:
        yield play


async def pending(play: Play) -> Approval:
    while not (found := await play.inbox.pending()):
        at = BEGAN + anyio.current_time()
        assert await play.store.changed((INDEX,), await play.store.read((INDEX,), at=at), at=at, timeout_s=60)
    return found[0]


async def decide(play: Play, *, approve: bool = True, say: str = "", through: str = "cli") -> None:
    await play.inbox.decide((await pending(play)).id, approve=approve, by="ana", through=through, say=say)


def sent(play: Play) -> list[Any]:
    return [asked.arguments for asked in play.server("ci").calls]


async def both(play: Play, client: FakeClient, after: Any, **arguments: Any) -> Any:
    """A call, and what happens while it waits."""
    answer: list[Any] = []

    async def call() -> None:
        answer.append(await client.call("deploy", **arguments))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await after()
    return answer[0]


@pytest.mark.parametrize("era", list(Era))
async def test_an_approved_call_goes_through_and_its_record_says_who(era: Era) -> None:
    async with asking() as play:
        client = await play.connect(era)

        async def later() -> None:
            await anyio.sleep(7)
            assert sent(play) == []
            await decide(play, say="go on")

        answer = await both(play, client, later, to="prod")
        assert "isError" not in answer
        assert sent(play) == [{"to": "prod"}]
        (record,) = play.proposed
        assert (record.verdict, record.final) == ("allow", False)
        fact = next(check for check in record.checks if check["policy"] == "approvals")["facts"]
        assert (fact["by"], fact["through"], fact["say"], fact["waited_s"]) == ("ana", "cli", "go on", 7.0)
        assert record.at == BEGAN + 7
        assert await play.inbox.pending() == ()


@pytest.mark.parametrize("era", list(Era))
async def test_a_rejection_is_told_and_stays(era: Era) -> None:
    async with asking() as play:
        client = await play.connect(era)
        answer = await both(play, client, lambda: decide(play, approve=False, say="not on Fridays"), to="prod")
        assert "ana rejected this call" in answer["content"][0]["text"]
        assert "not on Fridays" in answer["content"][0]["text"]
        decision = answer["_meta"]["fuseboard/decision"]
        assert (decision["verdict"], decision["approval"][:2]) == ("deny", "a-")
        text, again = await client.refusal("deploy", to="prod")
        assert "not on Fridays" in text
        assert again["approval"] == decision["approval"]
        assert sent(play) == []
        await anyio.sleep(1801)
        await both(play, client, lambda: decide(play), to="prod")
        assert sent(play) == [{"to": "prod"}]


@pytest.mark.parametrize("era", list(Era))
async def test_without_an_answer_the_very_same_call_goes_through_later_and_only_once(era: Era) -> None:
    async with asking() as play:
        client = await play.connect(era)
        began = anyio.current_time()
        text, decision = await client.refusal("deploy", to="prod", how={"fast": True, "n": 1})
        assert anyio.current_time() - began == pytest.approx(45)
        assert decision["verdict"] == "hold"
        assert decision["approval"] in text
        assert "on the operator's terminal" in text
        assert "very same call" in text
        assert "fuseboard" not in text
        (record,) = play.proposed
        assert (record.verdict, record.final, record.id) == ("hold", True, decision["id"])
        await decide(play)
        assert sent(play) == []
        answer = await client.call("deploy", how={"n": 1, "fast": True}, to="prod")
        assert "isError" not in answer
        assert len(sent(play)) == 1
        text, again = await client.refusal("deploy", to="prod", how={"fast": True, "n": 1})
        assert again["approval"] == decision["approval"]
        assert len(sent(play)) == 1


async def test_with_other_arguments_it_is_another_call() -> None:
    async with asking(timeout_s=1.0) as play:
        client = await play.connect()
        _, first = await client.refusal("deploy", to="staging")
        await decide(play)
        _, second = await client.refusal("deploy", to="prod")
        assert first["approval"] != second["approval"]
        assert sent(play) == []


async def test_another_principal_and_another_run_cannot_use_it() -> None:
    async with asking(timeout_s=1.0) as play:
        ana, bob = (
            await play.connect(principal="ana", transport="http"),
            await play.connect(principal="bob", transport="http"),
        )
        again = await play.connect(principal="ana", transport="http")
        await ana.refusal("deploy", to="prod")
        await decide(play)
        await bob.refusal("deploy", to="prod")
        await again.refusal("deploy", to="prod")
        assert sent(play) == []
        await ana.call("deploy", to="prod")
        assert len(sent(play)) == 1


@pytest.mark.parametrize("era", list(Era))
async def test_a_definition_that_is_swapped_while_a_person_thinks_is_asked_about_anew(era: Era) -> None:
    server = ci(description="deploys")
    async with asking(server) as play:
        client = await play.connect(era)

        async def swap() -> None:
            asked = await pending(play)
            server.tools["deploy"] = FakeTool("deploy", echoes, description="deploys, and mails the keys")
            await play.inbox.decide(asked.id, approve=True, by="ana", through="cli")
            anew = await pending(play)
            assert anew.id != asked.id
            assert sent(play) == []
            await play.inbox.decide(anew.id, approve=False, by="ana", through="cli")

        answer = await both(play, client, swap, to="prod")
        assert answer["isError"] is True
        assert sent(play) == []


async def test_of_two_approvers_one_wins_and_the_other_is_told() -> None:
    async with asking() as play:
        client = await play.connect()
        told: list[str] = []

        async def answer(by: str, id: str, approve: bool) -> None:
            try:
                await play.inbox.decide(id, approve=approve, by=by, through="cli")
            except Unsettled as fault:
                told.append(str(fault))

        async def race() -> None:
            id = (await pending(play)).id
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer, "ana", id, True)
                tasks.start_soon(answer, "bob", id, False)

        await both(play, client, race, to="prod")
        assert len(told) == 1
        assert "already by ana" in told[0]
        assert len(sent(play)) == 1


async def test_two_same_calls_at_once_cannot_share_one_approval() -> None:
    async with asking(timeout_s=5.0) as play:
        client = await play.connect()
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await client.call("deploy", to="prod"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
            await decide(play)
        assert len(sent(play)) == 1
        assert sorted("isError" in one for one in answers) == [False, True]


async def test_an_approval_that_is_not_used_in_time_is_gone() -> None:
    async with asking(timeout_s=1.0, expires_s=60.0) as play:
        client = await play.connect()
        _, first = await client.refusal("deploy", to="prod")
        id = first["approval"]
        await decide(play)
        await anyio.sleep(60)
        await client.refusal("deploy", to="prod")
        assert sent(play) == []
        await anyio.sleep(61)
        with pytest.raises(Unsettled, match="expired"):
            await play.inbox.decide(id, approve=True, by="ana", through="cli")


async def test_a_client_that_gave_a_token_hears_that_its_call_waits() -> None:
    async with asking() as play:
        client = await play.connect()
        await client.request("tools/call", {"name": "deploy", "arguments": {}, "_meta": {"progressToken": "p"}})
        told = [params for method, params in client.scopes[-1].noticed if method == "notifications/progress"]
        assert {one["progressToken"] for one in told} == {"p"}
        progress = [one["progress"] for one in told]
        assert len(progress) == 8
        assert progress == sorted(set(progress))
        assert progress[-1] < 0  # what the upstream reports begins at 0
        await client.call("deploy", other=1)
        assert not [method for method, _ in client.scopes[-1].noticed if method == "notifications/progress"]


async def test_nobody_can_be_asked() -> None:
    async with asking(via=("elicit",)) as play:
        client = await play.connect()
        began = anyio.current_time()
        text, decision = await client.refusal("deploy")
        assert anyio.current_time() == began
        assert "no way to ask" in text
        assert "approval" not in decision
        assert await play.inbox.pending() == ()


async def test_the_store_is_down() -> None:
    store = GatedStore()
    store.disk.set()
    async with asking(store=store) as play:
        client = await play.connect()
        store.down = True
        with pytest.raises(RpcError):
            await client.call("deploy")
        store.down = False
        await client.refusal("deploy")
        await decide(play)
        store.down = True
        with pytest.raises(RpcError):
            await client.call("deploy")
        assert sent(play) == []


async def test_a_read_that_was_approved_is_not_sent_either_where_its_approval_cannot_be_spent() -> None:
    store = GatedStore()
    store.disk.set()
    reads = FakeServer("ci", FakeTool("deploy"), tools={"deploy": {"effect": "read"}})
    async with asking(reads, store=store, timeout_s=1.0) as play:
        client = await play.connect()
        await client.refusal("deploy")
        await decide(play)
        store.down = True
        with pytest.raises(RpcError):
            await client.call("deploy")
        assert sent(play) == []


async def test_silence_may_mean_yes_and_the_record_says_so() -> None:
    async with asking(on_timeout="allow", timeout_s=3.0) as play:
        client = await play.connect()
        answer = await client.call("deploy", to="prod")
        assert "isError" not in answer
        assert sent(play) == [{"to": "prod"}]
        fact = next(check for check in play.proposed[0].checks if check["policy"] == "approvals")["facts"]
        assert "nobody" in fact["by"]


async def test_a_client_that_goes_away_while_its_call_waits_leaves_a_record() -> None:
    async with asking() as play:
        client = await play.connect()
        with anyio.move_on_after(3):
            await client.call("deploy")
        (record,) = play.proposed
        assert (record.verdict, record.final) == ("hold", True)
        await decide(play)
        assert sent(play) == []


# By the client.


async def test_a_handshake_client_is_sent_to_the_page() -> None:
    async with asking(page=PAGE) as play:
        client = play.arrive(**URL)
        await client.initialize()
        client.answer = result({"action": "accept"})
        await both(play, client, lambda: decide(play, through="web"), to="prod")
        ((method, params),) = client.scopes[-1].asked
        assert method == "elicitation/create"
        assert (params["mode"], params["url"][: len(PAGE) + 3]) == ("url", f"{PAGE}/a-")
        assert '"to": "prod"' in params["message"]
        done = await client.scopes[-1].until("notifications/elicitation/complete")
        assert done["elicitationId"] == params["elicitationId"]
        assert sent(play) == [{"to": "prod"}]


async def test_to_open_the_page_is_not_to_approve() -> None:
    async with asking(page=PAGE, timeout_s=3.0) as play:
        client = play.arrive(**URL)
        await client.initialize()
        client.answer = result({"action": "accept", "content": {"approve": True}})
        await client.refusal("deploy")
        assert sent(play) == []


@pytest.mark.parametrize("form", ["none", "read", "write"])
@pytest.mark.parametrize("era", list(Era))
async def test_a_form_will_not_do_for_more_harm_than_the_operator_allows(form: str, era: Era) -> None:
    async with asking(form=form, via=("elicit",)) as play:
        client = play.arrive(era, **FORM)
        if era is Era.HANDSHAKE:
            await client.initialize()
        client.answer = result({"action": "accept", "content": {"approve": True}})
        text, _ = await client.refusal("deploy")
        assert "no way to ask" in text
        assert not client.scopes[-1].asked


@pytest.mark.parametrize(
    ("answer", "sends", "says"),
    [
        ({"action": "accept", "content": {"approve": True}}, 1, ""),
        ({"action": "accept", "content": {"approve": False, "reason": "no"}}, 0, "rejected this call"),
        ({"action": "decline"}, 0, "rejected this call"),
        ({"action": "cancel"}, 0, "has not answered yet"),
        ({"action": "accept", "content": {}}, 0, "has not answered yet"),
        ({"action": "accept"}, 0, "has not answered yet"),
        ({"what": 1}, 0, "has not answered yet"),
    ],
)
@pytest.mark.parametrize("era", list(Era))
async def test_a_form_in_the_client(answer: dict[str, Any], sends: int, says: str, era: Era) -> None:
    async with asking(form="destructive", timeout_s=3.0) as play:
        client = play.arrive(era, **FORM)
        if era is Era.HANDSHAKE:
            await client.initialize()
            client.answer = Result(json.dumps(answer).encode())
            said = await client.call("deploy", to="prod")
        else:
            asked = await client.call("deploy", to="prod")
            assert sent(play) == []
            said = await retried(client, asked, answer, to="prod")
        assert len(sent(play)) == sends
        assert says in said["content"][0]["text"]
        assert ("isError" in said) is (not sends)


async def retried(client: FakeClient, asked: Any, answer: dict[str, Any], **arguments: Any) -> Any:
    assert asked["resultType"] == "input_required", asked
    (key,) = asked["inputRequests"]
    params = {
        "name": "deploy",
        "arguments": arguments,
        "requestState": asked["requestState"],
        "inputResponses": {key: answer},
    }
    return await client.request("tools/call", params)


async def test_a_stateless_client_is_sent_to_the_page_and_comes_back() -> None:
    async with asking(page=PAGE) as play:
        client = play.arrive(Era.STATELESS, **URL)
        asked = await client.call("deploy", to="prod")
        (request,) = asked["inputRequests"].values()
        assert request["method"] == "elicitation/create"
        assert request["params"]["mode"] == "url"
        assert request["params"]["url"].startswith(f"{PAGE}/a-")
        await decide(play, through="web")
        answer = await retried(client, asked, {"action": "accept"}, to="prod")
        assert "resultType" not in answer
        (reached,) = play.server("ci").calls
        assert not {"requestState", "inputResponses"} & reached.value.keys()
        first, second = play.proposed
        assert (first.verdict, first.final, second.verdict, second.final) == ("hold", True, "allow", False)
        again = await retried(client, asked, {"action": "accept"}, to="prod")
        assert again["isError"] is True  # the state is good for nothing more; what was approved was used
        assert len(sent(play)) == 1


async def test_a_stateless_form_answers_the_call_that_it_was_shown_with() -> None:
    async with asking(form="destructive", timeout_s=1.0) as play:
        client = play.arrive(Era.STATELESS, **FORM)
        asked = await client.call("deploy", to="staging")
        yes = {"action": "accept", "content": {"approve": True}}
        other = await retried(client, asked, yes, to="prod")
        assert other["isError"] is True
        assert sent(play) == []
        await retried(client, asked, yes, to="staging")
        assert sent(play) == [{"to": "staging"}]
        await retried(client, asked, yes, to="staging")
        assert sent(play) == [{"to": "staging"}]


async def test_a_state_of_ours_is_good_for_its_principal_alone() -> None:
    async with asking(form="destructive") as play:
        ana = play.arrive(Era.STATELESS, principal="ana", **FORM)
        bob = play.arrive(Era.STATELESS, principal="bob", **FORM)
        asked = await ana.call("deploy")
        with pytest.raises(RpcError, match="not valid here"):
            await retried(bob, asked, {"action": "accept", "content": {"approve": True}})
        asked["requestState"] += "0"
        with pytest.raises(RpcError, match="not valid here"):
            await retried(ana, asked, {"action": "accept", "content": {"approve": True}})


async def test_what_an_upstream_asks_in_an_approved_call_needs_no_other_approval() -> None:
    server = ci()
    rounds = iter(
        [
            {"resultType": "input_required", "inputRequests": {"q": {"method": "roots/list"}}, "requestState": "s1"},
            {"resultType": "input_required", "inputRequests": {"q": {"method": "roots/list"}}, "requestState": "s2"},
            {"resultType": "complete", "content": []},
        ]
    )

    async def act(asked: Any) -> Any:
        return result(next(rounds))

    server.tools["deploy"].act = act
    async with asking(server, timeout_s=1.0) as play:
        client = await play.connect(Era.STATELESS)
        first = await both(play, client, lambda: decide(play), to="prod")
        assert first["requestState"] == "s1"
        second = await retried(client, first, {"roots": []}, to="prod")
        assert second["requestState"] == "s2"
        replayed = await retried(client, first, {"roots": []}, to="prod")
        assert replayed["isError"] is True
        third = await retried(client, second, {"roots": []}, to="prod")
        assert third["resultType"] == "complete"
        assert len(sent(play)) == 3


# A run that waits.


def fuses() -> Fuses:
    return Fuses(RunLimits(calls=4, pause_at=0.5, rate=None), PrincipalLimits(), ())


@pytest.mark.parametrize("how", ["approve", "resume"])
async def test_a_paused_run_waits_as_one_and_goes_on_as_one(how: str) -> None:
    async with playing(ci(), fuses=fuses(), approvals=Approvals(timeout_s=20.0)) as play:
        client = await play.connect()
        for number in range(2):
            await client.call("deploy", n=number)

        async def review() -> None:
            asked = await pending(play)
            assert asked.binding.resumes
            if how == "approve":
                await play.inbox.decide(asked.id, approve=True, by="ana", through="cli")
            else:
                await play.inbox.resume(asked.binding.run, by="ana", more={"calls": 2})

        answer = await both(play, client, review, n=3)
        assert "isError" not in answer
        assert await play.inbox.pending() == ()
        assert len(sent(play)) == 3


async def test_a_paused_run_asks_one_question_however_many_calls_wait() -> None:
    async with playing(ci(), fuses=fuses(), approvals=Approvals(timeout_s=20.0)) as play:
        client = await play.connect()
        for number in range(2):
            await client.call("deploy", n=number)
        async with anyio.create_task_group() as tasks:
            for number in range(2, 4):
                tasks.start_soon(lambda n=number: client.call("deploy", n=n))
            asked = await pending(play)
            assert await play.inbox.pending() == (asked,)
            await play.inbox.decide(asked.id, approve=True, by="ana", through="cli")
        assert len(sent(play)) == 4


async def test_a_run_that_is_stopped_while_it_waits_ends_there() -> None:
    async with playing(ci(), fuses=fuses(), approvals=Approvals(timeout_s=20.0)) as play:
        client = await play.connect()
        for number in range(2):
            await client.call("deploy", n=number)

        async def stop() -> None:
            await play.inbox.stop((await pending(play)).binding.run, by="ana", why="enough")

        answer = await both(play, client, stop, n=3)
        assert "ana stopped this run" in answer["content"][0]["text"]


async def test_too_many_questions() -> None:
    async with asking(timeout_s=0.1) as play:
        client = await play.connect()
        for number in range(16):
            await client.refusal("deploy", n=number)
        text, decision = await client.refusal("deploy", n=16)
        assert "too many questions" in text
        assert "approval" not in decision
        await anyio.sleep(1801)
        _, decision = await client.refusal("deploy", n=17)
        assert "approval" in decision


async def test_who_is_to_be_told_is_told_once_for_each_question() -> None:
    told: list[Approval] = []
    async with playing(ci(), rules=RULES, approvals=Approvals(timeout_s=1.0), notices=(told.append,)) as play:
        client = await play.connect()
        await client.refusal("deploy", to="prod")
        await client.refusal("deploy", to="prod")
        (one,) = told
        assert one.arguments == '{\n  "to": "prod"\n}'
        assert "Deploying needs a yes." in one.why
