"""One governed call from proposal to record, as the conversation happens: client, board, server, ledger."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard import errors
from fuseboard.era import Era
from fuseboard.ports import Failure, Result
from support.fake_server import Act, FakeServer, FakeTool, answers, echoes, fails, says
from support.playbook import RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

READ = {"effect": "read"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}


def weather(act: Act = echoes, **facts: Any) -> FakeServer:
    """One server with one tool, which only reads unless told otherwise."""
    facts = {"tools": {"forecast": READ}, "trust": "trusted", **facts}
    return FakeServer("weather", FakeTool("forecast", act, inputSchema=CITY), **facts)


# The good call.


async def test_a_good_call_goes_through_and_leaves_one_record_of_two_halves() -> None:
    async with playing(weather(says("sun"))) as play:
        client = await play.connect()
        answer = await client.call("forecast", city="Ulm")
        assert answer == {"content": [{"type": "text", "text": "sun"}]}
        (proposed,), (concluded,) = play.proposed, play.concluded
        assert (proposed.verdict, proposed.final, proposed.tool, proposed.upstream) == (
            "allow",
            False,
            "forecast",
            "weather",
        )
        assert (proposed.client, proposed.principal, proposed.seq) == ("fake-client/1", "local", 1)
        assert [check["policy"] for check in proposed.checks] == ["exposure", "permissions", "schema"]
        assert (concluded.id, concluded.truth) == (proposed.id, "ok")


async def test_arguments_and_result_keep_their_bytes() -> None:
    raw = b'{"content":[], "n":1.10,"big":1180591620717411303424,"e":1E2,"x":"\\u00e9\\/"}'
    async with playing(weather(answers(Result(raw)))) as play:
        client = await play.connect()
        params = b'{"name":"forecast", "arguments":{"city":"Ulm","n":1.10,"big":1180591620717411303424}, "x-v":1E2}'
        reply = await client.reply("tools/call", params)
        assert reply == Result(raw)
        assert play.server("weather").calls[0].params == params


async def test_the_calls_of_a_run_are_counted() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        for _ in range(3):
            await client.call("forecast", city="Ulm")
        assert [(entry.run, entry.seq) for entry in play.proposed] == [(play.proposed[0].run, n) for n in (1, 2, 3)]


# Refused before anything is sent.


@pytest.mark.parametrize("era", Era)
async def test_malformed_arguments_are_refused_unsent_and_the_refusal_says_how_to_mend_them(era: Era) -> None:
    async with playing(weather()) as play:
        client = await play.connect(era)
        reason, decision = await client.refusal("forecast", city=7, days="ten")
        assert "/city" in reason
        assert "7" in reason
        assert "string" in reason
        assert "/days" in reason
        assert (decision["verdict"], decision["policy"], decision["rule"]) == ("deny", "schema", "schema.arguments")
        assert decision["id"] in reason
        assert decision["run"] == play.proposed[0].run
        assert play.server("weather").calls == []
        assert play.proposed[0].final
        assert play.concluded == []


async def test_the_mended_call_goes_through() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        await client.refusal("forecast", days=1)
        assert "isError" not in await client.call("forecast", city="Ulm", days=1)


async def test_a_rule_denies_in_its_own_words() -> None:
    rules = [{"id": "no-ulm", "tools": "weather__*", "when": 'context.args has city && context.args.city == "Ulm"'}]
    rules[0] |= {"decide": "deny", "say": "Ulm is out of bounds. Ask about another city."}
    async with playing(weather(), rules=rules) as play:
        client = await play.connect()
        reason, decision = await client.refusal("forecast", city="Ulm")
        assert reason.startswith("Ulm is out of bounds. Ask about another city.")
        assert (decision["policy"], decision["rule"]) == ("permissions", "no-ulm")
        assert "isError" not in await client.call("forecast", city="Bonn")
        assert len(play.server("weather").calls) == 1


async def test_ask_refuses_and_says_that_a_person_has_to_approve() -> None:
    rules = [{"id": "person", "effect": "read", "decide": "ask"}]
    async with playing(weather(), rules=rules) as play:
        client = await play.connect()
        reason, decision = await client.refusal("forecast", city="Ulm")
        assert "A person has to approve" in reason
        assert (decision["verdict"], decision["rule"]) == ("hold", "person")
        assert play.server("weather").calls == []
        assert (play.proposed[0].verdict, play.proposed[0].final) == ("hold", True)


async def test_a_default_of_deny_refuses_what_no_rule_allows() -> None:
    async with playing(weather(), default="deny") as play:
        client = await play.connect()
        reason, decision = await client.refusal("forecast", city="Ulm")
        assert "no rule allows it" in reason
        assert decision["policy"] == "permissions"


@pytest.mark.parametrize(
    ("method", "params", "rule"),
    [
        ("prompts/get", {"name": "greet"}, {"prompts": "weather__greet"}),
        ("resources/read", {"uri": "file:///secret"}, {"resources": "file:///*"}),
    ],
)
async def test_prompts_and_resources_are_refused_by_an_error(method: str, params: Any, rule: Any) -> None:
    async with playing(weather(), rules=[{"id": "no", "decide": "deny", **rule}]) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as refused:
            await client.request(method, params)
        assert refused.value.code == errors.DENIED
        assert refused.value.data["fuseboard/decision"]["rule"] == "no"
        assert play.server("weather").calls == []


async def test_a_hidden_tool_is_refused_even_unseen() -> None:
    async with playing(weather(expose=["other_*"])) as play:
        client = await play.connect()
        assert await client.listed() == []
        reason, decision = await client.refusal("forecast", city="Ulm")
        assert decision["policy"] == "exposure"
        assert "Unknown tool: forecast" in reason
        assert play.server("weather").calls == []


async def test_an_unknown_tool_goes_to_the_upstream_and_its_own_error_comes_back() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        assert await client.reply("tools/call", {"name": "nope"}) == Failure(
            b'{"code":-32602,"message":"Unknown tool: nope"}'
        )
        assert play.truths == ["bad_arguments"]


async def test_arguments_that_are_no_object_are_refused() -> None:
    async with playing(weather()) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as refused:
            await client.request("tools/call", {"name": "forecast", "arguments": [1]})
        assert refused.value.code == errors.INVALID_PARAMS
        assert play.server("weather").calls == []


# Rewritten.


async def test_a_path_that_a_rule_reads_is_sent_in_the_spelling_that_was_judged() -> None:
    rules = [{"id": "no-ssh", "decide": "deny", "when": 'context.args has path && context.args.path like "/h/.ssh/*"'}]
    async with playing(FakeServer("files", FakeTool("read"), trust="trusted"), rules=rules) as play:
        client = await play.connect()
        _, decision = await client.refusal("read", path="/h/x/../.ssh/id")
        assert decision["rule"] == "no-ssh"
        params = b'{"name":"read","x-v":1.10,"arguments":{"path":"/h/x/../y","n":1180591620717411303424}}'
        await client.reply("tools/call", params)
        (sent,) = play.server("files").calls
        assert sent.params == b'{"name":"read","x-v":1.10,"arguments":{"path":"/h/y","n":1180591620717411303424}}'
        kept = play.proposed[-1]
        assert kept.verdict == "rewrite"
        assert kept.arguments == '{"path":"/h/x/../y","n":1180591620717411303424}'
        assert kept.sent == '{"path":"/h/y","n":1180591620717411303424}'


# Observed only.


async def test_observe_lets_through_what_it_would_deny_and_records_that() -> None:
    rules = [{"id": "never", "tools": "*", "decide": "deny"}]
    async with playing(weather(), rules=rules, mode="observe") as play:
        client = await play.connect()
        assert await client.listed() == ["forecast"]
        assert "isError" not in await client.call("forecast", city="Ulm")
        (proposed,) = play.proposed
        assert (proposed.verdict, proposed.rule, proposed.final) == ("deny", "never", False)
        assert play.truths == ["ok"]


# The result.


def adder(reply: Result) -> FakeServer:
    return FakeServer("sums", FakeTool("add", answers(reply), outputSchema=SUM))


async def test_a_result_that_breaks_the_output_schema_is_withheld() -> None:
    bad = Result(b'{"content":[{"type":"text","text":"3"}],"structuredContent":{"sum":"three"}}')
    async with playing(adder(bad)) as play:
        client = await play.connect()
        reason, decision = await client.refusal("add")
        assert "/sum" in reason
        assert decision["rule"] == "schema.result"
        (concluded,) = play.concluded
        assert (concluded.truth, concluded.verdict, concluded.rule) == ("schema_violation", "deny", "schema.result")


async def test_observe_lets_a_bad_result_through_and_records_what_it_was() -> None:
    bad = Result(b'{"content":[],"structuredContent":{"sum":"three"}}')
    async with playing(adder(bad), mode="observe") as play:
        client = await play.connect()
        assert await client.reply("tools/call", {"name": "add"}) == bad
        assert play.truths == ["schema_violation"]


async def test_a_good_structured_result_keeps_its_bytes() -> None:
    good = Result(b'{"content":[], "structuredContent":{"sum":1180591620717411303424,"x":1.10}}')
    async with playing(adder(good)) as play:
        client = await play.connect()
        assert await client.reply("tools/call", {"name": "add"}) == good


@pytest.mark.parametrize(
    "raw",
    [
        b'{"content":[],"structuredContent":{"sum":1e400}}',
        b'{"content":[],"structuredContent":{"sum":"\\ud800"}}',
        b'{"content":[],"structuredContent":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
    ids=["infinite", "lone surrogate", "too deep"],
)
async def test_a_result_that_cannot_be_read_is_withheld_and_recorded_as_malformed(raw: bytes) -> None:
    async with playing(adder(Result(raw))) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="sums answered add with a result that cannot be read") as refused:
            await client.call("add")
        assert refused.value.code == errors.UPSTREAM_JUNK
        assert play.truths == ["malformed"]


@pytest.mark.parametrize(
    ("act", "truth"),
    [
        (says("hi"), "ok"),
        (answers({"content": []}), "empty"),
        (answers({"content": [], "isError": True}), "business_error"),
        (fails(-32602, "bad"), "bad_arguments"),
        (fails(7001, "credit"), "error"),
        (answers({"nothing": 1}), "malformed"),
    ],
)
async def test_the_record_says_what_the_result_really_was(act: Act, truth: str) -> None:
    async with playing(weather(act)) as play:
        client = await play.connect()
        await client.reply("tools/call", {"name": "forecast", "arguments": {"city": "Ulm"}})
        assert play.truths == [truth]
