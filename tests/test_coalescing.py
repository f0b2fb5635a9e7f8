"""Reads that are the same at the same time are one call upstream, and nobody notices but the upstream."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard import pipeline
from fuseboard.config.guards import PrincipalLimits, Retries, RunLimits
from fuseboard.era import Era
from fuseboard.wire import frames
from support.fake_server import Asked, FakeServer, FakeTool, result, text
from support.playbook import FakeClient, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

READ = {"effect": "read"}
FUSES = pipeline.Fuses(RunLimits(), PrincipalLimits(), retries=Retries())


class Library:
    """Looks things up for ten seconds; ``looked`` counts how often."""

    def __init__(self) -> None:
        self.looked = 0
        self.failing = False

    async def look(self, asked: Asked) -> Any:
        self.looked += 1
        number = self.looked
        await anyio.sleep(10)
        return frames.failure(-32603, f"broken {number}") if self.failing else text(f"page {number}")

    def server(self, effect: str = "read", **facts: Any) -> FakeServer:
        return FakeServer(
            "library", FakeTool("look", self.look), share="all", tools={"look": {"effect": effect, **facts}}
        )


class Reader:
    """One call in the background. ``said`` is the text that came, or the error's."""

    def __init__(self, tasks: Any, client: FakeClient, **params: Any) -> None:
        self.said: str | None = None
        self.given_up = anyio.CancelScope()
        self._client = client
        self._params = {"name": "look", "arguments": {"page": 1}, **params}
        tasks.start_soon(self._read)

    async def _read(self) -> None:
        with self.given_up:
            try:
                got = await self._client.request("tools/call", self._params)
                self.said = got["content"][0]["text"]
            except RpcError as error:
                self.said = error.message


def joined(play: Play) -> int:
    return sum(check["rule"] == "retries.joined" for entry in play.concluded for check in entry.checks)


@pytest.mark.parametrize("era", Era)
async def test_the_same_read_by_several_sessions_of_one_principal_is_one_call(era: Era) -> None:
    library = Library()
    async with playing(library.server(), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        readers = [Reader(tasks, await play.connect(era)) for _ in range(3)]
        await anyio.sleep(20)
        assert [reader.said for reader in readers] == ["page 1"] * 3
        assert library.looked == 1
        assert play.truths == ["ok"] * 3
        assert joined(play) == 2
        late = Reader(tasks, await play.connect(era))
        await anyio.sleep(20)
        assert late.said == "page 2", "what is over is not given to those who come after"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"principal": "ana"}, {"principal": "bob"}),
        ({"arguments": {"page": 1}}, {"arguments": {"page": 2}}),
        ({"arguments": {"page": 1}}, {"arguments": {"page": True}}),
        ({}, {"_meta": {"tenant": "b"}}),
        ({}, {"_meta": {"progressToken": 7}}),
        ({}, {"hint": 1}),
    ],
    ids=["principal", "arguments", "type of an argument", "something in _meta", "wants progress", "another field"],
)
async def test_what_differs_in_anything_is_a_call_of_its_own(one: dict[str, Any], other: dict[str, Any]) -> None:
    library = Library()
    async with playing(library.server(), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        for each in (dict(one), dict(other)):
            who = each.pop("principal", "local")
            Reader(tasks, await play.connect(principal=who), **each)
        await anyio.sleep(20)
        assert (library.looked, joined(play)) == (2, 0)


@pytest.mark.parametrize(
    "server", [Library().server("write", idempotent=True), None], ids=["a write", "its own session"]
)
async def test_only_reads_over_the_same_session_are_shared(server: FakeServer | None) -> None:
    library = Library()
    chosen = server or FakeServer("library", FakeTool("look", library.look), tools={"look": {"effect": "read"}})
    async with playing(chosen, fuses=FUSES) as play, anyio.create_task_group() as tasks:
        for _ in range(2):
            Reader(tasks, await play.connect(transport="http"))
        await anyio.sleep(20)
        assert (len(chosen.calls), joined(play)) == (2, 0)


async def test_who_follows_may_give_up_and_nobody_else_notices() -> None:
    library = Library()
    async with playing(library.server(), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        leader, follower, other = [Reader(tasks, await play.connect()) for _ in range(3)]
        await anyio.sleep(5)
        follower.given_up.cancel()
        await anyio.sleep(20)
        assert (leader.said, follower.said, other.said) == ("page 1", None, "page 1")
        assert library.looked == 1
        assert play.server("library").cancelled == []


async def test_where_the_leader_gives_up_one_of_the_others_takes_over() -> None:
    library = Library()
    async with playing(library.server(), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        leader, *others = [Reader(tasks, await play.connect()) for _ in range(3)]
        await anyio.sleep(5)
        leader.given_up.cancel()
        await anyio.sleep(20)
        assert [reader.said for reader in others] == ["page 2", "page 2"]
        assert library.looked == 2
        assert play.server("library").cancelled == ["tools/call"]
        assert play.truths == ["cancelled", "ok", "ok"]


async def test_an_error_is_shared_by_one_round_and_no_more() -> None:
    library = Library()
    library.failing = True
    async with playing(library.server(), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        readers = [Reader(tasks, await play.connect()) for _ in range(3)]
        await anyio.sleep(20)
        assert [reader.said for reader in readers] == ["broken 1"] * 3
        library.failing = False
        anew = Reader(tasks, await play.connect())
        await anyio.sleep(20)
        assert anew.said == "page 2"


async def test_a_lost_connection_is_told_to_all_who_waited() -> None:
    library = Library()
    async with playing(library.server(), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        readers = [Reader(tasks, await play.connect()) for _ in range(2)]
        await anyio.sleep(5)
        play.server("library").crash()
        await anyio.sleep(1)
        assert [reader.said for reader in readers] == ["library ended with exit code 3"] * 2
        assert play.truths == ["lost", "lost"]
        assert joined(play) == 1


async def test_a_question_to_one_client_is_no_answer_for_another() -> None:
    asked = 0

    async def asks(what: Asked) -> Any:
        nonlocal asked
        asked += 1
        await anyio.sleep(10)
        return result({"resultType": "input_required", "requestState": f"s{asked}", "inputRequests": {}})

    server = FakeServer("library", FakeTool("look", asks), share="all", tools={"look": {"effect": "read"}})
    async with playing(server, fuses=FUSES) as play, anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon((await play.connect(Era.STATELESS)).call, "look")
        await anyio.sleep(30)
        assert asked == 2
        assert play.truths == ["input_required"] * 2


async def test_a_followers_deadline_is_its_own() -> None:
    library = Library()
    async with playing(library.server(timeout="12s"), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        leader = Reader(tasks, await play.connect())
        await anyio.sleep(9)
        follower = Reader(tasks, await play.connect())
        leader_gone = leader.given_up
        leader_gone.cancel()
        await anyio.sleep(12.5)
        assert follower.said == "page 2"
        assert not play.board.exchange._sending._reads, "nothing stays behind"


async def test_a_leader_whose_caller_has_no_more_time_leaves_the_read_to_the_others() -> None:
    library, stage = Library(), []

    async def asks_on(asked: Asked) -> Any:
        meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
        with pytest.raises(RpcError, match=r"within 5\.4 s; .*; its caller had no more time left"):
            await stage[0].request("tools/call", {"name": "library__look", "arguments": {"page": 1}, "_meta": meta})
        return text("in time")

    agent = FakeServer("agent", FakeTool("ask", asks_on), agent=True, timeout="6s")
    async with playing(agent, library.server(timeout="60s"), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        client, other = [await play.connect(Era.STATELESS) for _ in range(2)]
        stage.append(client)
        asking = Reader(tasks, client, name="agent__ask")
        await anyio.sleep(1)
        follower = Reader(tasks, other, name="library__look")
        await anyio.sleep(20)
        assert (asking.said, follower.said) == ("in time", "page 2")


async def test_all_of_a_followers_waiting_is_within_its_own_deadline() -> None:
    """However many leaders give up before it: its own call gets what is left."""
    library = Library()
    async with playing(library.server(timeout="12s"), fuses=FUSES) as play, anyio.create_task_group() as tasks:
        leader = Reader(tasks, await play.connect())
        await anyio.sleep(1)
        follower = Reader(tasks, await play.connect())
        await anyio.sleep(8)
        leader.given_up.cancel()
        await anyio.sleep(3.5)
        assert follower.said is None
        await anyio.sleep(1)
        assert follower.said is not None
        assert "did not answer tools/call within 12 s" in follower.said


async def test_who_follows_takes_no_place_from_others() -> None:
    library = Library()
    server = FakeServer(
        "library", FakeTool("look", library.look), share="all", parallel=2, queue_wait="1s", tools={"look": READ}
    )
    async with playing(server, fuses=FUSES) as play:
        async with anyio.create_task_group() as tasks:
            leader, *others = [Reader(tasks, await play.connect()) for _ in range(4)]
            other = Reader(tasks, await play.connect(), arguments={"page": 2})
            await anyio.sleep(5)
            leader.given_up.cancel()
            await anyio.sleep(20)
            assert [reader.said for reader in others] == ["page 3"] * 3
            assert other.said == "page 2"
        places = play.board.exchange.entrance.bulkheads.at("library") if play.board.exchange.entrance else None
        assert places is not None
        assert places.under_way == 0


async def test_where_nothing_is_enforced_each_call_is_made() -> None:
    library = Library()
    async with playing(library.server(), fuses=FUSES, mode="observe") as play, anyio.create_task_group() as tasks:
        for _ in range(2):
            Reader(tasks, await play.connect())
        await anyio.sleep(20)
        assert library.looked == 2
