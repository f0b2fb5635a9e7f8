"""Lists of several upstreams as one, turned page by page: everything, once, in the same order every time."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuseboard import errors
from fuseboard.era import Era
from fuseboard.ports import Result
from fuseboard.sessions.lists import LONGEST_CURSOR
from fuseboard.upstreams.listing import PAGES
from support.fake_server import Asked, FakeServer, FakeTool, answers, fails, hangs, result
from support.playbook import FakeClient, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

LISTS = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}


async def turned(client: FakeClient, method: str = "tools/list") -> list[list[str]]:
    """The names on each page, from the first to the last."""
    field, key = LISTS[method]
    pages: list[list[str]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await client.request(method, cursor)
        pages.append([item[key] for item in page[field]])
        if "nextCursor" not in page:
            return pages
        cursor = {"cursor": page["nextCursor"]}


def paging(alias: str, sizes: list[int]) -> FakeServer:
    """A server whose pages are as large as said; its cursors look alike at every server."""
    server = FakeServer(alias)
    numbers = iter(range(sum(sizes)))
    pages = [[{"name": f"t{next(numbers)}", "inputSchema": {}} for _ in range(size)] for size in sizes]

    async def act(asked: Asked) -> Any:
        at = int(asked.value.get("cursor", 0))
        page: dict[str, Any] = {"tools": pages[at] if pages else []}
        if at + 1 < len(pages):
            page["nextCursor"] = str(at + 1)
        return result(page)

    server.acts["tools/list"] = act
    return server


def letters(alias: str, names: str, page_size: int = 0) -> FakeServer:
    server = FakeServer(alias, *(FakeTool(name) for name in names))
    server.page_size = page_size
    return server


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=2, max_size=4), st.sampled_from(Era))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_turning_all_pages_shows_everything_once_in_the_order_of_the_configuration(
    sizes: list[list[int]], era: Era
) -> None:
    async def play_it() -> None:
        servers = [paging(f"s{number}", each) for number, each in enumerate(sizes)]
        async with playing(*servers) as play:
            first = await turned(await play.connect(era))
            again = await turned(await play.connect(era))
        assert first == again
        names = [name for page in first for name in page]
        assert len(set(names)) == len(names)
        for number, each in enumerate(sizes):
            own = [name for name in names if name.startswith(f"s{number}__")]
            assert own == [f"s{number}__t{n}" for n in range(sum(each))]
        for page in first:
            assert [name.partition("__")[0] for name in page] == sorted(name.partition("__")[0] for name in page)

    anyio.run(play_it)


async def test_a_page_has_the_next_page_of_each_that_has_more() -> None:
    async with playing(letters("one", "abcde", 2), letters("two", "z")) as play:
        assert await turned(await play.connect()) == [
            ["one__a", "one__b", "two__z"],
            ["one__c", "one__d"],
            ["one__e"],
        ]
        assert play.server("two").methods.count("tools/list") == 1


@pytest.mark.parametrize("method", LISTS)
async def test_every_kind_of_list_is_turned(method: str) -> None:
    one, two = letters("one", "ab", 1), letters("two", "ab", 1)
    for server in (one, two):
        server.prompts = ["a", "b"]
        server.resources = [f"{server.alias}://{name}" for name in "ab"]
        server.templates = [f"{server.alias}://{name}/{{x}}" for name in "ab"]
    async with playing(one, two) as play:
        pages = await turned(await play.connect(), method)
        assert [len(page) for page in pages] == [2, 2]
        assert len({name for page in pages for name in page}) == 4


async def test_an_upstream_s_own_cursor_is_not_seen() -> None:
    one = FakeServer("one")
    one.acts["tools/list"] = answers({"tools": [], "nextCursor": "user-4711-secret"})
    async with playing(one, FakeServer("two")) as play:
        page = await (await play.connect()).reply("tools/list")
        assert b"nextCursor" in page.raw
        assert b"4711" not in page.raw


@pytest.mark.parametrize("cursor", ["2", "", "x" * 100_000])
async def test_a_made_up_cursor_is_refused_and_no_server_sees_it(cursor: str) -> None:
    async with playing(letters("one", "abc", 1), letters("two", "z")) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="Invalid cursor; call tools/list again without one") as refused:
            await client.request("tools/list", {"cursor": cursor})
        assert refused.value.code == errors.INVALID_PARAMS
        assert "tools/list" not in play.server("one").methods


async def test_a_cursor_too_long_to_come_back_cuts_its_own_server_s_list_alone() -> None:
    one, two = FakeServer("one"), letters("two", "ab", page_size=1)
    tools = [{"name": "t", "inputSchema": {}}]
    one.acts["tools/list"] = answers(result({"tools": tools, "nextCursor": "x" * (LONGEST_CURSOR + 1)}))
    async with playing(one, two) as play:
        assert await turned(await play.connect()) == [["one__t", "two__a"], ["two__b"]]


async def test_a_cursor_of_another_caller_is_refused() -> None:
    async with playing(letters("one", "abc", 1), letters("two", "z")) as play:
        ada, bob = [await play.connect(principal=who) for who in ("ada", "bob")]
        cursor = (await ada.request("tools/list"))["nextCursor"]
        with pytest.raises(RpcError, match="Invalid cursor"):
            await bob.request("tools/list", {"cursor": cursor})
        assert (await ada.request("tools/list", {"cursor": cursor}))["tools"][0]["name"] == "one__b"


async def test_a_cursor_that_is_no_text_is_the_client_s_mistake() -> None:
    async with playing(letters("one", "a"), letters("two", "z")) as play:
        with pytest.raises(RpcError, match='"cursor" must be a string'):
            await (await play.connect()).request("tools/list", {"cursor": 7})


def broken_at(cursor: str, act: Any, pages: FakeServer) -> Any:
    async def answer(asked: Asked) -> Any:
        if asked.value.get("cursor") == cursor:
            return await act(asked)
        del pages.acts["tools/list"]
        try:
            return await pages.answer(asked)
        finally:
            pages.acts["tools/list"] = answer

    return answer


@pytest.mark.parametrize(
    "fault", [fails(-32602, "Invalid cursor"), hangs, answers(Result(b"[]"))], ids=["fails", "hangs", "junk"]
)
async def test_a_server_that_fails_at_a_later_page_is_left_out_from_there(fault: Any) -> None:
    one, two = letters("one", "abc", 1), letters("two", "xyz", 1)
    one.acts["tools/list"] = broken_at("1", fault, one)
    async with playing(one, two) as play:
        assert await turned(await play.connect()) == [["one__a", "two__x"], ["two__y"], ["two__z"]]


async def test_where_everybody_fails_at_a_later_page_the_list_does_not_seem_to_end_there() -> None:
    one = letters("one", "abc", 1)
    one.acts["tools/list"] = broken_at("1", fails(-32602, "Invalid cursor"), one)
    async with playing(one, letters("two", "z")) as play:
        with pytest.raises(RpcError, match="Invalid cursor; call tools/list again without one"):
            await turned(await play.connect())


async def test_a_server_whose_pages_never_end_is_cut() -> None:
    one = FakeServer("one")
    one.acts["tools/list"] = answers({"tools": [], "nextCursor": "again"})
    async with playing(one, letters("two", "z")) as play:
        assert len(await turned(await play.connect())) == PAGES


async def test_one_that_is_down_when_its_next_page_is_due_is_left_out() -> None:
    one, two = letters("one", "abc", 1), letters("two", "xy", 1)
    async with playing(one, two) as play:
        client = await play.connect(Era.STATELESS)
        first = await client.request("tools/list")
        one.down = "is gone"
        one.crash()
        second = await client.request("tools/list", {"cursor": first["nextCursor"]})
        assert [tool["name"] for tool in second["tools"]] == ["two__y"]


# Cache hints.


def hinted(alias: str, ttl_ms: int, scope: str, **facts: Any) -> FakeServer:
    server = FakeServer(alias, **facts)
    page = {"tools": [{"name": "a"}, {"name": "b"}], "resultType": "complete", "ttlMs": ttl_ms, "cacheScope": scope}
    server.acts["tools/list"] = answers(page)
    return server


@pytest.mark.parametrize(
    ("servers", "rules", "hints"),
    [
        pytest.param([(500, "public"), (300, "public")], [], (300, "public"), id="the smallest, and public if all are"),
        pytest.param([(500, "public"), (300, "private")], [], (300, "private"), id="private if one is"),
        pytest.param(
            [(500, "public"), (300, "public")],
            [{"id": "r", "tools": "one__a", "decide": "deny"}],
            (300, "private"),
            id="private if filtered",
        ),
        pytest.param(
            [(500, "public"), (300, "public")],
            [{"id": "r", "tools": "one__a", "principals": "eve", "decide": "deny"}],
            (300, "private"),
            id="private if it would be filtered for somebody else",
        ),
        pytest.param(
            [(500, "public")],
            [{"id": "r", "tools": "one__a", "principals": "eve", "decide": "deny"}],
            (500, "private"),
            id="of a single server, too",
        ),
    ],
)
async def test_the_hints_of_a_list_are_those_of_all(servers: Any, rules: Any, hints: tuple[int, str]) -> None:
    fakes = [hinted(alias, *hint) for alias, hint in zip(("one", "two"), servers, strict=False)]
    async with playing(*fakes, rules=rules) as play:
        page = await (await play.connect(Era.STATELESS)).request("tools/list")
        assert (page["ttlMs"], page["cacheScope"]) == hints


async def test_while_one_is_missing_the_list_is_not_to_be_kept() -> None:
    one, two = hinted("one", 500, "public"), hinted("two", 500, "public")
    two.down = "is not there"
    async with playing(one, two) as play:
        page = await (await play.connect(Era.STATELESS)).request("tools/list")
        assert page["ttlMs"] == 0


# Tools whose headers are declared wrongly.

GOOD = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
BAD = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}


async def offered(play: Play, era: Era) -> list[str]:
    return await (await play.connect(era)).listed()


@pytest.mark.parametrize(
    ("scoped", "era", "shown"),
    [
        pytest.param(True, Era.STATELESS, ["good"], id="over HTTP it is left out"),
        pytest.param(False, Era.STATELESS, ["good", "bad"], id="over stdio headers are nobody's business"),
        pytest.param(True, Era.HANDSHAKE, ["good", "bad"], id="the older revisions know no such headers"),
    ],
)
async def test_a_tool_that_declares_headers_wrongly(scoped: bool, era: Era, shown: list[str], caplog: Any) -> None:
    server = FakeServer("one", FakeTool("good", inputSchema=GOOD), FakeTool("bad", inputSchema=BAD), scoped=scoped)
    async with playing(server) as play:
        client = await play.connect(era)
        assert [await client.listed(), await client.listed()] == [shown, shown]
        said = [record.message for record in caplog.records if "declared wrongly" in record.message]
        assert len(said) == ("bad" not in shown)
        if "bad" in shown:
            await client.call("bad", a=1)
        else:
            with pytest.raises(RpcError, match="bad cannot be called over HTTP"):
                await client.call("bad", a=1)
            assert server.calls == []


async def test_what_a_list_says_beside_its_items_stays_with_a_filtered_one() -> None:
    server = FakeServer("one", expose=["a"])
    server.acts["tools/list"] = answers(Result(b'{"x-v":1.10,"tools":[{"name":"a"},{"name":"b"}]}'))
    async with playing(server) as play:
        reply = await (await play.connect()).reply("tools/list")
        assert json.loads(reply.raw) == {"x-v": 1.10, "tools": [{"name": "a"}]}
        assert b"1.10" in reply.raw
