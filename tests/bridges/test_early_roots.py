"""A server asks for the roots before its stateless client has made a call."""

from __future__ import annotations

import json
from typing import Any

import anyio

from fuseboard.bridges.early_roots import WAIT_S
from fuseboard.era import Era
from fuseboard.errors import INTERNAL_ERROR, METHOD_NOT_FOUND
from fuseboard.ports import Reply
from support.fake_server import FakeLink, FakeServer, FakeTool, says
from support.gate import settle
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

ROOTS = {"roots": [{"uri": "file:///home/ada"}]}


class Asking:
    """A server that asks as soon as the client is initialized, and what it was answered."""

    def __init__(self, play: Play, link: FakeLink) -> None:
        self.answers: list[Any] = []
        self._play = play
        self._link = link
        self.lives: list[anyio.CancelScope] = []

    def ask(self, method: str = "roots/list") -> None:
        self._play.board.tasks.start_soon(self._ask, method)

    async def _ask(self, method: str) -> None:
        with anyio.CancelScope() as life:
            self.lives.append(life)
            reply: Reply = await self._link.ask(method)
            self.answers.append(json.loads(reply.raw))


def server() -> FakeServer:
    return FakeServer("u", FakeTool("work", says("done")), eras=[Era.HANDSHAKE])


async def asking(play: Play, **capabilities: Any) -> tuple[FakeClient, Asking]:
    """A client that has listed the tools, and its server, which wants to know its roots."""
    client = play.arrive(Era.STATELESS, **(capabilities or {"roots": {}}))
    await client.listed()
    asked = Asking(play, next(link for link in play.server("u").links if link.era is Era.HANDSHAKE))
    asked.ask()
    await settle()
    return client, asked


async def retry(client: FakeClient, first: Any, answer: Any) -> Any:
    state = {"requestState": first["requestState"], "inputResponses": {"q1": answer}}
    return await client.request("tools/call", {"name": "work", "arguments": {}, **state})


async def test_the_question_is_put_with_the_next_call_before_that_is_sent() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        assert asked.answers == []
        first = await client.call("work")
        assert (first["resultType"], first["inputRequests"]) == ("input_required", {"q1": {"method": "roots/list"}})
        assert play.server("u").calls == []
        last = await retry(client, first, ROOTS)
        assert last["content"][0]["text"] == "done"
        assert asked.answers == [ROOTS]
        assert len(play.server("u").calls) == 1
        assert (await client.call("work"))["resultType"] == "complete"  # asked once


async def test_an_error_for_an_answer_is_passed_on_and_the_call_goes_on() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        first = await client.call("work")
        error = {"code": -1, "message": "no"}
        assert (await retry(client, first, error))["content"][0]["text"] == "done"
        assert asked.answers == [error]


async def test_where_no_call_comes_in_time_the_question_is_refused_and_counted() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        await anyio.sleep(WAIT_S - 1)
        assert asked.answers == []
        await anyio.sleep(2)
        (refused,) = asked.answers
        assert refused["code"] == METHOD_NOT_FOUND
        assert play.board.health()["u"]["untranslated"] == {"roots/list: no call is under way": 1}
        assert (await client.call("work"))["resultType"] == "complete"


async def test_the_time_is_over_once_a_call_has_taken_the_question() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        first = await client.call("work")
        await anyio.sleep(2 * WAIT_S)
        await retry(client, first, ROOTS)
        assert asked.answers == [ROOTS]


async def test_a_call_that_is_given_up_gives_the_question_up() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        await client.call("work")
        await play.board.close()
        await settle()
        (refused,) = asked.answers
        assert (refused["code"], "given up" in refused["message"]) == (INTERNAL_ERROR, True)


async def test_one_question_waits_and_a_second_is_refused() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        asked.ask()
        await settle()
        assert [answer["code"] for answer in asked.answers] == [METHOD_NOT_FOUND]
        await retry(client, await client.call("work"), ROOTS)
        assert asked.answers[1:] == [ROOTS]


async def test_a_question_that_is_taken_back_is_not_put() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        asked.lives[0].cancel()
        await settle()
        assert (await client.call("work"))["resultType"] == "complete"
        assert asked.answers == []


async def test_no_other_question_waits_nor_one_to_a_client_that_declared_no_roots() -> None:
    async with playing(server()) as play:
        _, asked = await asking(play, elicitation={"form": {}})
        asked.ask("sampling/createMessage")
        await settle()
        assert [answer["code"] for answer in asked.answers] == [METHOD_NOT_FOUND, METHOD_NOT_FOUND]


async def test_prompts_and_resources_carry_the_question_and_lists_do_not() -> None:
    async with playing(server()) as play:
        client, asked = await asking(play)
        assert await client.listed() == ["work"]
        first = await client.request("resources/read", {"uri": "x:y"})
        assert first["inputRequests"] == {"q1": {"method": "roots/list"}}
        assert asked.answers == []
