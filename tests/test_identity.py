"""The run and the lineage of governed requests, behind a board: what a client says of itself, and what that changes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fuseboard import pipeline
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.era import Era
from fuseboard.errors import DENIED, ProtocolFault, StoreUnavailable
from fuseboard.ports import Proposed, Reply, SignedRun
from fuseboard.state import Snapshot
from fuseboard.stated import Stated
from support.fake_server import Act, Asked, FakeServer, FakeTool, says, text
from support.playbook import BEGAN, TOKENS, FakeClient, Play, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FOREVER = BEGAN + 1e6


def parent(trace: str = TRACE, span: str = SPAN) -> str:
    return f"00-{trace}-{span}-01"


def token(run: str = "r-signed", *, until: float = FOREVER, principal: str | None = None, **limits: float) -> str:
    return TOKENS.make(SignedRun(run, 0.0, until, principal, Stated(limits)))


async def call(client: FakeClient, name: str = "t", **meta: Any) -> Any:
    return await client.request("tools/call", {"name": name, "arguments": {}, "_meta": meta})


def server(alias: str = "s", act: Act | None = None, **facts: Any) -> FakeServer:
    return FakeServer(alias, FakeTool("t", act or says("ok")), **facts)


def last(play: Play) -> Proposed:
    return play.proposed[-1]


ERAS = pytest.mark.parametrize("era", list(Era))
FRONTS = pytest.mark.parametrize("transport", ["stdio", "http"])


@ERAS
@FRONTS
async def test_requests_of_one_connection_are_told_apart_by_what_they_say(era: Era, transport: str) -> None:
    async with playing(server()) as play:
        client = await play.connect(era, transport=transport)
        seen = []
        for meta in (
            {},
            {"traceparent": parent()},
            {"traceparent": parent("1" * 32)},
            {"fuseboard/run": "a"},
            {"baggage": "run=a"},
            {"fuseboard/run": token()},
        ):
            await call(client, **meta)
            seen.append((last(play).run, last(play).run_source, last(play).confidence, last(play).seq))
        plain = "process" if transport == "stdio" else "session" if era is Era.HANDSHAKE else "inferred"
        assert [source for _, source, _, _ in seen] == [plain, "trace", "trace", "meta", "meta", "token"]
        sure = "connection" if era is Era.HANDSHAKE else "inferred"
        assert [how for _, _, how, _ in seen] == [sure, "claimed", "claimed", "claimed", "claimed", "signed"]
        assert seen[3][0] == seen[4][0]
        assert len({run for run, _, _, _ in seen}) == 5
        assert [seq for _, _, _, seq in seen] == [1, 1, 1, 1, 2, 1]


@ERAS
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param(token()[:-3], "not signed by this proxy", id="forged"),
        pytest.param(token(until=BEGAN - 1), "expired", id="expired"),
        pytest.param(token(principal="bob"), "another principal", id="another's"),
        pytest.param("fb1.a.b", "not signed", id="invented"),
    ],
)
async def test_a_token_that_does_not_hold_ends_the_call_and_says_what_to_do(era: Era, bad: str, said: str) -> None:
    async with playing(server()) as play:
        client = await play.connect(era, transport="http", principal="ana")
        with pytest.raises(RpcError, match=said) as refused:
            await call(client, **{"fuseboard/run": bad})
        assert refused.value.code == DENIED
        assert "fuseboard run new" in refused.value.message
        assert play.server("s").calls == []


@ERAS
async def test_a_token_that_was_said_once_ends_when_it_ends(era: Era) -> None:
    """Its holder may have connected long before: each call is within the run, and the run is over."""
    async with playing(server()) as play:
        client = await play.connect(era, transport="http", principal="ana")
        bears = {"fuseboard/run": token(until=BEGAN + 100)}
        await call(client, **bears)
        run = play.board.identity.runs._signed["r-signed"]
        await play.board.identity.attend(run, at=BEGAN + 99)
        with pytest.raises(ProtocolFault, match="has expired") as refused:
            await play.board.identity.attend(run, at=BEGAN + 100)
        assert refused.value.code == DENIED
        assert run.due_at == BEGAN + 100


async def test_what_a_token_states_is_written_down_once() -> None:
    store = Counting()
    async with playing(server(), store=store) as play:
        client = await play.connect(Era.STATELESS, transport="http")
        for _ in range(3):
            await call(client, **{"fuseboard/run": token(calls=5.0)})
        found = await store.read(["stated/r-signed"], at=BEGAN + 1)
        assert found.get("stated/r-signed") == {"calls": 5.0}
        assert store.words == 1


class Counting(MemoryStore):
    words = 0

    async def commit(self, writes: Any, read: Any, entry: Any, *, at: float, durable: bool = False) -> bool:
        self.words += sum(write.key.startswith("stated/") for write in writes)
        return await super().commit(writes, read, entry, at=at, durable=durable)


LIMITS = pipeline.Fuses(RunLimits(calls=3, rate=None, pause_at=None), PrincipalLimits(calls=5), ())


async def _reconnects(play: Play, n: int) -> dict[str, Any]:
    return {"client": await play.connect(transport="http", principal="ana")}


async def _changes_era(play: Play, n: int) -> dict[str, Any]:
    return {"client": await play.connect(list(Era)[n % 2], transport="http", principal="ana")}


async def _mints_traces(play: Play, n: int) -> dict[str, Any]:
    return {"traceparent": parent(f"{n + 1:032x}")}


async def _mints_claims(play: Play, n: int) -> dict[str, Any]:
    return {"fuseboard/run": f"another-{n}"}


async def _mints_baggage(play: Play, n: int) -> dict[str, Any]:
    return {"baggage": f"run=another-{n}"}


async def _changes_name(play: Play, n: int) -> dict[str, Any]:
    return {"io.modelcontextprotocol/clientInfo": {"name": f"client-{n}", "version": "1"}}


async def _says_that_it_descends(play: Play, n: int) -> dict[str, Any]:
    return {"traceparent": parent(f"{n + 1:032x}"), "tracestate": f"fuseboard={n + 1:016x}"}


@pytest.mark.parametrize(
    "evades",
    [
        _reconnects,
        _changes_era,
        _mints_traces,
        _mints_claims,
        _mints_baggage,
        _changes_name,
        _says_that_it_descends,
    ],
)
async def test_who_invents_runs_gets_no_more_than_its_principal_may(
    evades: Callable[[Play, int], Awaitable[dict[str, Any]]],
) -> None:
    async with playing(server(), fuses=LIMITS) as play:
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        for n in range(12):
            meta = await evades(play, n)
            await call(meta.pop("client", client), **meta)
        assert len(play.server("s").calls) == 5
        assert {entry.principal for entry in play.proposed} == {"ana"}
        other = await play.connect(Era.STATELESS, transport="http", principal="bob")
        await call(other)
        assert len(play.server("s").calls) == 6


async def test_a_run_that_the_operator_signed_stands_alone_and_has_the_limits_that_it_states() -> None:
    async with playing(server(), fuses=LIMITS) as play:
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        for _ in range(9):
            await call(client, **{"fuseboard/run": token(calls=7)})
        assert len(play.server("s").calls) == 7
        for _ in range(4):
            await call(client)
        assert len(play.server("s").calls) == 7 + 3


async def test_an_inferred_run_goes_on_after_a_restart_and_so_does_its_count() -> None:
    store = _Lasting()
    async with playing(server(), store=store) as play:
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client)
        await call(client, traceparent=parent())
        before = [(entry.run, entry.seq) for entry in play.proposed]
    async with playing(server(), store=store) as play:
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client)
        await call(client, traceparent=parent())
        after = [(entry.run, entry.seq) for entry in play.proposed][-2:]
        other = await play.connect(Era.STATELESS, transport="http", principal="bob")
        await call(other)
        assert last(play).run not in {run for run, _ in before}
    assert after == [(run, 2) for run, _ in before]


class _Lasting(MemoryStore):
    """A store that outlives the board in front of it."""

    async def close(self) -> None:
        pass


class _Unreadable(MemoryStore):
    async def last_seq(self, run: str) -> int:
        raise StoreUnavailable("not now")


async def test_a_store_that_cannot_be_asked_costs_the_count_and_not_the_call() -> None:
    async with playing(server(), store=_Unreadable()) as play:
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client)
        await call(client)
        assert [entry.seq for entry in play.proposed] == [1, 2]


class _Slow(MemoryStore):
    """Another process writes the cell between our read and our commit."""

    raced = False

    async def read(self, keys: Any, *, at: float) -> Snapshot:
        read = await super().read(keys, at=at)
        if not self.raced and any(key.startswith("inferred/") for key in keys):
            self.raced = True
            from fuseboard.state import Put

            assert await super().commit([Put(keys[0], "r-theirs", 900.0)], read, None, at=at)
        return read


async def test_of_two_processes_that_infer_one_run_at_once_the_first_names_it() -> None:
    async with playing(server(), store=_Slow()) as play:
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client)
        assert last(play).run == "r-theirs"


# Lineage.


def calls_on(play: Callable[[], Play], principal: str, *, keeps: tuple[str, ...] = ("traceparent",)) -> Act:
    """An agent: its tool calls the tool ``t`` through the board, with what it was sent of the trace."""

    async def act(asked: Asked) -> Reply:
        sent = asked.value.get("_meta", {})
        client = await play().connect(Era.STATELESS, transport="http", principal=principal)
        meta = {key: sent[key] for key in keeps if key in sent}
        try:
            return text(json.dumps(await call(client, "s__t", **meta)))
        except RpcError as refused:
            return text(refused.message)

    return act


async def agent_play(
    principal: str, meta: dict[str, Any], *, agent: bool, keeps: tuple[str, ...] = ("traceparent",)
) -> tuple[Proposed, Proposed, Play]:
    plays: list[Play] = []
    boss = FakeServer("agent", FakeTool("ask", calls_on(lambda: plays[0], principal, keeps=keeps)), agent=agent)
    async with playing(server(), boss) as play:
        plays.append(play)
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client, "agent__ask", **meta)
        outer, inner = play.proposed
        return outer, inner, play


@pytest.mark.parametrize(
    ("principal", "agent", "same"),
    [
        pytest.param("ana", False, True, id="its own principal's"),
        pytest.param("agent", True, True, id="an agent's by the operator's word"),
        pytest.param("agent", False, False, id="nobody's agent, of another principal"),
    ],
)
async def test_what_an_agent_calls_descends_from_the_call_that_it_got(principal: str, agent: bool, same: bool) -> None:
    outer, inner, _ = await agent_play(principal, {"traceparent": parent()}, agent=agent)
    assert (outer.depth, outer.root, outer.parent) == (0, None, None)
    assert (inner.depth, inner.parent) == (1, outer.id)
    assert (inner.run == outer.run) is same
    assert inner.root == (None if same else outer.run)
    assert inner.principal == principal
    assert inner.seq == (2 if same else 1)


async def test_an_agent_whose_caller_has_no_trace_gets_one_of_ours() -> None:
    outer, inner, play = await agent_play("agent", {}, agent=True)
    sent = play.server("agent").calls[0].value["_meta"]
    assert sent["traceparent"].endswith("-01")
    assert sent["tracestate"].startswith("fuseboard=")
    assert (inner.depth, inner.parent, inner.run) == (1, outer.id, outer.run)
    assert outer.run_source == "inferred"
    plain = play.server("s").calls[0].value["_meta"]
    assert plain["traceparent"].split("-")[1] == sent["traceparent"].split("-")[1]
    assert plain["traceparent"] != sent["traceparent"]


async def test_no_other_server_gets_a_trace_that_its_caller_did_not_send() -> None:
    async with playing(server()) as play:
        client = await play.connect(transport="http")
        raw = b'{ "name" : "t",  "arguments" : {} }'
        await client.reply("tools/call", raw)
        assert play.server("s").calls[0].params == raw


async def test_an_agent_in_a_signed_run_draws_on_it() -> None:
    outer, inner, _ = await agent_play("agent", {"fuseboard/run": token()}, agent=True)
    assert (outer.run, inner.run) == ("r-signed", "r-signed")
    assert inner.confidence == "signed"


async def test_a_token_of_its_own_counts_more_than_the_caller_s_run() -> None:
    plays: list[Play] = []

    async def act(asked: Asked) -> Reply:
        client = await plays[0].connect(Era.STATELESS, transport="http", principal="agent")
        sent = asked.value["_meta"]["traceparent"]
        return text(json.dumps(await call(client, "s__t", **{"traceparent": sent, "fuseboard/run": token("r-own")})))

    async with playing(server(), FakeServer("agent", FakeTool("ask", act), agent=True)) as play:
        plays.append(play)
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client, "agent__ask")
        outer, inner = play.proposed
        assert (inner.run, inner.depth, inner.root) == ("r-own", 1, outer.run)


async def test_agents_that_call_themselves_come_to_an_end() -> None:
    plays: list[Play] = []

    async def act(asked: Asked) -> Reply:
        client = await plays[0].connect(Era.STATELESS, transport="http", principal="agent")
        return text(json.dumps(await call(client, "ask", traceparent=asked.value["_meta"]["traceparent"])))

    limits = pipeline.Fuses(RunLimits(depth=3, rate=None, pause_at=None), PrincipalLimits(), ())
    async with playing(FakeServer("agent", FakeTool("ask", act), agent=True), fuses=limits) as play:
        plays.append(play)
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        await call(client, "ask")
        assert [(entry.depth, entry.rule) for entry in play.proposed] == [
            (0, "default"),
            (1, "default"),
            (2, "default"),
            (3, "run.depth"),
        ]
        assert len({entry.run for entry in play.proposed}) == 1


async def test_the_time_of_a_descendant_is_its_caller_s() -> None:
    plays: list[Play] = []
    waits = FakeTool("t", _hangs)
    boss = FakeServer("agent", FakeTool("ask", calls_on(lambda: plays[0], "agent")), agent=True, timeout_s=100.0)
    async with playing(FakeServer("s", waits), boss) as play:
        plays.append(play)
        client = await play.connect(Era.STATELESS, transport="http", principal="ana")
        answer = await call(client, "agent__ask")
        assert "within 90 s" in answer["content"][0]["text"]
        outer, inner = play.proposed
        ends = {entry.id: entry for entry in play.concluded}
        assert ends[inner.id].truth == "timeout"
        assert ends[inner.id].duration_ms == pytest.approx(90_000, rel=0.01)
        assert ends[outer.id].at - ends[inner.id].at < 1


async def _hangs(asked: Asked) -> Reply:
    import anyio

    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def test_our_own_keys_stay_with_us_unless_the_server_is_trusted_and_a_token_always() -> None:
    for trust, left in (("untrusted", {}), ("internal", {"fuseboard/run": "a", "baggage": "run=a"})):
        async with playing(server(trust=trust)) as play:
            client = await play.connect(transport="http")
            await call(client, **{"fuseboard/run": "a", "baggage": "run=a"})
            assert play.server("s").calls[0].value.get("_meta", {}) == left
            await call(client, **{"fuseboard/run": token()})
            assert "_meta" not in play.server("s").calls[1].value
