"""The rest of what was cut is read page by page, by whoever's call it was, in either era."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.vault_memory import MemoryVault
from fuseboard.cleaning.result import Cleaner
from fuseboard.config.conduct import Output
from fuseboard.config.conduct import Quarantine as KeptFor
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.era import Era
from fuseboard.events import Sensitivity, Trust
from fuseboard.pipeline import Fuses
from fuseboard.ports import Failure, Result
from fuseboard.quarantine import Quarantine
from fuseboard.upstreams.vaulted import Vaulted, again
from fuseboard.vault import Held
from support.fake_server import FakeServer, FakeTool, answers, fails, says
from support.playbook import VAULTED_BYTES, FakeClient, RpcError, playing
from support.vaulting import AT, kept
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

eras = pytest.mark.parametrize("era", list(Era))

LONG = "\n".join(f'line {n} of a "long" page, ünd so on' for n in range(400))


def cleaner(**output: Any) -> Cleaner:
    return Cleaner(Output.model_validate({"max": VAULTED_BYTES, **output}), ["hunter2-hunter2"])


def server(act: Any = None, *, alias: str = "web", **facts: Any) -> FakeServer:
    return FakeServer(alias, FakeTool("page", act or says(LONG)), tools={"page": {"effect": "read"}}, **facts)


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault(most_bytes=1_000_000)


async def cut(client: FakeClient, name: str = "page") -> tuple[str, dict[str, Any]]:
    """Call, have the result cut, and give its text and the link to the rest."""
    result = await client.call(name)
    text, link = result["content"]
    assert link["type"] == "resource_link"
    return text["text"], link


async def whole(client: FakeClient, uri: str) -> tuple[str, int]:
    """All pages in a row, and how many there were."""
    parts, pages = [], 0
    while True:
        result = await client.request("resources/read", {"uri": uri})
        page, *about = result["contents"]
        parts.append(page["text"])
        pages += 1
        if not about or "go on with" not in about[0]["text"]:
            return "".join(parts), pages
        uri = about[0]["text"].rpartition("go on with ")[2].rstrip("]")


@eras
@pytest.mark.parametrize("servers", [1, 2])
async def test_what_was_cut_can_be_read_to_its_end(vault: MemoryVault, era: Era, servers: int) -> None:
    upstreams = [server(), server(alias="other")][:servers]
    async with playing(*upstreams, cleaner=cleaner(), vault=vault) as play:
        client = await play.connect(era)
        text, link = await cut(client, "page" if servers == 1 else "web__page")
        assert link["uri"] in text, "a client that shows no links can say where the rest is"
        assert len(LONG.encode()) < link["size"]
        read, pages = await whole(client, link["uri"])
        assert read == LONG
        assert pages > len(LONG) / VAULTED_BYTES * 2
        assert all(entry.upstream == "fuseboard" for entry in play.proposed[1:])
        assert [entry.method for entry in play.proposed[1:]] == ["resources/read"] * pages
        assert not [asked for asked in play.server("web").calls if asked.method == "resources/read"]


@eras
async def test_no_page_is_cut_itself(vault: MemoryVault, era: Era) -> None:
    async with playing(server(says('"\\' * 5000)), cleaner=cleaner(), vault=vault) as play:
        client = await play.connect(era)
        _, link = await cut(client)
        read, _ = await whole(client, link["uri"])
        assert read == '"\\' * 5000
        assert not [check for entry in play.concluded[1:] for check in entry.checks if check["policy"] == "output"]


@eras
@pytest.mark.parametrize(
    "uri",
    [
        "fuseboard://result/d-0000000000000000",
        "fuseboard://quarantine/q-0000000000000000",
        "{mine}?from=99999999",
        "{mine}?from=x",
        "{mine}?block=7",
        "{mine}?to=1",
    ],
)
async def test_what_is_not_there_is_not_found_in_the_words_of_the_era(vault: MemoryVault, era: Era, uri: str) -> None:
    async with playing(server(), cleaner=cleaner(), vault=vault) as play:
        client = await play.connect(era)
        _, link = await cut(client)
        with pytest.raises(RpcError, match="Resource not found") as caught:
            await client.request("resources/read", {"uri": uri.format(mine=link["uri"])})
        inside = "99999999" in uri or "block" in uri  # known only once it is read
        assert caught.value.code == (-32002 if era is Era.HANDSHAKE and not inside else -32602)


@eras
async def test_another_principals_rest_is_not_there(vault: MemoryVault, era: Era) -> None:
    async with playing(server(), cleaner=cleaner(), vault=vault) as play:
        _, link = await cut(await play.connect(era))
        eve = await play.connect(era, principal="eve")
        with pytest.raises(RpcError, match="Resource not found"):
            await eve.request("resources/read", {"uri": link["uri"]})


async def test_secrets_are_not_in_the_rest(vault: MemoryVault) -> None:
    async with playing(
        server(says("x" * 3000 + "hunter2-hunter2" + "y" * 3000)), cleaner=cleaner(), vault=vault
    ) as play:
        client = await play.connect()
        _, link = await cut(client)
        read, _ = await whole(client, link["uri"])
        assert "hunter2" not in read
        assert read.endswith("y" * 3000)


async def test_the_rest_is_as_untrusted_as_where_it_came_from(vault: MemoryVault) -> None:
    async with playing(server(trust="internal"), cleaner=cleaner(), vault=vault) as play:
        client = await play.connect()
        _, link = await cut(client)
        vaulted = play.board.vaulted
        assert vaulted is not None
        _, tool = await vaulted.resource(link["uri"], "local", Era.HANDSHAKE)
        assert (tool.trust, tool.upstream, tool.effect) == (Trust.INTERNAL, "fuseboard", "read")
        assert tool.sensitivity == Sensitivity.PUBLIC
        assert (tool.origin, tool.source) == ("web__page", "web")


async def test_reading_on_costs_what_any_call_costs(vault: MemoryVault) -> None:
    fuses = Fuses(RunLimits.model_validate({"output": 2500, "pause_at": None}), PrincipalLimits())
    async with playing(server(), cleaner=cleaner(), vault=vault, fuses=fuses) as play:
        client = await play.connect()
        _, link = await cut(client)
        await client.request("resources/read", {"uri": link["uri"]})
        with pytest.raises(RpcError, match="output"):
            await client.request("resources/read", {"uri": link["uri"] + "?from=900"})


async def test_a_rule_on_resources_is_a_rule_on_the_rest(vault: MemoryVault) -> None:
    rules = [{"id": "no-rest", "resources": "fuseboard://*", "decide": "deny"}]
    async with playing(server(), cleaner=cleaner(), vault=vault, rules=rules) as play:
        client = await play.connect()
        _, link = await cut(client)
        with pytest.raises(RpcError, match="no-rest"):
            await client.request("resources/read", {"uri": link["uri"]})


@pytest.mark.parametrize(
    ("version", "links"), [("2024-11-05", 0), ("2025-03-26", 0), ("2025-06-18", 1), ("2025-11-25", 1)]
)
async def test_clients_of_a_revision_without_links_get_the_marker_alone(
    vault: MemoryVault, version: str, links: int
) -> None:
    async with playing(server(), cleaner=cleaner(), vault=vault) as play:
        client = play.arrive()
        await client.initialize(version)
        text, *found = (await client.call("page"))["content"]
        assert len(found) == links
        assert "for all of it read the resource fuseboard://result/d-" in text["text"]


async def test_where_there_is_no_room_nothing_is_promised() -> None:
    async with playing(server(), cleaner=cleaner(), vault=MemoryVault(most_bytes=100)) as play:
        (text,) = (await (await play.connect()).call("page"))["content"]
        assert "ask for less, or for a part" in text["text"]
        assert "fuseboard://" not in text["text"]


async def test_a_block_can_be_read_alone(vault: MemoryVault) -> None:
    blocks = [
        {"type": "text", "text": "short"},
        {"type": "resource_link", "uri": "a:b", "name": "other"},
        {"type": "text", "text": LONG},
    ]
    async with playing(server(answers({"content": blocks})), cleaner=cleaner(), vault=vault) as play:
        client = await play.connect()
        result = await client.call("page")
        link = result["content"][-1]
        assert link["mimeType"] == "application/json"
        read, _ = await whole(client, link["uri"] + "?block=2")
        assert read == LONG
        everything, _ = await whole(client, link["uri"])
        assert json.loads(everything)["content"] == blocks


async def test_what_cannot_be_cut_can_be_read_all_the_same(vault: MemoryVault) -> None:
    many = {"content": [{"type": "text", "text": f"{n}"} for n in range(500)]}
    async with playing(server(answers(many)), cleaner=cleaner(), vault=vault) as play:
        client = await play.connect()
        result = await client.call("page")
        assert result["isError"] is True
        assert "read the resource fuseboard://result/" in result["content"][0]["text"]
        read, _ = await whole(client, result["content"][-1]["uri"])
        assert read.split("\n") == [str(n) for n in range(500)]


async def test_a_long_error_can_be_read_to_its_end(vault: MemoryVault) -> None:
    async with playing(server(fails(-32000, "no: " + LONG)), cleaner=cleaner(), vault=vault) as play:
        client = await play.connect()
        with pytest.raises(RpcError) as caught:
            await client.call("page")
        uri = "fuseboard://" + caught.value.message.partition("fuseboard://")[2].partition("]")[0]
        read, _ = await whole(client, uri)
        assert json.loads(read)["message"] == "no: " + LONG


async def test_long_prompts_and_resources_say_where_the_rest_is(vault: MemoryVault) -> None:
    upstream = server()
    upstream.resources = ["a:b"]
    upstream.acts["resources/read"] = answers({"contents": [{"uri": "a:b", "text": LONG}]})
    async with playing(upstream, cleaner=cleaner(), vault=vault) as play:
        client = await play.connect()
        (page,) = (await client.request("resources/read", {"uri": "a:b"}))["contents"]
        uri = "fuseboard://" + page["text"].partition("fuseboard://")[2].partition("]")[0]
        assert (await whole(client, uri))[0] == LONG


@eras
def test_what_is_given_again_is_of_the_era_that_asks(era: Era) -> None:
    raw = b'{"resultType":"complete","content":[],"vendor":1.10}'
    reply = again(Held(kept(by="ana", decided_at=AT), raw), era)
    assert isinstance(reply, Result)
    assert b'"vendor":1.10' in reply.raw
    assert (b"resultType" in reply.raw) is (era is Era.STATELESS)
    old = again(Held(kept(by="ana", method="resources/read"), b'{"contents":[]}'), era)
    assert isinstance(old, Result)
    assert (b'"ttlMs":0' in old.raw) is (era is Era.STATELESS)


def test_an_error_is_given_again_as_one() -> None:
    assert again(Held(kept(failure=True), b'{"code":1}'), Era.HANDSHAKE) == Failure(b'{"code":1}')


def test_only_our_own_addresses_are_ours() -> None:
    lot = MemoryVault(most_bytes=1)
    vaulted = Vaulted(Quarantine(lot, MemoryStore(), lambda: AT, KeptFor()), lambda: AT, most_bytes=1000)
    assert vaulted.owns("fuseboard://result/d-1?from=1")
    assert not vaulted.owns("fuseboard://withheld")
    assert not vaulted.owns("file:///fuseboard://result/d-1")
