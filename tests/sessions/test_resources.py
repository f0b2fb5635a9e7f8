"""Whose a URI is, and who completes what, where several servers have resources."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.era import Era
from fuseboard.errors import UpstreamTimeout
from support.fake_server import FakeServer
from support.playbook import FakeClient, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


def two() -> tuple[FakeServer, FakeServer]:
    return FakeServer("one"), FakeServer("two")


async def read(client: FakeClient, uri: str) -> str:
    answer = await client.request("resources/read", {"uri": uri})
    return str(answer["contents"][0]["text"])


async def completed(client: FakeClient, uri: str) -> str:
    ref = {"type": "ref/resource", "uri": uri}
    answer = await client.request("completion/complete", {"ref": ref, "argument": {"name": "x", "value": "a"}})
    return str(answer["completion"]["values"][0])


@pytest.mark.parametrize("what", ["resources", "templates"])
async def test_what_stands_on_a_later_page_is_found_too(what: str) -> None:
    one, other = two()
    for server in (one, other):
        server.page_size = 1
        uris = [f"{server.alias}://{n}/x" for n in range(5)]
        setattr(server, what, uris if what == "resources" else [uri.replace("x", "{x}") for uri in uris])
    async with playing(one, other) as play:
        assert await read(await play.connect(), "two://4/x") == "of two"


async def test_of_two_that_list_a_uri_the_first_has_it_whoever_was_listed_first() -> None:
    one, other = two()
    one.resources, other.resources = ["x://1", "x://a"], ["x://a"]
    one.page_size = 1
    async with playing(one, other) as play:
        client = await play.connect()
        await client.request("resources/list")  # page one shows it as the second's alone
        assert await read(client, "x://a") == "of two"
        assert await read(await play.connect(), "x://a") == "of one"


async def test_what_one_client_is_shown_routes_nothing_of_another() -> None:
    one, other = two()
    async with playing(one, other) as play:
        ada, bob = await play.connect(), await play.connect()
        one.resources = ["x://a"]
        await ada.request("resources/list")
        one.resources, other.resources = [], ["x://a"]
        await bob.request("resources/list")
        assert await read(bob, "x://a") == "of two"
        assert await read(ada, "x://a") == "of one"


async def test_a_uri_that_two_templates_fit_is_the_first_one_s() -> None:
    one, other = two()
    one.templates, other.templates = ["x://{+rest}"], ["x://t/{x}"]
    async with playing(one, other) as play:
        assert await read(await play.connect(), "x://t/7") == "of one"


@pytest.mark.parametrize("listed_first", [True, False], ids=["listed", "never listed"])
@pytest.mark.parametrize("era", Era)
async def test_a_template_is_completed_by_who_listed_it_even_if_another_one_fits(era: Era, listed_first: bool) -> None:
    one, other = two()
    one.templates, other.templates = ["x://{+rest}"], ["y://t", "x://t/{x}"]
    other.page_size = 1
    async with playing(one, other) as play:
        client = await play.connect(era)
        if listed_first:
            await client.request("resources/templates/list")
        assert await completed(client, "x://t/{x}") == "two"


async def test_a_resource_itself_is_completed_by_who_listed_it() -> None:
    one, other = two()
    other.resources = ["x://a"]
    async with playing(one, other) as play:
        client = await play.connect()
        assert await completed(client, "x://a") == "two"
        assert await completed(client, "x://a") == "two"


async def test_one_that_cannot_be_listed_hides_no_other_s_resources(caplog: Any) -> None:
    one, other = two()
    one.page_size = 1
    one.resources, other.resources = ["x://1", "x://2"], ["x://a"]

    async def late(asked: Any) -> Any:
        raise UpstreamTimeout("one", "one is slow")

    one.acts["resources/list"] = late
    async with playing(one, other) as play:
        assert await read(await play.connect(), "x://a") == "of two"
    assert "whose resources are whose" in caplog.text
