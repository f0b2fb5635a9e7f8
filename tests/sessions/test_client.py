"""What a session of either era shows its client of the servers behind it, and where it sends what it is asked."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard import errors
from fuseboard.era import Era
from fuseboard.ports import Result
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs, result, says
from support.playbook import Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

LONG = "a_tool_whose_name_is_far_too_long_for_any_model_to_call_it_by_that_name"


NUMBER = {"type": "object", "properties": {"n": {"type": "number"}}}


def breaks_off(pages: Result) -> Any:
    """A list whose first page is good and whose second is an error."""
    first, second = answers(pages), fails(-32603, "out of order")

    async def act(asked: Asked) -> Any:
        return await (second if asked.params and b"cursor" in asked.params else first)(asked)

    return act


def two() -> tuple[FakeServer, FakeServer]:
    """Two servers, each with a tool, a prompt, a resource and a template."""
    one = FakeServer("one", FakeTool("look", says("one saw it")), trust="trusted")
    two = FakeServer("two", FakeTool("look", says("two saw it")), trust="trusted")
    for server in (one, two):
        server.prompts = ["greet"]
        server.resources = [f"{server.alias}://a"]
        server.templates = [f"{server.alias}://t/{{x}}"]
    return one, two


def words(answer: Any) -> str:
    return str(answer["content"][0]["text"])


# One server: everything stays as it is.


@pytest.mark.parametrize("era", Era)
async def test_the_list_of_one_server_comes_through_byte_for_byte(era: Era) -> None:
    page = b'{"tools":[{"name":"look", "inputSchema":{},"x-v":1.10}], "n":1E2,"big":1180591620717411303424}'
    server = FakeServer("one")
    server.acts["tools/list"] = answers(Result(page))
    async with playing(server) as play:
        client = await play.connect(era)
        assert await client.reply("tools/list") == Result(page)


async def test_pages_of_one_server_are_the_clients_to_turn() -> None:
    server = FakeServer("one", *(FakeTool(name) for name in "abc"))
    server.page_size = 2
    async with playing(server) as play:
        client = await play.connect()
        first = await client.request("tools/list")
        assert [tool["name"] for tool in first["tools"]] == ["a", "b"]
        second = await client.request("tools/list", {"cursor": first["nextCursor"]})
        assert [tool["name"] for tool in second["tools"]] == ["c"]


async def test_the_only_server_keeps_its_names_and_has_no_second_ones() -> None:
    server = FakeServer("one", FakeTool("look", says("seen")))
    async with playing(server) as play:
        client = await play.connect()
        assert words(await client.call("look")) == "seen"
        with pytest.raises(RpcError):
            await client.call("one__look")
        assert play.proposed[-1].tool == "one__look"


async def test_a_client_that_lists_half_does_not_get_the_rest_unchecked() -> None:
    server = FakeServer("one", FakeTool("first"), FakeTool("second", inputSchema=NUMBER))
    server.page_size = 1
    async with playing(server) as play:
        client = await play.connect()
        await client.request("tools/list")
        told, _ = await client.refusal("second", n="seven")
        assert "/n" in told
        assert server.calls == []


async def test_a_list_that_breaks_off_lets_no_call_through() -> None:
    server = FakeServer("one", FakeTool("first"), FakeTool("second"))
    server.acts["tools/list"] = breaks_off(Result(b'{"tools":[{"name":"first"}],"nextCursor":"2"}'))
    async with playing(server) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="broke its list of tools off"):
            await client.call("second")
        assert server.calls == []


async def test_an_unknown_method_goes_to_the_only_server() -> None:
    server = FakeServer("one")
    server.acts["acme/teleport"] = answers(Result(b'{"where":1.10}'))
    async with playing(server) as play:
        client = await play.connect()
        assert await client.reply("acme/teleport", b'{"to":1E2}') == Result(b'{"where":1.10}')
        assert server.asked[-1].params == b'{"to":1E2}'


# What may be seen.


async def test_prompts_and_resources_that_the_caller_may_not_have_are_not_listed() -> None:
    server = FakeServer("one")
    server.prompts, server.resources = ["greet", "release"], ["one://a", "one://private/b"]
    rules = [
        {"id": "p", "prompts": "*release*", "decide": "deny"},
        {"id": "r", "resources": "one://private/*", "decide": "deny"},
    ]
    async with playing(server, rules=rules) as play:
        client = await play.connect()
        assert await client.listed("prompts") == ["greet"]
        assert await client.listed("resources", key="uri") == ["one://a"]


async def test_a_prompt_and_a_resource_are_only_read() -> None:
    server = FakeServer("one")
    server.prompts, server.resources = ["greet"], ["one://a"]
    async with playing(server, rules=[{"id": "d", "effect": ["write", "destructive"], "decide": "deny"}]) as play:
        client = await play.connect()
        await client.request("prompts/get", {"name": "greet"})
        await client.request("resources/read", {"uri": "one://a"})
        assert [one.effect for one in play.proposed] == ["read", "read"]


async def test_a_list_shows_only_what_the_caller_may_call() -> None:
    rules = [
        {"id": "ops-may-wipe", "principals": "ops", "decide": "allow"},
        {"id": "all-may-look", "tools": "*__look", "decide": "allow"},
    ]
    server = FakeServer("one", FakeTool("look"), FakeTool("wipe"), FakeTool("secret"), expose=["look", "wipe"])
    async with playing(server, rules=rules, default="deny") as play:
        guest, ops = await play.connect(principal="guest"), await play.connect(principal="ops")
        assert await guest.listed() == ["look"]
        assert await ops.listed() == ["look", "wipe"]


async def test_a_tool_that_is_denied_only_with_some_arguments_is_shown() -> None:
    rules = [{"id": "no-x", "decide": "deny", "when": 'context.args has a && context.args.a == "x"'}]
    async with playing(FakeServer("one", FakeTool("look")), rules=rules) as play:
        assert await (await play.connect()).listed() == ["look"]


async def test_a_tool_that_needs_approval_is_shown() -> None:
    async with playing(FakeServer("one", FakeTool("look")), rules=[{"id": "p", "decide": "ask"}]) as play:
        assert await (await play.connect()).listed() == ["look"]


async def test_a_filtered_list_is_for_this_caller_alone() -> None:
    server = FakeServer("one", FakeTool("look"), FakeTool("secret"), expose=["look"])
    async with playing(server) as play:
        client = await play.connect(Era.STATELESS)
        assert (await client.request("tools/list"))["cacheScope"] == "private"


# Several servers: names.


@pytest.mark.parametrize("era", Era)
async def test_several_servers_are_one_list_and_each_name_finds_its_way_back(era: Era) -> None:
    async with playing(*two()) as play:
        client = await play.connect(era)
        assert await client.listed() == ["one__look", "two__look"]
        assert await client.listed("prompts") == ["one__greet", "two__greet"]
        assert words(await client.call("two__look")) == "two saw it"
        (sent,) = play.server("two").calls
        assert sent.value["name"] == "look"
        assert play.server("one").calls == []
        assert (play.proposed[0].upstream, play.proposed[0].tool, play.proposed[0].exposed) == (
            "two",
            "look",
            "two__look",
        )


@pytest.mark.parametrize("listed_first", [True, False], ids=["listed", "never listed"])
async def test_names_that_no_model_could_call_are_cut_and_find_their_way_back(listed_first: bool) -> None:
    odd = "näme with.dots"
    servers = FakeServer("one", FakeTool(LONG, says("long")), FakeTool(odd, says("odd"))), FakeServer("two")
    async with playing(*servers) as play:
        client = await play.connect()
        names = await client.listed() if listed_first else await _names_of(*servers)
        assert all(len(name) <= 64 and name.isascii() and " " not in name and "." not in name for name in names)
        assert [words(await client.call(name)) for name in names] == ["long", "odd"]
        assert [call.value["name"] for call in servers[0].calls] == [LONG, odd]


async def _names_of(*servers: FakeServer) -> list[str]:
    """The names as another process shows them: they are the same at every start."""
    async with playing(*servers) as play:
        return await (await play.connect()).listed()


async def test_a_server_whose_pages_never_end_hangs_nobody() -> None:
    one, other = two()

    async def endless(asked: Asked) -> Any:
        return result({"tools": [{"name": "look", "inputSchema": {}}], "nextCursor": "again"})

    one.acts["tools/list"] = endless
    async with playing(one, other) as play:
        client = await play.connect()
        assert await client.listed() == ["one__look", "two__look"]


async def test_a_server_without_a_list_leaves_the_others_theirs() -> None:
    one, other = two()
    one.acts["prompts/list"] = fails(-32601, "Method not found")
    async with playing(one, other) as play:
        assert await (await play.connect()).listed("prompts") == ["two__greet"]


@pytest.mark.parametrize("name", ["nobody__look", "look", "__look", "one"])
async def test_a_name_without_a_server_is_an_unknown_tool(name: str) -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="Unknown tool") as unknown:
            await client.call(name)
        assert unknown.value.code == errors.INVALID_PARAMS


async def test_a_prompt_is_got_by_its_own_name() -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        answer = await client.request("prompts/get", {"name": "two__greet"})
        assert answer["messages"][0]["content"]["text"] == "two"
        assert play.server("two").calls[0].value["name"] == "greet"


async def test_a_method_that_nobody_is_named_for_is_not_found() -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as refused:
            await client.request("acme/teleport")
        assert refused.value.code == errors.METHOD_NOT_FOUND


# Several servers: resources and completion.


@pytest.mark.parametrize("listed_first", [True, False], ids=["listed", "never listed"])
@pytest.mark.parametrize("uri", ["two://a", "two://t/7"], ids=["listed itself", "fits a template"])
async def test_a_resource_is_read_where_it_came_from(listed_first: bool, uri: str) -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        if listed_first:
            assert await client.listed("resources", "uri") == ["one://a", "two://a"]
            assert await client.listed("resources/templates", "uriTemplate") == ["one://t/{x}", "two://t/{x}"]
        answer = await client.request("resources/read", {"uri": uri})
        assert answer["contents"][0]["text"] == "of two"
        assert play.server("one").calls == []
        await client.request("resources/subscribe", {"uri": uri})
        assert "resources/subscribe" in play.server("two").methods
        assert "resources/subscribe" not in play.server("one").methods


async def test_a_resource_that_two_servers_list_belongs_to_the_first() -> None:
    one, other = two()
    other.resources = ["one://a"]
    async with playing(one, other) as play:
        client = await play.connect()
        assert await client.listed("resources", "uri") == ["one://a"]
        answer = await client.request("resources/read", {"uri": "one://a"})
        assert answer["contents"][0]["text"] == "of one"


async def test_a_resource_that_nobody_listed_is_not_found() -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="no upstream listed it"):
            await client.request("resources/read", {"uri": "three://a"})


@pytest.mark.parametrize(
    ("ref", "sent"),
    [
        ({"type": "ref/prompt", "name": "two__greet"}, {"type": "ref/prompt", "name": "greet"}),
        ({"type": "ref/resource", "uri": "two://t/{x}"}, {"type": "ref/resource", "uri": "two://t/{x}"}),
    ],
    ids=["prompt", "resource"],
)
async def test_completion_goes_to_whoever_has_what_is_completed(ref: Any, sent: Any) -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        argument = {"name": "x", "value": "a"}
        answer = await client.request("completion/complete", {"ref": ref, "argument": argument})
        assert answer["completion"]["values"] == ["two"]
        asked = await play.server("two").reached("completion/complete")
        assert (asked.value["ref"], asked.value["argument"]) == (sent, argument)


# One that is dead or slow harms nobody else.


async def lists_of(play: Play, era: Era) -> list[str]:
    return await (await play.connect(era)).listed()


@pytest.mark.parametrize("era", Era)
async def test_a_dead_server_empties_nobody_elses_list_and_delays_none(era: Era) -> None:
    one, other = two()
    one.down = "is not there"
    async with playing(one, other) as play:
        began = anyio.current_time()
        assert await lists_of(play, era) == ["two__look"]
        assert anyio.current_time() - began < 0.1


@pytest.mark.parametrize("era", Era)
async def test_a_server_that_is_slow_to_start_delays_the_first_answer_by_the_grace_and_no_more(era: Era) -> None:
    one, other = two()
    one.gate = anyio.Event()
    async with playing(one, other) as play:
        began = anyio.current_time()
        assert await lists_of(play, era) == ["two__look"]
        assert anyio.current_time() - began < 6
        one.gate.set()


@pytest.mark.parametrize("era", Era)
async def test_a_server_that_is_slow_to_list_is_left_out_after_a_while(era: Era) -> None:
    one, other = two()
    one.acts["tools/list"] = hangs
    async with playing(one, other) as play:
        client = await play.connect(era)
        began = anyio.current_time()
        assert await client.listed() == ["two__look"]
        assert anyio.current_time() - began < 11


async def test_a_call_does_not_wait_for_ever_for_a_server_that_cannot_list() -> None:
    server = FakeServer("one", FakeTool("look"))
    server.acts["tools/list"] = hangs
    async with playing(server) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="one did not answer tools/list") as late:
            await client.call("look")
        assert late.value.code == errors.UPSTREAM_TIMEOUT
        assert play.truths == ["timeout"]


async def test_a_server_that_dies_in_the_middle_of_a_list_leaves_the_others_theirs() -> None:
    one, other = two()
    one.acts["tools/list"] = hangs
    async with playing(one, other) as play:
        client = await play.connect()
        async with anyio.create_task_group() as tasks:

            async def lists() -> None:
                assert await client.listed() == ["two__look"]

            tasks.start_soon(lists)
            await one.reached("tools/list")
            one.crash()


async def test_a_call_to_a_server_that_is_down_says_which_and_is_recorded() -> None:
    one, other = two()
    one.down = "is not there"
    async with playing(one, other) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="one is") as down:
            await client.call("one__look")
        assert down.value.code == errors.UPSTREAM_UNREACHABLE
        assert play.truths == ["outage"]
        assert words(await client.call("two__look")) == "two saw it"


# What is broken.


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {}),
        ("tools/call", {"name": 7}),
        ("prompts/get", {"name": None}),
        ("resources/read", {"uri": ["a"]}),
        ("resources/subscribe", {}),
        ("completion/complete", {"ref": 7}),
        ("tools/list", {"_meta": 7}),
    ],
)
async def test_params_of_the_wrong_shape_are_the_clients_mistake(method: str, params: Any) -> None:
    async with playing(*two()) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as refused:
            await client.request(method, params)
        assert refused.value.code == errors.INVALID_PARAMS


@pytest.mark.parametrize("page", [b"[]", b'{"tools":7}', b'{"tools":[7]}', b'{"tools":[{"name":7}]}', b"7"])
async def test_a_list_that_is_none_blames_the_server_and_not_the_client(page: bytes) -> None:
    one, other = two()
    one.acts["tools/list"] = answers(Result(page))
    async with playing(one, other) as play:
        client = await play.connect()
        reply = await client.reply("tools/list")
        assert isinstance(reply, Result)
        assert b'"two__look"' in reply.raw
