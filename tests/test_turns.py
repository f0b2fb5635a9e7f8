"""Calls that wait for what others work upon: in turn, for a bounded time, and never in a circle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fuseboard import locks, turns, waits
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.approvals import INDEX
from fuseboard.config.guards import PrincipalLimits, RunLimits
from fuseboard.era import Era
from fuseboard.lock_names import Rule
from fuseboard.pipeline import Fuses
from fuseboard.state import EMPTY, Put
from support.fake_server import Act, Asked, FakeServer, FakeTool, text
from support.playbook import FakeClient, Play, playing
from support.virtual_time import anyio_backend  # noqa: F401

ON_FILE = Rule("file:{args.path}", exclusive=True, by_run=False, hold_s=60.0, wait_s=5.0)
KEPT = ON_FILE._replace(by_run=True)
SHARED = ON_FILE._replace(exclusive=False)


def takes(seconds: float) -> Act:
    async def act(asked: Asked) -> Any:
        await anyio.sleep(seconds)
        return text("done")

    return act


@asynccontextmanager
async def files(store: MemoryStore | None = None, **rules: Rule) -> AsyncIterator[Play]:
    """Tools by their rules: ``write_3=ON_FILE`` takes three seconds."""
    tools = [FakeTool(name, takes(float(name.rpartition("_")[2]))) for name in rules]
    server = FakeServer("files", *tools, tools={tool.name: {"effect": "read"} for tool in tools}, trust="trusted")
    locked = {f"files__{name}": (rule,) for name, rule in rules.items()}
    limits = RunLimits(parallel=None, rate=None, pause_at=None)
    fuses = Fuses(limits, PrincipalLimits(calls=None), locks=locked)
    async with playing(server, fuses=fuses, store=store) as play:
        yield play


async def strangers(play: Play, count: int) -> list[FakeClient]:
    """Clients with a run each."""
    return [await play.connect(transport="http") for n in range(count)]


class Timed:
    """Calls side by side: when each ended, and what its client was told."""

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}
        self.told: dict[str, dict[str, Any] | None] = {}
        self.texts: dict[str, str] = {}

    async def call(self, name: str, client: FakeClient, tool: str, after_s: float = 0.0, **arguments: Any) -> None:
        began = anyio.current_time()
        await anyio.sleep(after_s)
        result = await client.call(tool, **arguments)
        self.ended[name] = round(anyio.current_time() - began, 2)
        self.told[name] = result.get("_meta", {}).get("fuseboard/decision")
        self.texts[name] = result["content"][0]["text"]

    def rule(self, name: str) -> str | None:
        told = self.told[name]
        return None if told is None else str(told["rule"])


async def together(*calls: tuple[str, FakeClient, str, float, str]) -> Timed:
    """Calls side by side: (name, client, tool, when it begins, path)."""
    seen = Timed()
    async with anyio.create_task_group() as tasks:
        for name, client, tool, after_s, path in calls:
            tasks.start_soon(lambda a=name, b=client, c=tool, d=after_s, e=path: seen.call(a, b, c, d, path=e))
    return seen


async def test_the_second_waits_for_the_first_and_goes_on_by_itself() -> None:
    async with files(write_2=ON_FILE) as play:
        one, two = await strangers(play, 2)
        seen = await together(("one", one, "write_2", 0.0, "/a"), ("two", two, "write_2", 0.0, "/b/../a"))
        assert seen.ended == {"one": 2.0, "two": 4.0}
        assert seen.told == {"one": None, "two": None}
        (check,) = [check for check in play.proposed[-1].checks if check["rule"] == "locks.taken"]
        assert check["facts"]["waited_s"] == 2.0


async def test_who_waits_longer_comes_first() -> None:
    async with files(write_1=ON_FILE) as play:
        clients = await strangers(play, 5)
        seen = await together(*((f"{n}", one, "write_1", n / 10, "/a") for n, one in enumerate(clients)))
        assert seen.ended == {f"{n}": n + 1.0 for n in range(5)}


async def test_readers_read_together_and_a_writer_that_waits_is_not_passed_by_later_readers() -> None:
    async with files(write_1=ON_FILE, read_2=SHARED) as play:
        a, b, c, d = await strangers(play, 4)
        seen = await together(
            ("a", a, "read_2", 0.0, "/x"),
            ("b", b, "read_2", 0.0, "/x"),
            ("writer", c, "write_1", 0.5, "/x"),
            ("late", d, "read_2", 1.0, "/x"),
        )
        assert seen.ended == {"a": 2.0, "b": 2.0, "writer": 3.0, "late": 5.0}


async def test_after_its_time_a_call_is_told_who_holds_what_it_wanted() -> None:
    async with files(write_30=ON_FILE) as play:
        one, two = await strangers(play, 2)
        seen = await together(("one", one, "write_30", 0.0, "/a"), ("two", two, "write_30", 1.0, "/a"))
        assert seen.ended == {"one": 30.0, "two": 6.0}
        assert seen.rule("two") == "locks.held"
        (holder, *_) = play.proposed
        told = seen.told["two"]
        assert told is not None
        assert f"run {holder.run} holds it with files__write_30, for 6.0 s now" in told["reason"]
        assert 1.0 <= told["retry_after_s"] <= 30.0
        assert play.proposed[-1].checks[-1]["facts"]["holder"]["call"] == holder.id


async def test_what_waits_holds_nothing_else() -> None:
    rule = Rule("{args.path}", exclusive=True, by_run=False, hold_s=60.0, wait_s=5.0)
    async with files(write_3=rule) as play:
        a, b, c = await strangers(play, 3)
        seen = Timed()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: seen.call("a", a, "write_3", path=["/x"]))
            tasks.start_soon(lambda: seen.call("both", b, "write_3", 0.1, path=["/x", "/y"]))
            await anyio.sleep(1.0)
            held = (await play.store.read((locks.lock_key("/y"),), at=play.board.now())).values
            assert held == {}
            tasks.start_soon(lambda: seen.call("behind", c, "write_3", path=["/y"]))
        assert seen.ended["both"] == 6.0


async def test_a_lease_is_renewed_for_as_long_as_its_call_lasts() -> None:
    short = ON_FILE._replace(hold_s=3.0)
    async with files(write_20=short) as play:
        one, two = await strangers(play, 2)
        seen = await together(("one", one, "write_20", 0.0, "/a"), ("two", two, "write_20", 8.0, "/a"))
        assert seen.rule("two") == "locks.held"
        assert seen.rule("one") is None


async def test_a_lease_whose_call_lost_it_is_said_beside_the_result() -> None:
    async with files(write_2=ON_FILE) as play:
        client, seen = await play.connect(), Timed()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: seen.call("one", client, "write_2", path="/a"))
            await anyio.sleep(1.0)
            key = locks.lock_key("file:/a")
            read = await play.store.read((key,), at=play.board.now())
            await play.store.commit([Put(key, {"fence": 9}, 60.0)], read, None, at=play.board.now())
        told = seen.told["one"]
        assert told is not None
        assert (told["verdict"], told["rule"]) == ("nudge", "locks.lost")


async def test_a_run_keeps_what_it_locked_and_its_own_calls_need_not_wait_for_it() -> None:
    async with files(edit_1=KEPT, write_1=ON_FILE) as play:
        one, two = await strangers(play, 2)
        await one.call("edit_1", path="/a")
        await one.call("edit_1", path="/a")
        await one.call("write_1", path="/a")
        text, decision = await two.refusal("write_1", path="/a")
        assert decision["rule"] == "locks.held"
        assert "and keeps it beyond that call" in text


async def test_a_run_that_has_ended_keeps_nothing() -> None:
    async with files(edit_1=KEPT) as play:
        one, two = await strangers(play, 2)
        await one.call("edit_1", path="/a")
        await one.session.close()
        assert (await two.call("edit_1", path="/a"))["content"][0]["text"] == "done"


async def test_a_call_without_the_field_is_refused_with_what_is_missing() -> None:
    async with files(write_1=ON_FILE) as play:
        client = await play.connect()
        text, decision = await client.refusal("write_1", file="/a")
        assert decision["rule"] == "locks.unnamed"
        assert "its argument 'path' has to say on what" in text


async def test_a_client_that_goes_away_is_gone_from_the_line() -> None:
    async with files(write_3=ON_FILE) as play:
        a, b, c = await strangers(play, 3)
        seen = Timed()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: seen.call("a", a, "write_3", path="/x"))
            await anyio.sleep(0.5)
            with anyio.move_on_after(0.5):
                await b.call("write_3", path="/x")
            read = await play.store.read([locks.WAITS], at=play.board.now())
            assert read.get(locks.WAITS) == []
            tasks.start_soon(lambda: seen.call("c", c, "write_3", path="/x"))
        assert seen.ended == {"a": 3.0, "c": 5.0}


@pytest.mark.parametrize("agents", [2, 3, 5])
async def test_the_wait_that_would_close_a_circle_is_refused_at_once(agents: int) -> None:
    """Each run keeps one file and wants its neighbour's."""
    async with files(edit_0=KEPT._replace(wait_s=20.0)) as play:
        clients = await strangers(play, agents)
        for n, client in enumerate(clients):
            await client.call("edit_0", path=f"/{n}")
        runs = [entry.run for entry in play.proposed]
        calls = [(f"{n}", one, "edit_0", n / 10, f"/{(n + 1) % agents}") for n, one in enumerate(clients)]
        seen = await together(*calls)
        last = f"{agents - 1}"
        assert seen.rule(last) == "locks.cycle"
        assert seen.ended[last] == round((agents - 1) / 10, 2)
        told = seen.told[last]
        assert told is not None
        assert all(f"run {run}" in told["reason"] for run in runs)
        assert all(f"file:/{n}" in told["reason"] for n in range(agents))
        assert "retry_after_s" not in told
        assert {seen.rule(f"{n}") for n in range(agents - 1)} == {"locks.held"}


async def test_a_chain_without_a_circle_is_never_refused() -> None:
    """Fifty that wait one behind the other, and behind two different things, wait for nobody who waits for them."""
    quick = ON_FILE._replace(wait_s=60.0)
    async with files(write_1=quick) as play:
        clients = await strangers(play, 50)
        seen = await together(*((f"{n}", one, "write_1", 0.0, f"/{n % 2}") for n, one in enumerate(clients)))
        assert {seen.rule(f"{n}") for n in range(50)} == {None}
        assert max(seen.ended.values()) == 25.0


async def test_too_many_that_wait_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "MOST", 2)
    async with files(write_3=ON_FILE) as play:
        clients = await strangers(play, 4)
        seen = await together(*((f"{n}", one, "write_3", n / 10, "/a") for n, one in enumerate(clients)))
        assert seen.rule("3") == "locks.crowded"
        assert seen.ended["3"] == 0.3


async def test_one_run_cannot_keep_all_others_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "OF_ONE_RUN", 2)
    async with files(write_1=ON_FILE) as play:
        greedy, other = await strangers(play, 2)
        many = [(f"{n}", greedy, "write_1", n / 10, "/a") for n in range(5)]
        seen = await together(*many, ("other", other, "write_1", 0.5, "/a"))
        assert [seen.rule(f"{n}") for n in range(5)] == [None, None, None, "locks.crowded", "locks.crowded"]
        assert (seen.rule("other"), seen.ended["other"]) == (None, 4.0)


async def test_a_trusted_upstream_gets_rising_tokens() -> None:
    async with files(write_0=ON_FILE, read_0=SHARED) as play:
        client = await play.connect(Era.STATELESS)
        for tool in ("write_0", "write_0", "read_0", "write_0"):
            await client.call(tool, path="/a")
        tokens = [asked.value["_meta"][turns.FENCE]["file:/a"] for asked in play.server("files").calls]
        assert tokens == sorted(set(tokens))


async def test_locks_fail_closed_where_nothing_can_be_written() -> None:
    class Down(MemoryStore):
        down = False

        async def commit(self, *args: Any, **named: Any) -> bool:
            if self.down:
                from fuseboard.errors import StoreUnavailable

                raise StoreUnavailable("the disk is full")
            return await super().commit(*args, **named)

    store = Down()
    async with files(store, read_0=SHARED) as play:
        client = await play.connect()
        store.down = True
        with pytest.raises(Exception, match="the ledger cannot be written"):
            await client.call("read_0", path="/a")
        assert play.server("files").calls == []


async def test_leases_end_with_their_time_when_their_holder_has_died() -> None:
    async with files(write_0=ON_FILE) as play:
        client = await play.connect()
        key, at = locks.lock_key("file:/a"), play.board.now()
        lease = {"call": "d-dead", "run": "r-dead", "tool": "files__write_0", "alone": True, "fence": 7}
        lease |= {"since": at - 1, "until": at + 3.0}
        lock = {"fence": 7, "alone": 7, "held": {"d-dead": lease}}
        await play.store.commit([Put(key, lock, 60.0)], EMPTY, None, at=at)
        seen = await together(("one", client, "write_0", 0.0, "/a"))
        assert seen.ended == {"one": 3.0}
        assert seen.told == {"one": None}


async def test_a_holder_that_waits_for_a_person_is_said_to() -> None:
    async with files(edit_0=KEPT) as play:
        one, two = await strangers(play, 2)
        await one.call("edit_0", path="/a")
        run, at = play.proposed[0].run, play.board.now()
        entry = ["a-1", run, at + 600.0]
        await play.store.commit([Put(INDEX, [entry], 600.0)], EMPTY, None, at=at)
        text, _ = await two.refusal("edit_0", path="/a")
        assert f"Run {run} waits for a person." in text
        assert play.proposed[-1].checks[-1]["facts"]["holder"]["waits_for"] == "a person"


async def test_a_run_in_its_own_way_is_not_said_to_wait_for_a_person() -> None:
    async with files(write_20=ON_FILE, write_0=ON_FILE) as play:
        one = await play.connect()

        async def asked() -> None:
            await anyio.sleep(1.0)
            entry = ["a-1", play.proposed[0].run, play.board.now() + 600.0]
            await play.store.commit([Put(INDEX, [entry], 600.0)], EMPTY, None, at=play.board.now())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked)
            seen = await together(("long", one, "write_20", 0.0, "/a"), ("short", one, "write_0", 2.0, "/a"))
        assert seen.rule("short") == "locks.held"
        assert "a person" not in seen.texts["short"]


async def test_patience_is_no_matter_of_a_clock_that_is_put_back() -> None:
    async with files(write_20=ON_FILE) as play:
        one, two = await strangers(play, 2)
        entrance = play.board.exchange.entrance
        assert entrance is not None
        line = entrance._turns
        assert line is not None
        right = line._clock

        async def set_anew() -> None:
            await anyio.sleep(2.0)
            line._clock = lambda: right() - 3600.0

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(set_anew)
            seen = await together(("one", one, "write_20", 0.0, "/a"), ("two", two, "write_20", 1.0, "/a"))
        assert seen.ended["two"] == pytest.approx(6.0, abs=0.1)
        assert seen.told["two"] is not None
