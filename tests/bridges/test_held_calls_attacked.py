"""What somebody can do with the token of a held call that is not theirs, not for this, or not good any more."""

from __future__ import annotations

import json
from typing import Any

import anyio

from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS
from support.fake_server import FakeServer, FakeTool
from support.holding import arrive, asking, begin, heard, refused, retry, server
from support.playbook import FakeClient, Play, RpcError, playing
from support.seal import HmacSeal
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


async def held(play: Play, client: FakeClient) -> str:
    return (await begin(client, path="/mine"))[1]


async def still_good(client: FakeClient, state: str) -> None:
    """The call has survived."""
    assert heard(await retry(client, state, {"q1": {"roots": []}}, path="/mine")) == [{"roots": []}]


def attacked() -> FakeServer:
    upstream = server(asking(("roots/list", None)))
    upstream.tools["other"] = FakeTool("other", asking(("roots/list", None)))
    return upstream


NOT_VALID = "requestState is not valid here"


async def test_a_forged_token_is_refused_and_the_call_survives() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        claims = bytes.fromhex(state.partition(".")[2])
        for forged in ("", "v1.AAAA", state[:-2] + "00", await HmacSeal(b"of mine").seal(claims), 7, None, {"a": 1}):
            fault = await refused(retry(client, forged, {"q1": {"roots": []}}, path="/mine"))
            assert (fault.code, fault.message, fault.data) == (INVALID_PARAMS, NOT_VALID, None)
        await still_good(client, state)


async def test_a_token_of_ours_that_is_for_something_else_is_no_state() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        claims = json.loads(bytes.fromhex(state.partition(".")[2]))
        cursor = await play.board.seal.seal(json.dumps({**claims, "purpose": "cursor"}).encode())
        assert (await refused(retry(client, cursor, {}, path="/mine"))).message == NOT_VALID
        await still_good(client, state)


async def test_a_token_is_good_once() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        await still_good(client, state)
        fault = await refused(retry(client, state, {"q1": {"roots": []}}, path="/mine"))
        assert (fault.code, "used already" in fault.message) == (INVALID_PARAMS, True)


async def test_a_token_that_is_sent_twice_at_once_is_taken_once() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        outcomes: list[Any] = []

        async def send() -> None:
            try:
                outcomes.append(heard(await retry(client, state, {"q1": {"roots": []}}, path="/mine")))
            except RpcError as fault:
                outcomes.append(fault.message.partition(":")[0])

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(send)
        assert outcomes.count([{"roots": []}]) == 1
        assert outcomes.count("requestState was used already") == 4


async def test_an_older_round_s_token_is_spent_too() -> None:
    async with playing(server(asking(("roots/list", None), ("roots/list", None)))) as play:
        client = arrive(play)
        _, first = await begin(client)
        second = await retry(client, first, {"q1": {"roots": []}})
        assert "used already" in (await refused(retry(client, first, {"q2": {"roots": []}}))).message
        assert len(heard(await retry(client, second["requestState"], {"q2": {"roots": []}}))) == 2


async def test_another_principal_s_token_is_refused_like_a_forged_one() -> None:
    async with playing(attacked()) as play:
        ada, eve = arrive(play), arrive(play, "eve")
        state = await held(play, ada)
        fault = await refused(retry(eve, state, {"q1": {"roots": []}}, path="/mine"))
        assert (fault.code, fault.message) == (INVALID_PARAMS, NOT_VALID)
        await still_good(ada, state)


async def test_edited_arguments_are_refused() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        for arguments in ({"path": "/yours"}, {"path": "/mine", "force": True}, {}):
            fault = await refused(retry(client, state, {"q1": {"roots": []}}, **arguments))
            assert (fault.code, "belongs to another request" in fault.message) == (INVALID_PARAMS, True)
        await still_good(client, state)


async def test_tokens_of_two_calls_cannot_be_swapped() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        other = await client.call("other", path="/mine")
        for name, token in (("work", other["requestState"]), ("other", state)):
            fault = await refused(retry(client, token, {"q1": {"roots": []}}, name, path="/mine"))
            assert "belongs to another request" in fault.message
        read = {"uri": "a:b", "requestState": state, "inputResponses": {}}
        assert "another request" in (await refused(client.request("resources/read", read))).message
        await still_good(client, state)


async def test_the_same_tool_of_another_server_is_another_request() -> None:
    def one(alias: str) -> FakeServer:
        return FakeServer(alias, FakeTool("work", asking(("roots/list", None))), eras=[Era.HANDSHAKE], scoped=True)

    async with playing(one("a"), one("b")) as play:
        client = arrive(play)
        first = await client.call("a__work")
        fault = await refused(retry(client, first["requestState"], {"q1": {"roots": []}}, "b__work"))
        assert "belongs to another request" in fault.message


async def test_answers_that_are_none_are_refused_before_the_token_is_spent() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        state = await held(play, client)
        for answers in ({"q1": 7}, ["q1"], "yes"):
            assert (await refused(retry(client, state, answers, path="/mine"))).code == INVALID_PARAMS
        await still_good(client, state)


async def test_what_differs_in_writing_alone_is_the_same_request() -> None:
    async with playing(attacked()) as play:
        client = arrive(play)
        first = await client.call("work", a=1, b={"c": 2, "d": 3})
        meta = json.dumps({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "x": 1})
        state = json.dumps(first["requestState"])
        answers = '"inputResponses":{"q1":{"roots":[]}}'
        raw = f'{{ "_meta":{meta}, {answers}, "requestState":{state},"arguments": {{"b":{{"d":3, "c":2}},"a":1}},'
        raw += '"name":"w\\u006frk"}'
        reply = await client.reply("tools/call", raw.encode())
        assert heard(json.loads(reply.raw)) == [{"roots": []}]
