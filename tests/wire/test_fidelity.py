"""What no policy rewrote comes through byte for byte, in both directions, over every transport, in both eras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support import raw_answers as answers
from support.frame_log import FrameLog
from support.raw_client import RawClient
from support.raw_ways import RAW_WAYS, RawWay, raw_pair

ARGUMENTS = (
    rb'{"text":"\u00e9\/\u2028", "price":1.10,"exp":1E2, "big":1180591620717411303424,"none":null,'
    rb'"x-vendor":{"a":[1.0,-0.0,{}]}}'
)
"""Arguments that a parse and a dump would write anew."""

CAPABILITIES = {"elicitation": {}, "roots": {"listChanged": True}, "experimental": {"acme/x": {"level": 1.5}}}


@pytest.mark.parametrize("way", RAW_WAYS, ids=str)
async def test_nothing_is_lost_and_nothing_is_written_anew(way: RawWay, tmp_path: Path) -> None:
    async with raw_pair(way, tmp_path, capabilities=CAPABILITIES) as (client, log):
        await the_introduction(client, log)
        await the_lists(client)
        await the_results(client)
        await the_errors(client)
        await the_requests(client, log)
        if way.answer != "json":
            await the_notifications(client, log, way)
            await (the_input_rounds(client, log) if way.modern else the_questions(client, log))


async def the_introduction(client: RawClient, log: FrameLog) -> None:
    introduction = client.frames[0]
    for part in (answers.CAPABILITIES, answers.SERVER_INFO, answers.INSTRUCTIONS, answers.ODD):
        assert part in introduction
    told = [line for line in log.all() if line.method in ("initialize", "server/discover")]
    assert any(b'"acme/x"' in line.frame and b"1.5" in line.frame for line in told)
    assert any(b'"version": "1.10"' in line.frame for line in told)


async def the_lists(client: RawClient) -> None:
    tools = await client.ask("tools/list")
    assert all(definition in tools for definition in answers.TOOLS.values())
    assert answers.PROMPTS[0] in await client.ask("prompts/list")
    resources = await client.ask("resources/list")
    assert all(resource in resources for resource in answers.RESOURCES)
    assert answers.TEMPLATES[0] in await client.ask("resources/templates/list")


async def the_results(client: RawClient) -> None:
    assert answers.VENDOR_RESULT[1:] in await client.call("vendor")
    assert answers.BUSINESS_ERROR[1:] in await client.call("business_error")
    assert b'"structuredContent":{"sum":3}}' in await client.call("sum")
    assert answers.PROMPT_RESULT[1:] in await client.ask("prompts/get", {"name": "greet", "arguments": {"who": "a"}})
    assert answers.READ_RESULT[1:-1] in await client.ask("resources/read", {"uri": "raw://a/1"})
    reference = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": "a"}}
    assert answers.COMPLETION[1:] in await client.ask("completion/complete", reference)


async def the_errors(client: RawClient) -> None:
    assert b'"error":' + answers.VENDOR_ERROR in await client.call("fail")
    assert json.loads(await client.ask("acme/unknown"))["error"]["code"] == -32601
    assert json.loads(await client.call("nobody"))["error"] == {"code": -32602, "message": "Unknown tool: nobody"}


async def the_requests(client: RawClient, log: FrameLog) -> None:
    params = b'{"name":"echo", "arguments":' + ARGUMENTS + b', "x-more":1E2,"_meta":{"acme/trace":1.10}}'
    await client.ask("tools/call", params)
    assert_sent_as_it_was(client, log, "tools/call", params)
    said = b'{"to":1E2, "big":1180591620717411303424,"_meta":{"acme/trace":1.10}}'
    reply = await client.ask("acme/teleport", said)
    assert answers.ODD in reply
    assert_sent_as_it_was(client, log, "acme/teleport", said)


def assert_sent_as_it_was(client: RawClient, log: FrameLog, method: str, params: bytes) -> None:
    """The params as the client sent them (in the stateless era with its envelope) reached the upstream so."""
    sent = client.frame(method, params, id=0).partition(b'"params":')[2][:-1]
    assert sent in log.frames(method)[-1]


async def the_notifications(client: RawClient, log: FrameLog, way: RawWay) -> None:
    await client.ask(
        "tools/call", {"name": "progress", "arguments": {"times": 2}, "_meta": {"progressToken": "p\u00e9"}}
    )
    for step in (b"0.50", b"1.50"):
        progress = await client.next("notifications/progress")
        assert json.loads(progress)["params"]["progressToken"] == "pé"
        assert b'"progress":' + step in progress
        assert answers.ODD in progress
    await client.call("log")
    assert answers.LOG_PARAMS in await client.next("notifications/message")
    await client.call("shout")
    assert answers.SHOUT_PARAMS in await client.next("notifications/acme/shout")
    if not way.modern:
        await client.notify("notifications/acme/shrug", b'{"how":1.10, "big":1180591620717411303424}')
        shrug = await log.wait_for(lambda line: line.method == "notifications/acme/shrug")
        assert b'{"how":1.10, "big":1180591620717411303424}' in shrug.frame


async def the_questions(client: RawClient, log: FrameLog) -> None:
    """Handshake: the upstream asks by requests of its own."""
    for tool, (method, params) in answers.SERVER_REQUESTS.items():
        ask = await client.begin("tools/call", {"name": tool})
        question = await client.next(method)
        assert params in question
        answer = b'{"action":"accept", "x":1.10,"big":1180591620717411303424}'
        await client.reply(question, answer)
        await ask.response()
        assert any(answer in line.frame for line in log.all())


async def the_input_rounds(client: RawClient, log: FrameLog) -> None:
    """Stateless: the upstream asks by its result, and is called again with the answer."""
    method, params = answers.SERVER_REQUESTS["elicit"]
    need = await client.call("elicit")
    assert b'{"method":"%b","params":%b}' % (method.encode(), params) in need
    assert b'"requestState":"s-1.10"' in need
    again = b'{"name":"elicit","inputResponses":{"q1":{"action":"accept", "x":1.10}},"requestState":"s-1.10"}'
    await client.ask("tools/call", again)
    assert_sent_as_it_was(client, log, "tools/call", again)


@pytest.mark.parametrize("way", [way for way in RAW_WAYS if way.front == way.back], ids=str)
async def test_pages_are_the_clients_to_turn(way: RawWay, tmp_path: Path) -> None:
    async with raw_pair(way, tmp_path, "--page", "7") as (client, _):
        seen: list[str] = []
        params: dict[str, Any] = {}
        while True:
            page = await client.result("tools/list", params)
            assert len(page["tools"]) <= 7
            seen += [tool["name"] for tool in page["tools"]]
            if "nextCursor" not in page:
                break
            params = {"cursor": page["nextCursor"]}
        assert seen == list(answers.TOOLS)


@pytest.mark.parametrize("way", [way for way in RAW_WAYS if way.front == way.back and way.answer != "json"], ids=str)
async def test_large_messages_pass_whole(way: RawWay, tmp_path: Path) -> None:
    async with raw_pair(way, tmp_path) as (client, log):
        answer = await client.call("big", {"bytes": 5_000_000})
        assert len(answer) > 5_000_000
        await client.call("echo", {"text": "y" * 3_000_000})
        assert len(log.frames("tools/call")[-1]) > 3_000_000
