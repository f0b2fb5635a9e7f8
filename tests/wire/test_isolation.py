"""Hundreds of clients at once, all with the same ids, tokens and names: none hears a word that is another's."""

from __future__ import annotations

import asyncio
import random

import anyio
import pytest

from fuseboard.bridges.stateless_sessions import SESSIONS
from fuseboard.era import SUBSCRIPTION_KEY, Era
from fuseboard.ports import Reply
from support.crowd import HandshakeMember, Member, StatelessMember
from support.crowd_server import TOPICS, CrowdServer, topic
from support.fake_server import Asked, FakeServer, FakeTool, hangs
from support.gate import settle
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend  # noqa: F401

CROWD = 240
ROUNDS = 3
PRINCIPALS = ("ada", "bob", "eve")
ONLY = {"both": frozenset(Era), "handshake": frozenset({Era.HANDSHAKE}), "stateless": frozenset({Era.STATELESS})}


def gather(play: Play, kinds: list[type], rng: random.Random, count: int = CROWD) -> list[Member]:
    """Clients in turn of each kind; principals in turn too."""
    return [
        kinds[n % len(kinds)](
            play.board, n, random.Random(rng.random()), principal=PRINCIPALS[n // 2 % len(PRINCIPALS)]
        )
        for n in range(count)
    ]


async def live(server: CrowdServer, members: list[Member]) -> None:
    """All of them open, call and leave, while resources change."""
    await asyncio.gather(*(member.open() for member in members))
    playing_ = asyncio.gather(*(member.play(ROUNDS) for member in members))
    for number in range(TOPICS):
        await anyio.sleep(1)
        server.update(topic(number))
    await playing_
    given_up = sorted(label for member in members for label in member.gave_up)
    with anyio.move_on_after(60):
        while sorted(server.cancelled) != given_up:  # noqa: ASYNC110
            await anyio.sleep(0.1)
    assert sorted(server.cancelled) == given_up
    await asyncio.gather(*(member.close() for member in members))


def judge(server: CrowdServer, members: list[Member], *, logs: bool = True, refusals: bool = False) -> None:
    """``logs``: whether every log line must have come, besides that none may have strayed; ``refusals``: whether a
    question may be refused to the server, where nothing says whom it is for."""
    assert [wrong for member in members for wrong in member.wrong] == []
    assert server.wrong == []
    assert refusals or server.refused == []
    for member in members:
        whole = member.steps.keys() - set(member.gave_up)
        assert {label: member.progress[label] for label in whole} == {label: member.steps[label] for label in whole}
        assert member.updates == 1, member.who
        assert all(member.asked[label] <= 1 for label in member.asked)
        if logs:
            assert member.logs.keys() == member.steps.keys(), member.who
    assert sum(member.asked.total() for member in members) > CROWD / 4
    assert sum(len(member.gave_up) for member in members) > CROWD / 2


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_handshake_clients_at_a_handshake_server(scoped: bool, seed: int) -> None:
    server = CrowdServer(eras=ONLY["handshake"], scoped=scoped)
    async with playing(server) as play:
        members = gather(play, [HandshakeMember], random.Random(seed))
        await live(server, members)
    judge(server, members)
    assert len(server.ends) == CROWD


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_stateless_clients_at_one_shared_server(scoped: bool, seed: int) -> None:
    server = CrowdServer(eras=ONLY["stateless"], scoped=scoped)
    async with playing(server) as play:
        members = gather(play, [StatelessMember], random.Random(seed))
        await live(server, members)
    judge(server, members, logs=scoped)  # on a shared pipe nothing says whose a log line is, so it is nobody's
    assert len(server.ends) == 1


@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_both_eras_at_a_server_of_both(scoped: bool) -> None:
    server = CrowdServer(scoped=scoped)
    async with playing(server) as play:
        members = gather(play, [HandshakeMember, StatelessMember], random.Random(3))
        await live(server, members)
    judge(server, members, logs=scoped)


@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_handshake_clients_at_a_stateless_server(scoped: bool) -> None:
    server = CrowdServer(eras=ONLY["stateless"], scoped=scoped)
    async with playing(server) as play:
        members = gather(play, [HandshakeMember], random.Random(4))
        await live(server, members)
    judge(server, members, logs=scoped)


@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_stateless_clients_at_a_handshake_server(scoped: bool) -> None:
    server = CrowdServer(eras=ONLY["handshake"], scoped=scoped)
    async with playing(server) as play:
        members = gather(play, [StatelessMember], random.Random(5), count=len(PRINCIPALS) * SESSIONS)
        await live(server, members)
    judge(server, members, logs=scoped, refusals=not scoped)


@pytest.mark.parametrize("scoped", [False, True], ids=["pipe", "http"])
async def test_tasks_of_one_id_are_each_clients_own(scoped: bool) -> None:
    server = CrowdServer(eras=ONLY["handshake"], scoped=scoped)
    async with playing(server) as play:
        members = [HandshakeMember(play.board, n, random.Random(n), principal="ada") for n in range(60)]
        await asyncio.gather(*(member.open() for member in members))
        results = await asyncio.gather(*(member.task() for member in members))
        assert results == [f"{member.who}/task" for member in members]
        await asyncio.gather(*(member.close() for member in members))


class Listened:
    """A stateless server on a pipe, whose subscriptions (1 is the first) are acknowledged when the test says so."""

    def __init__(self) -> None:
        self.server = FakeServer("u", FakeTool("work", hangs), eras=ONLY["stateless"])
        self.server.capabilities = {"tools": {}, "resources": {"subscribe": True}}
        self.server.acts["subscriptions/listen"] = self._listen

    async def _listen(self, asked: Asked) -> Reply:
        return await hangs(asked)

    def tell(self, method: str, which: int, **params: object) -> None:
        asked = [asked for asked in self.server.asked if asked.method == "subscriptions/listen"]
        self.server.links[-1].tell(method, {**params, "_meta": {SUBSCRIPTION_KEY: asked[which - 1].id}})

    def acknowledge(self, which: int) -> None:
        self.tell("notifications/subscriptions/acknowledged", which, notifications={})

    def update(self, which: int, uri: str) -> None:
        self.tell("notifications/resources/updated", which, uri=uri)


async def listens(client: FakeClient, uri: str) -> None:
    await client.request("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}})


def uris(client: FakeClient) -> list[str]:
    return [params["uri"] for method, params in client.heard.noticed if method.endswith("/updated")]


async def test_a_notice_that_comes_after_its_subscription_reaches_nobody() -> None:
    listened = Listened()
    async with playing(listened.server) as play, anyio.create_task_group() as tasks:
        ada, bob = (
            await play.connect(Era.STATELESS, principal="ada"),
            await play.connect(Era.STATELESS, principal="bob"),
        )
        hers = anyio.CancelScope()

        async def ada_listens() -> None:
            with hers:
                await listens(ada, "note://ada")

        tasks.start_soon(ada_listens)
        await listened.server.reached("subscriptions/listen")
        listened.acknowledge(1)
        listened.update(1, "note://ada")
        await settle()
        assert uris(ada) == ["note://ada"]
        tasks.start_soon(lambda: bob.call("work"))
        await listened.server.reached("tools/call")
        hers.cancel()
        await settle()
        listened.update(1, "note://ada")
        assert uris(bob) == []
        tasks.cancel_scope.cancel()


async def test_a_late_acknowledgement_does_not_join_two_subscriptions() -> None:
    listened = Listened()
    async with playing(listened.server) as play, anyio.create_task_group() as tasks:
        ada, bob = (
            await play.connect(Era.STATELESS, principal="ada"),
            await play.connect(Era.STATELESS, principal="bob"),
        )
        hers = anyio.CancelScope()

        async def ada_listens() -> None:
            with hers:
                await listens(ada, "note://ada")

        tasks.start_soon(ada_listens)
        await listened.server.reached("subscriptions/listen")
        hers.cancel()
        await settle()
        tasks.start_soon(listens, bob, "note://bob")
        await settle()
        listened.acknowledge(1)  # it was under way when she gave up
        await listened.server.reached("subscriptions/listen", 2)
        listened.acknowledge(2)
        listened.update(1, "note://ada")
        listened.update(2, "note://bob")
        await settle()
        assert uris(bob) == ["note://bob"]
        tasks.cancel_scope.cancel()


async def test_a_subscription_that_is_never_acknowledged_does_not_keep_the_others_out() -> None:
    listened = Listened()
    async with playing(listened.server) as play, anyio.create_task_group() as tasks:
        ada, bob = (
            await play.connect(Era.STATELESS, principal="ada"),
            await play.connect(Era.STATELESS, principal="bob"),
        )
        tasks.start_soon(listens, ada, "note://ada")
        await listened.server.reached("subscriptions/listen")
        tasks.start_soon(listens, bob, "note://bob")
        with anyio.fail_after(1):
            await listened.server.reached("subscriptions/listen", 2)
        tasks.cancel_scope.cancel()
