"""Calls with effects, made once: attached, replayed when the result came late, refused while nobody knows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from fuseboard import pipeline
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.config.conduct import Approvals
from fuseboard.config.guards import PrincipalLimits, Retries, RunLimits
from fuseboard.era import Era
from fuseboard.lock_names import Rule
from fuseboard.ports import Concluded
from fuseboard.wire import frames
from support import till_child
from support.fake_server import Asked, FakeServer, FakeTool, hangs, says, text
from support.fake_server import result as frames_result
from support.playbook import FakeClient, RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


def fuses(process: str = "p1", **retries: Any) -> pipeline.Fuses:
    return pipeline.Fuses(RunLimits(), PrincipalLimits(), retries=Retries(**retries), process=process)


class Till:
    """Pays, and answers once ``open``; ``paid`` counts the effects. ``heedless``: what is given up is answered too."""

    def __init__(self) -> None:
        self.paid = 0
        self.open = anyio.Event()

    async def pay(self, asked: Asked) -> Any:
        self.paid += 1
        await self.open.wait()
        return text(f"receipt {self.paid}")

    def server(self, **facts: Any) -> FakeServer:
        facts = {"effect": "write", "timeout": "30s", **facts}
        return FakeServer("till", FakeTool("pay", self.pay), tools={"pay": facts})


def words(result: Any) -> list[str]:
    return [block["text"] for block in result["content"]]


async def in_background(tasks: Any, client: FakeClient, answers: list[Any], **arguments: Any) -> None:
    async def one() -> None:
        answers.append(await client.call("pay", **arguments))

    tasks.start_soon(one)
    await anyio.sleep(0.1)


async def test_the_same_call_while_the_first_is_under_way_waits_for_its_result() -> None:
    till = Till()
    async with playing(till.server(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client, answers = await play.connect(), list[Any]()
        for _ in range(3):
            await in_background(tasks, client, answers, amount=5)
        till.open.set()
        await anyio.sleep(0.1)
        assert till.paid == 1
        assert [words(answer) for answer in answers] == [["receipt 1"]] * 3
        first, *others = play.proposed
        assert len(others) == 2
        for entry in play.concluded[1:]:
            (joined,) = (check for check in entry.checks if check["rule"] == "retries.joined")
            assert joined["facts"] == {"with": first.id}
        assert play.truths == ["ok"] * 3


async def test_who_waits_for_a_result_takes_no_place_at_the_upstream() -> None:
    till = Till()
    server = till.server()
    server.facts = server.facts.model_copy(update={"parallel": 1})
    async with playing(server, fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client, answers = await play.connect(), list[Any]()
        for _ in range(3):
            await in_background(tasks, client, answers, amount=5)
        till.open.set()
        await anyio.sleep(0.1)
        assert len(answers) == 3
        assert till.paid == 1


async def test_after_a_result_that_was_given_the_same_call_is_a_call_of_its_own() -> None:
    till = Till()
    till.open.set()
    async with playing(till.server(), fuses=fuses()) as play:
        client = await play.connect()
        assert [words(await client.call("pay", amount=5)) for _ in range(2)] == [["receipt 1"], ["receipt 2"]]


async def test_another_run_means_its_own_call() -> None:
    till = Till()
    async with playing(till.server(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        answers = list[Any]()
        for _ in range(2):
            await in_background(tasks, await play.connect(transport="http"), answers, amount=5)
        till.open.set()
        await anyio.sleep(0.1)
        assert till.paid == 2
        assert sorted(words(answer) for answer in answers) == [["receipt 2"], ["receipt 2"]]


async def test_what_was_not_answered_in_time_is_not_done_again_while_nobody_knows() -> None:
    till = Till()
    async with playing(till.server(), fuses=fuses(unknown_for=600.0)) as play:
        client = await play.connect()
        with pytest.raises(RpcError):
            await client.call("pay", amount=5)
        reason, decision = await client.refusal("pay", amount=5)
        assert (decision["policy"], decision["rule"]) == ("effects", "effects.unknown")
        assert "not answered in time" in reason
        assert "only reads" in reason
        (check,) = (check for check in play.proposed[-1].checks if check["rule"] == "effects.unknown")
        assert check["facts"]["calls"][0]["id"] == play.proposed[0].id
        assert till.paid == 1
        till.open.set()
        assert words(await client.call("pay", amount=6)) == ["receipt 2"]
        other = await play.connect(transport="http")
        assert (await other.refusal("pay", amount=5))[1]["rule"] == "effects.unknown"
        await anyio.sleep(601)
        assert words(await client.call("pay", amount=5)) == ["receipt 3"]


async def test_the_operators_word_that_a_tool_is_idempotent_ends_the_matter() -> None:
    till = Till()
    async with playing(till.server(idempotent=True), fuses=fuses()) as play:
        client = await play.connect()
        for _ in range(2):
            with pytest.raises(RpcError):
                await client.call("pay", amount=5)
        assert till.paid == 2


async def test_what_a_client_gave_up_is_unknown() -> None:
    till = Till()
    async with playing(till.server(), fuses=fuses()) as play:
        client = await play.connect()
        with anyio.move_on_after(1):
            await client.call("pay", amount=5)
        assert play.truths == ["cancelled"]
        assert play.server("till").cancelled == ["tools/call"]
        assert "given up" in (await client.refusal("pay", amount=5))[0]


async def test_who_gives_up_takes_nothing_from_those_who_wait_for_the_same_call() -> None:
    till = Till()
    async with playing(till.server(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client, answers = await play.connect(), list[Any]()
        leader = anyio.CancelScope()

        async def led() -> None:
            with leader:
                await client.call("pay", amount=5)

        tasks.start_soon(led)
        await anyio.sleep(0.1)
        await in_background(tasks, client, answers, amount=5)
        leader.cancel()
        await anyio.sleep(0.1)
        assert play.truths == ["cancelled"]
        assert play.server("till").cancelled == []
        till.open.set()
        await anyio.sleep(0.1)
        assert [words(answer) for answer in answers] == [["receipt 1"]]
        assert words(await client.call("pay", amount=5)) == ["receipt 2"], "the first result was given to somebody"


@pytest.mark.parametrize("patience_s", [1, None], ids=["its client gave up", "its deadline was over"])
async def test_a_result_that_comes_late_is_given_to_the_repeat_and_marked(patience_s: float | None) -> None:
    till = Till()
    server = till.server()
    server.heedless = True
    async with playing(server, fuses=fuses()) as play:
        client = await play.connect()
        with anyio.move_on_after(patience_s or 600), suppress(RpcError):
            await client.call("pay", amount=5)
        assert play.truths == ["cancelled" if patience_s else "timeout"]
        assert (await client.refusal("pay", amount=5))[1]["rule"] == "effects.unknown"
        till.open.set()
        await anyio.sleep(0.1)
        assert play.truths[1:] == ["ok"], "what became of it stands in the ledger"
        assert play.concluded[1].id == play.proposed[0].id
        result = await client.call("pay", amount=5)
        marked, receipt = words(result)
        assert "was not called again" in marked
        assert receipt == "receipt 1"
        assert "isError" not in result
        decision = result["_meta"]["fuseboard/decision"]
        assert (decision["verdict"], decision["rule"]) == ("deny", "effects.replayed")
        assert till.paid == 1
        assert words(await client.call("pay", amount=5)) == ["receipt 2"], "it has been given now"


async def test_an_answer_that_only_says_that_it_was_given_up_settles_nothing() -> None:
    async def obeys(asked: Asked) -> Any:
        await anyio.sleep(60)
        return frames.failure(0, "Request cancelled")

    server = FakeServer("till", FakeTool("pay", obeys), tools={"pay": {"effect": "write", "timeout": "1s"}})
    server.heedless = True
    async with playing(server, fuses=fuses()) as play:
        client = await play.connect()
        with pytest.raises(RpcError):
            await client.call("pay", amount=5)
        await anyio.sleep(100)
        assert (await client.refusal("pay", amount=5))[1]["rule"] == "effects.unknown"


async def test_a_proxy_that_was_killed_leaves_a_call_of_which_nobody_knows() -> None:
    store, till = MemoryStore(), Till()
    async with playing(till.server(), fuses=fuses("before"), store=store) as play:
        with anyio.move_on_after(1):
            await (await play.connect()).call("pay", amount=5)
        key = next(key for key in store._table._cells if key.startswith("effect/"))
        (entry,) = (await store.read([key], at=play.board.now())).get(key)
        entry[3], entry[5] = play.board.now() + 60, ""  # as the kill would have left it
    async with playing(till.server(), fuses=fuses("after"), store=store) as play:
        reason, decision = await (await play.connect()).refusal("pay", amount=5)
        assert decision["rule"] == "effects.unknown"
        assert "its end was never seen" in reason
        assert till.paid == 1


async def test_a_person_may_say_that_it_is_to_be_made_again() -> None:
    till = Till()
    asking = fuses(unknown="ask")
    approvals = Approvals(via=("cli",), ask_above=None)
    async with playing(till.server(), fuses=asking, approvals=approvals) as play, anyio.create_task_group() as tasks:
        client, answers = await play.connect(), list[Any]()
        with anyio.move_on_after(1):
            await client.call("pay", amount=5)
        await in_background(tasks, client, answers, amount=5)
        (waiting,) = await play.inbox.pending()
        assert "given up" in waiting.why
        await play.inbox.decide(waiting.id, approve=True, by="ana", through="cli", serial=waiting.serial)
        await anyio.sleep(0.1)
        assert till.paid == 2
        await in_background(tasks, client, answers, amount=5)
        till.open.set()
        await anyio.sleep(0.1)
        assert till.paid == 2, "what a person let through is written down as under way, too"
        assert [words(answer) for answer in answers] == [["receipt 2"]] * 2


async def test_where_nothing_is_enforced_nothing_is_held_back() -> None:
    till = Till()
    async with playing(till.server(), fuses=fuses(), mode="observe") as play:
        client = await play.connect()
        for _ in range(2):
            with pytest.raises(RpcError):
                await client.call("pay", amount=5)
        assert till.paid == 2
        assert json.dumps(play.proposed[1].checks).count("effects.unknown") == 1


async def test_an_upstream_that_cannot_be_reached_has_done_nothing() -> None:
    server = Till().server()
    async with playing(server, fuses=fuses()) as play:
        client = await play.connect()
        server.tools["pay"].act = hangs
        server.crash()
        server.down = "is away"
        for _ in range(2):
            with pytest.raises(RpcError):
                await client.call("pay", amount=5)
        assert play.truths == ["outage"] * 2


def test_a_kill_leaves_it_on_file(tmp_path: Path) -> None:
    """In real time: there is a thread at the file."""
    ledger = tmp_path / "ledger.db"
    done = subprocess.run([sys.executable, till_child.__file__, ledger], check=False)
    assert done.returncode == -signal.SIGKILL

    async def afterwards() -> None:
        server, proxy = till_child.till(ledger, says("receipt"))
        async with proxy as play:
            client = await play.connect()
            assert (await client.refusal("pay", amount=5))[1]["rule"] == "effects.unknown"
            assert words(await client.call("pay", amount=6)) == ["receipt"]
            assert len(server.calls) == 1

    anyio.run(afterwards)


class SlowToSettle(MemoryStore):
    """Takes its time to write down what came back."""

    async def commit(self, writes: Any, read: Any, entry: Any, **how: Any) -> bool:
        if isinstance(entry, Concluded):
            await anyio.sleep(5)
        return await super().commit(writes, read, entry, **how)


async def test_a_repeat_that_comes_while_the_answer_is_written_down_gets_that_answer() -> None:
    till, answers = Till(), list[Any]()
    till.open.set()
    async with playing(till.server(), store=SlowToSettle(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client = await play.connect()
        for _ in range(2):
            await in_background(tasks, client, answers, amount=5)
        await anyio.sleep(20)
    assert till.paid == 1
    assert [words(answer)[0] for answer in answers] == ["receipt 1", "receipt 1"]


async def test_who_gave_up_waiting_for_another_s_result_leaves_nothing_unknown_behind() -> None:
    till, answers = Till(), list[Any]()
    async with playing(till.server(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client = await play.connect()
        await in_background(tasks, client, answers, amount=5)
        with anyio.move_on_after(1):
            await client.call("pay", amount=5)
        till.open.set()
        await anyio.sleep(0.1)
        assert [words(answer) for answer in answers] == [["receipt 1"]]
        assert words(await client.call("pay", amount=5)) == ["receipt 2"], "the only call that was made was answered"


@pytest.mark.parametrize(
    ("one", "other"),
    [({"request_id": 1}, {"request_id": 2}), ({"path": "a/b"}, {"path": "a//b"}), ({"note": None}, {})],
    ids=["a field that is set aside", "another spelling", "a field that says nothing"],
)
async def test_only_what_is_the_same_to_the_letter_is_answered_by_one_call(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    till, answers = Till(), list[Any]()
    async with playing(till.server(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client = await play.connect()
        for arguments in (one, other, one):
            await in_background(tasks, client, answers, **arguments)
        assert till.paid == 2
        till.open.set()
        await anyio.sleep(0.1)
        assert len(answers) == 3
        assert sum(check["rule"] == "retries.joined" for entry in play.concluded for check in entry.checks) == 1


async def test_what_a_call_works_on_is_nobody_else_s_while_anybody_waits_for_its_result() -> None:
    till, answers = Till(), list[Any]()
    alone = Rule("till", exclusive=True, by_run=False, hold_s=60.0, wait_s=1.0)
    locked = fuses()._replace(locks={"till__pay": (alone,)})
    async with playing(till.server(), fuses=locked) as play, anyio.create_task_group() as tasks:
        client, other = await play.connect(transport="http"), await play.connect(transport="http")
        with anyio.move_on_after(1):
            tasks.start_soon(_joins_later, client, answers)
            await client.call("pay", amount=5)
        assert (await other.refusal("pay", amount=6))[1]["rule"] == "locks.held"
        till.open.set()
        await anyio.sleep(0.1)
        assert [words(answer) for answer in answers] == [["receipt 1"]]
        await anyio.sleep(61)
        assert words(await other.call("pay", amount=6)) == ["receipt 2"], "nobody renewed the lease"


async def _joins_later(client: FakeClient, answers: list[Any]) -> None:
    await anyio.sleep(0.5)
    answers.append(await client.call("pay", amount=5))


async def test_clients_that_nothing_tells_apart_get_no_result_of_one_another() -> None:
    till, answers = Till(), list[Any]()
    async with playing(till.server(), fuses=fuses()) as play, anyio.create_task_group() as tasks:
        for _ in range(2):
            client = play.arrive(Era.STATELESS, transport="http")
            await in_background(tasks, client, answers, amount=5)
        till.open.set()
    assert till.paid == 2


async def test_a_question_to_one_client_is_put_to_no_other() -> None:
    asked = Till()
    asks = {"resultType": "input_required", "inputRequests": {}, "requestState": "s"}

    async def pay(request: Asked) -> Any:
        await asked.open.wait()
        return frames_result(asks)

    server = FakeServer("till", FakeTool("pay", pay), eras=[Era.STATELESS], tools={"pay": {"effect": "write"}})
    answers: list[Any] = []
    async with playing(server, fuses=fuses()) as play, anyio.create_task_group() as tasks:
        client = play.arrive(Era.STATELESS)
        meta = {"fuseboard/run": "mine"}

        async def one() -> None:
            params = {"name": "pay", "arguments": {"amount": 5}, "_meta": meta}
            try:
                answers.append((await client.request("tools/call", params))["resultType"])
            except RpcError as refused:
                answers.append(refused.message)

        for _ in range(2):
            tasks.start_soon(one)
            await anyio.sleep(0.1)
        asked.open.set()
    assert answers[0] == "input_required" or answers[1] == "input_required"
    assert sum(answer == "input_required" for answer in answers) == 1
