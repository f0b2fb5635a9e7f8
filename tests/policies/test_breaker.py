"""What does not work is taken off the board: from the run that has it, or from everybody, and comes back by a probe."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.breakers import machine
from fuseboard.breakers.standing import target
from fuseboard.config.guards import Breaker as Settings
from fuseboard.config.guards import Health
from fuseboard.events import CallProposed, Effect
from fuseboard.inbox import Inbox
from fuseboard.verdicts import Allow, Deny
from support.breaking import Bench, tool

LONE = Settings(health=None)
"""The run's own breakers alone."""
SHARED = Settings(strikes=None, health=Health(jitter=0.0))
"""The shared breakers alone, to the second."""


def denied(said: CallProposed | Deny) -> Deny:
    assert isinstance(said, Deny), "it was let through"
    return said


def passed(said: CallProposed | Deny) -> CallProposed:
    assert isinstance(said, CallProposed), said
    return said


STRIKES = [
    pytest.param(["timeout"] * 3, True, id="three of any"),
    pytest.param(["timeout", "business_error", "error"], True, id="three of different kinds"),
    pytest.param(["timeout"] * 2, False, id="two"),
    pytest.param(["timeout", "timeout", "ok", "timeout", "timeout"], False, id="a good one between"),
    pytest.param(["timeout", "timeout", "empty", "timeout"], False, id="an empty result is a good one"),
    pytest.param(["timeout", "throttled", "timeout", "cancelled", "timeout"], True, id="what says nothing, between"),
    pytest.param(["throttled"] * 9, False, id="throttling"),
    pytest.param(["denied"] * 9, False, id="our own denials"),
    pytest.param(["cancelled"] * 9, False, id="the agent gave up"),
    pytest.param(["input_required"] * 9, False, id="questions of the tool"),
    pytest.param([("ok", 0.5)] * 5, False, id="five weak ones"),
    pytest.param([("ok", 0.5)] * 6, True, id="six weak ones"),
    pytest.param([("ok", 0.5), "timeout", ("ok", 0.5), "timeout"], True, id="weak and strong together"),
]


@pytest.mark.parametrize(("results", "trips"), STRIKES)
async def test_strikes_of_a_run(results: list[Any], trips: bool) -> None:
    bench = Bench(settings=LONE)
    for result in results:
        truth, weight = result if isinstance(result, tuple) else (result, None)
        call = passed(await bench.propose())
        await bench.returns(call, truth, weight=weight, whose="upstream" if weight else None)
        bench.at += 1
    said = await bench.propose()
    assert isinstance(said, Deny) is trips


ARGUMENTS = [
    pytest.param(["a", "a", "a"], True, id="the same call three times"),
    pytest.param(["a", "b", "c", "d", "e", "f"], False, id="each time another one: learning"),
    pytest.param(["a", "b", "c", "d", "e", "f", "g"], True, id="but not for ever"),
    pytest.param(["a", "b", "a", "a"], True, id="back to what was refused before"),
]


@pytest.mark.parametrize(("asked", "trips"), ARGUMENTS)
async def test_an_agent_that_changes_its_arguments_is_learning(asked: list[str], trips: bool) -> None:
    bench = Bench(settings=LONE)
    for arguments in asked:
        await bench.returns(passed(await bench.propose(asks=arguments)), "bad_arguments")
    assert isinstance(await bench.propose(asks="z"), Deny) is trips


@pytest.mark.parametrize(
    ("tells", "trips"),
    [
        pytest.param("{n} tests fail: {n}", False, id="in another way"),
        pytest.param("tests fail", True, id="in the same way"),
    ],
)
async def test_a_test_that_fails_again_after_each_edit_is_no_failing_tool(tells: str, trips: bool) -> None:
    bench, edit = Bench(settings=LONE), tool("edit", effect=Effect.WRITE)
    said: list[bool] = []
    for n in range(12):
        call = await bench.propose(which=tool("test"))
        said.append(isinstance(call, Deny))
        if isinstance(call, CallProposed):
            await bench.returns(call, "business_error", says=tells.format(n=n))
        await bench.returns(await bench.propose(which=edit, asks=f"edit {n}"))
        bench.at += 0.1
    assert any(said) is trips
    assert said.index(True) == 7 if trips else True


async def test_a_refusal_says_what_failed_and_exactly_when_to_come_back() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    bench.at += 10
    said = denied(await bench.propose())
    assert said.rule == "run.breaker"
    assert said.retry_after_s == pytest.approx(60 - 10 - 0.01, abs=0.002)
    assert said.reason.count("- timeout, 10 s ago [d-") == 3
    assert "Call it again in 50 s" in said.reason
    assert "This concerns get alone" in said.reason
    assert [strike["truth"] for strike in said.facts["strikes"]] == ["timeout"] * 3
    assert said.facts["weight"] == 3
    bench.at += said.retry_after_s - 0.001
    denied(await bench.propose())
    bench.at += 0.001
    passed(await bench.propose())


async def test_the_trip_is_on_the_record_of_the_result_that_caused_it() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(2)
    call = passed(await bench.propose())
    said = await bench.returns(call, "outage")
    assert said.rule == "breaker.open"
    assert said.facts["run"]["strikes"][-1]["decision"] == call.id
    assert said.facts["run"]["generation"] == 2  # the last chance that it had was one


async def test_what_another_run_gets_from_the_tool_is_not_its_business() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    denied(await bench.propose("r1"))
    passed(await bench.propose("r2"))
    passed(await bench.propose("r1", tool("put")))


async def test_with_two_strikes_calls_go_one_at_a_time() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(2)
    chance = passed(await bench.propose())
    waits = denied(await bench.propose())
    assert (waits.rule, waits.retry_after_s) == ("run.breaker", 1.0)
    assert waits.facts["under_way"] == chance.id
    await bench.returns(chance)
    passed(await bench.propose())
    passed(await bench.propose())


async def test_a_chance_that_nobody_comes_back_from_ends_with_its_deadline() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(2)
    passed(await bench.propose(timeout_s=20))
    bench.at += 24
    denied(await bench.propose())
    bench.at += 1.1
    passed(await bench.propose())


async def test_it_opens_for_twice_as_long_each_time_up_to_its_longest() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    spans = []
    for _ in range(6):
        said = denied(await bench.propose())
        assert said.retry_after_s is not None
        spans.append(round(said.retry_after_s))
        bench.at += said.retry_after_s
        await bench.returns(passed(await bench.propose()), "timeout")
    assert spans == [60, 120, 240, 480, 600, 600]


async def test_one_probe_at_a_time_and_a_good_one_closes_it() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    bench.at += 61
    probe = passed(await bench.propose())
    busy = denied(await bench.propose())
    assert busy.facts["under_way"] == probe.id
    await bench.returns(probe)
    await bench.fails(2)
    passed(await bench.propose())


@pytest.mark.parametrize("truth", ["throttled", "cancelled", "denied"])
async def test_a_probe_that_shows_nothing_leaves_it_to_the_next(truth: str) -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    bench.at += 61
    await bench.returns(passed(await bench.propose()), truth)
    probe = passed(await bench.propose())
    denied(await bench.propose())
    await bench.returns(probe, "timeout")
    assert denied(await bench.propose()).retry_after_s == pytest.approx(120)


@pytest.mark.parametrize("truth", ["ok", "timeout"])
async def test_a_late_result_neither_closes_nor_opens(truth: str) -> None:
    bench = Bench(settings=LONE)
    late = [passed(await bench.propose()) for _ in range(4)]
    await bench.fails(3)
    await bench.returns(late[0], truth)
    assert denied(await bench.propose()).retry_after_s == pytest.approx(60, abs=0.1)
    bench.at += 61
    probe = passed(await bench.propose())
    await bench.returns(late[1], truth)
    denied(await bench.propose())
    await bench.returns(probe)
    for one in late[2:]:
        await bench.returns(one, "timeout")
    await bench.fails(2)  # with those it would have been four
    passed(await bench.propose())


async def test_between_two_probes_a_late_result_changes_nothing() -> None:
    bench = Bench(settings=LONE)
    late = [passed(await bench.propose()) for _ in range(2)]
    await bench.fails(3)
    bench.at += 61
    await bench.returns(passed(await bench.propose()), "cancelled")
    await bench.returns(late[0], "timeout")
    probe = passed(await bench.propose())
    await bench.returns(probe, "cancelled")
    await bench.returns(late[1])
    passed(await bench.propose())
    denied(await bench.propose())


async def test_a_probe_that_comes_back_after_its_lease_was_taken_over_is_late() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    bench.at += 61
    lost = passed(await bench.propose(timeout_s=10))
    bench.at += 16
    probe = passed(await bench.propose())
    await bench.returns(lost)
    denied(await bench.propose())
    await bench.returns(probe)
    passed(await bench.propose())


ROWS = [
    pytest.param(["timeout"] * 5, ["a", "b"], True, id="five in a row from two runs"),
    pytest.param(["timeout"] * 9, ["a"], False, id="nine in a row from one run"),
    pytest.param(["timeout"] * 4, ["a", "b"], False, id="four"),
    pytest.param(["error"] * 4 + ["ok"] + ["error"] * 4, ["a", "b"], False, id="a good one between"),
    pytest.param(["error"] * 4 + ["business_error"] + ["error"] * 4, ["a", "b"], False, id="it ran, and said no"),
    pytest.param(["error"] * 4 + ["bad_arguments"] + ["error"], ["a", "b"], True, id="bad arguments say nothing of it"),
    pytest.param(["bad_arguments"] * 30, ["a", "b"], False, id="bad arguments"),
    pytest.param(["business_error"] * 30, ["a", "b"], False, id="business errors"),
    pytest.param(["throttled"] * 30, ["a", "b"], False, id="throttling"),
    pytest.param(["cancelled"] * 30, ["a", "b"], False, id="agents that gave up"),
    pytest.param(["denied"] * 30, ["a", "b"], False, id="our own denials"),
    pytest.param(["error", "ok"] * 5, ["a"], False, id="half of ten, but the last was good"),
    pytest.param(["ok", "error"] * 5, ["a"], True, id="half of ten within a minute"),
    pytest.param(["ok", "ok", "error"] * 6, ["a"], False, id="a third"),
    pytest.param(["ok", "error"] * 4, ["a"], False, id="half of eight"),
]


@pytest.mark.parametrize(("results", "runs", "trips"), ROWS)
async def test_the_health_of_a_tool(results: list[str], runs: list[str], trips: bool) -> None:
    bench = Bench(settings=SHARED)
    for n, truth in enumerate(results):
        await bench.returns(passed(await bench.propose(runs[n % len(runs)])), truth)
        bench.at += 1
    said = await bench.propose("somebody else")
    assert isinstance(said, Deny) is trips
    if isinstance(said, Deny):
        assert said.rule == ("upstream.breaker" if results[0] == "timeout" else "tool.breaker")
        assert "d-" not in said.reason


async def test_half_of_ten_in_more_than_a_minute_are_not_enough() -> None:
    bench = Bench(settings=SHARED)
    for truth in ["ok", "error"] * 10:
        await bench.returns(passed(await bench.propose()), truth)
        bench.at += 7
    passed(await bench.propose())


async def test_two_good_probes_close_what_all_share() -> None:
    bench = Bench(settings=SHARED)
    for run in "abcde":
        await bench.fails(1, run, "error")
    assert denied(await bench.propose("f")).retry_after_s == pytest.approx(30, abs=0.1)
    bench.at += 31
    await bench.returns(passed(await bench.propose("a")))
    second = passed(await bench.propose("b"))
    denied(await bench.propose("a"))
    await bench.returns(second)
    passed(await bench.propose("a"))
    passed(await bench.propose("b"))


async def test_it_is_never_back_before_the_upstream_wants_to_be_asked_again() -> None:
    bench = Bench(settings=SHARED)
    for run in "abcd":
        await bench.fails(1, run, "error")
    await bench.fails(1, "e", "error", retry_after_s=200.0)
    assert denied(await bench.propose("f")).retry_after_s == pytest.approx(200, abs=0.1)


async def test_an_upstream_that_cannot_be_reached_is_cut_off_with_all_its_tools() -> None:
    bench = Bench(settings=SHARED)
    for n, run in enumerate("ababa"):
        await bench.fails(1, run, "outage", which=tool(f"tool{n}"))
    said = denied(await bench.propose("c", tool("another")))
    assert said.rule == "upstream.breaker"
    assert "No tool of up can be called" in said.reason
    passed(await bench.propose("c", tool("get", "elsewhere")))


async def test_any_answer_shows_that_an_upstream_is_there() -> None:
    bench = Bench(settings=SHARED)
    for n, run in enumerate("abababab"):
        await bench.fails(1, run, "outage", which=tool(f"tool{n}"))
        if n == 3:
            await bench.fails(1, run, "bad_arguments", which=tool("other"))
    passed(await bench.propose("c", tool("another")))


async def test_an_upstream_of_which_half_the_active_tools_are_off_is_off() -> None:
    bench = Bench(settings=SHARED)
    for name in ("fine", "well"):
        await bench.returns(await bench.propose("a", tool(name)))
    for name in ("one", "two"):
        passed(await bench.propose("z", tool("fine")))
        for run in "abcde":
            await bench.fails(1, run, "error", which=tool(name))
    said = denied(await bench.propose("z", tool("fine")))
    assert said.rule == "upstream.breaker"
    assert said.facts["why"] == "2 of its 4 active tools are cut off"


async def test_probes_of_one_call_are_one_for_each_breaker_before_it() -> None:
    bench = Bench(settings=Settings(health=Health(jitter=0.0)))
    for run in "ababab":
        said = await bench.propose(run)
        if isinstance(said, CallProposed):
            await bench.returns(said, "error")
    denied(await bench.propose("a"))
    bench.at += 61
    probe = passed(await bench.propose("a"))
    verdict = await bench.returns(probe)
    assert {scope: facts["change"] for scope, facts in verdict.facts.items()} == {"run": "closed", "tool": "recovering"}


async def test_an_operator_cuts_off_and_puts_back() -> None:
    bench = Bench()
    desk = Inbox(bench.store, lambda: bench.at)
    await desk.breaker(target("up__get"), open=True, by="ida", why="it eats files", for_s=600)
    said = denied(await bench.propose())
    assert "an operator took it off the board (it eats files)" in said.reason
    assert (said.facts["by"], said.retry_after_s) == ("ida", 600)
    passed(await bench.propose(which=tool("put")))
    await desk.breaker(target("up__get"), open=False, by="ida")
    passed(await bench.propose())


async def test_an_operators_word_ends_by_itself() -> None:
    bench = Bench()
    desk = Inbox(bench.store, lambda: bench.at)
    await desk.breaker(target("up"), open=True, by="ida", for_s=60)
    denied(await bench.propose(which=tool("put")))
    bench.at += 60
    passed(await bench.propose())
    passed(await bench.propose())  # closed, not half open


async def test_what_failed_before_a_reset_counts_no_more() -> None:
    bench = Bench(settings=LONE)
    desk = Inbox(bench.store, lambda: bench.at)
    under_way = passed(await bench.propose())
    bench.at += 1
    await bench.fails(3)
    denied(await bench.propose())
    await desk.breaker(target("up__get", "r1"), open=False, by="ida")
    await bench.returns(under_way, "timeout")
    await bench.fails(2)
    passed(await bench.propose())


async def test_what_is_held_closed_does_not_open() -> None:
    bench = Bench(settings=LONE)
    desk = Inbox(bench.store, lambda: bench.at)
    await desk.breaker(target("up__get", "r1"), open=False, by="ida", for_s=60)
    await bench.fails(9)
    bench.at += 60
    passed(await bench.propose())  # the probe: nobody knows whether it works by now
    denied(await bench.propose())


async def test_a_breaker_that_is_not_configured_any_more_stops_nobody() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    bench.settings = SHARED
    bench.__post_init__()
    passed(await bench.propose())


@pytest.mark.parametrize("method", ["resources/read", "prompts/get"])
async def test_a_document_is_not_fetched_from_a_server_that_is_off_the_board(method: str) -> None:
    """It waits as the tools do, takes no probe, and goes once the server is asked at all again."""
    bench = Bench(settings=SHARED)
    document = replace(passed(await bench.propose()), method=method)

    async def said() -> Allow | Deny:
        verdict = bench.policy.decide(replace(document, at=bench.at), await bench.read(document))
        assert isinstance(verdict, Allow | Deny)
        return verdict

    assert await said() == Allow()
    for run in ("r1", "r2", "r1", "r2", "r1"):
        await bench.fails(1, run)
    refused = await said()
    assert isinstance(refused, Deny)
    assert refused.rule == "upstream.breaker"
    assert refused.writes == ()
    assert refused.retry_after_s is not None
    bench.at += refused.retry_after_s
    assert await said() == Allow()


async def test_a_document_has_no_breaker_of_a_tool_or_a_run() -> None:
    bench = Bench(settings=LONE)
    await bench.fails(3)
    document = replace(passed(await bench.propose("r2")), run="r1", method="resources/read")
    assert bench.policy.decide(document, await bench.read(document)) == Allow()


async def test_our_own_tool_has_none() -> None:
    bench = Bench()
    for changes in ({"tool": tool("checkpoint", "fuseboard")},):
        call = passed(await bench.propose())
        other = replace(call, **changes)
        assert bench.policy.keys(other) == ()
        assert bench.policy.decide(other, await bench.read(call)) == Allow()


async def test_a_closed_breaker_writes_nothing_of_its_own() -> None:
    bench = Bench()
    for _ in range(5):
        call = passed(await bench.propose())
        said = await bench.returns(call)
    assert [write.key for write in said.writes if write.key.startswith("breakers/")] == []
    cells = await bench.store.read((machine.run_key("r1"), machine.shared_key("up")), at=bench.at)
    assert cells.values == {}
