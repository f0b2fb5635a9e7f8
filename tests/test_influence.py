"""Where poisoned data went, held against a walk that knows no order and no short cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.influence import Passed, may_hold, named, texts, walked
from support.passing import PRINCIPALS, passed, wrote


def listed(calls: Sequence[Passed], *poisoned: str) -> list[str]:
    """The clean-up list."""
    return [act.id for act in walked(calls, lambda call: call.id in poisoned).acts]


def test_what_a_run_did_after_it_took_it_in_is_listed_and_nothing_of_before() -> None:
    calls = [
        wrote("before", at=0, ended_at=1),
        passed("page", at=2, ended_at=5),
        wrote("meanwhile", at=3, ended_at=9),
        wrote("after", at=6, ended_at=7),
        wrote("elsewhere", "b", at=8, ended_at=9),
    ]
    assert listed(calls, "page") == ["after"]
    found = walked(calls, lambda call: call.id == "page")
    assert [one.id for one in found.results] == ["page"]
    assert (found.runs["a"].since, found.runs["a"].how, found.runs["a"].seen) == (5, "saw", "page")


@pytest.mark.parametrize(
    ("changes", "acted"),
    [
        pytest.param({}, True, id="it came back well"),
        pytest.param({"ended_at": None, "truth": "unknown"}, True, id="no end is on record"),
        pytest.param({"truth": "timeout"}, True, id="nobody knows whether it took effect"),
        pytest.param({"truth": "denied", "withheld": True}, True, id="its result was withheld"),
        pytest.param({"truth": "business_error"}, False, id="it says that it failed"),
        pytest.param({"truth": "bad_arguments"}, False, id="its arguments were refused"),
        pytest.param({"truth": "outage"}, False, id="nothing was sent"),
        pytest.param({"final": True}, False, id="it was denied"),
        pytest.param({"effect": "read"}, False, id="it only reads"),
        pytest.param({"method": "prompts/get"}, False, id="it is no call of a tool"),
    ],
)
def test_what_may_have_changed_something_is_listed(changes: dict[str, Any], acted: bool) -> None:
    calls = [passed("page", at=0, ended_at=1), wrote("after", **{"at": 2, "ended_at": 3, **changes})]
    assert listed(calls, "page") == (["after"] if acted else [])


@pytest.mark.parametrize("changes", [{"withheld": True}, {"ended_at": None}, {"result_sha256": None}, {"final": True}])
def test_what_nobody_saw_poisons_nobody(changes: dict[str, Any]) -> None:
    page = passed("page", **{"at": 0, "ended_at": 1, **changes})
    assert listed([page, wrote("after", at=2, ended_at=3)], "page") == []


def test_what_comes_out_of_the_vault_poisons_whoever_reads_it() -> None:
    calls = [
        passed("d-page", at=0, ended_at=1, withheld=True),
        passed("d-rest", "b", at=2, ended_at=3, of="d-page"),
        wrote("after", "b", at=4, ended_at=5),
    ]
    assert listed(calls, "d-page") == ["after"]
    assert listed(calls, "d-rest") == ["after"]
    assert listed(calls, "d-other") == []


def test_an_agent_that_is_called_acts_under_its_caller_s_influence() -> None:
    calls = [
        passed("early", at=0, ended_at=99, upstream="agent"),
        passed("page", at=1, ended_at=2),
        passed("late", at=3, ended_at=98, upstream="agent"),
        wrote("of early", "b", at=4, ended_at=5, parent="early", root="a"),
        wrote("of late", "c", at=6, ended_at=7, parent="late", root="a"),
        wrote("later", "c", at=8, ended_at=9),
    ]
    assert listed(calls, "page") == ["of late", "later"]


def test_what_an_agent_took_in_comes_back_with_its_answer() -> None:
    calls = [
        passed("ask", at=0, ended_at=10, upstream="agent", tool="ask"),
        passed("page", "b", at=1, ended_at=2, parent="ask", root="a"),
        wrote("too early", at=5, ended_at=6),
        wrote("after", at=11, ended_at=12),
    ]
    assert listed(calls, "page") == ["after"]
    reached = walked(calls, lambda call: call.id == "page").runs["a"]
    assert (reached.how, reached.seen, reached.by, reached.since) == ("returned", "ask", "agent__ask", 10)


def test_it_goes_through_a_memory_into_later_runs_of_the_same_principal() -> None:
    memory = {"upstream": "mem", "memory": True, "arguments": '{"key":"plan"}'}
    calls = [
        passed("page", "a", at=0, ended_at=1),
        wrote("keep", "a", at=2, ended_at=3, **{**memory, "arguments": '{"key":"plan","text":"send all to eve"}'}),
        passed("recall", "b", at=4, ended_at=5, **memory),
        passed("other", "c", at=4.5, ended_at=5.5, **memory),
        wrote("act", "b", at=6, ended_at=7),
        wrote("of another", "c", at=8, ended_at=9),
        wrote("again", "b", at=10, ended_at=11, **{**memory, "arguments": '{"key":"more"}'}),
        passed("third", "d", at=12, ended_at=13, **{**memory, "arguments": '{"key":"more"}'}),
        wrote("last", "d", at=14, ended_at=15),
    ]
    found = walked(calls, lambda call: call.id == "page")
    assert [act.id for act in found.acts] == ["keep", "act", "again", "last"]
    assert [(kept.write.id, kept.readers) for kept in found.memory] == [("keep", ["recall"]), ("again", ["third"])]
    assert named(found.memory[0].write) == ("plan", "send all to eve")


@pytest.mark.parametrize(
    ("read", "write", "may"),
    [
        pytest.param('{"key":"Plan"}', '{"key":"plan","text":"x"}', True, id="the same key"),
        pytest.param('{"key":"a"}', '{"key":"a"}', True, id="however short"),
        pytest.param('{"key":"a"}', '{"key":"plan"}', False, id="a short word is in everything"),
        pytest.param('{"key":"other"}', '{"key":"plan"}', False, id="another key"),
        pytest.param("{}", '{"key":"plan"}', True, id="all that there is"),
        pytest.param('{"limit":3}', '{"key":"plan"}', True, id="so many of all"),
        pytest.param('{"query":"eve"}', '{"key":"plan","text":"send all to Eve"}', True, id="what holds a word"),
        pytest.param('{"names":["x",{"n":"plan"}]}', '{"entities":[{"name":"plan"}]}', True, id="at any depth"),
        pytest.param(None, '{"key":"plan"}', True, id="the ledger keeps none"),
        pytest.param('{"key":"other"}', "sha256:00", True, id="the ledger keeps a digest"),
    ],
)
def test_what_a_reading_may_have_found(read: str | None, write: str, may: bool) -> None:
    there = wrote("w", upstream="mem", arguments=write)
    assert may_hold(passed("r", upstream="mem", arguments=read), there) is may
    assert not may_hold(passed("r", "c", upstream="mem", arguments=read), there)
    assert not may_hold(passed("r", upstream="mem2", arguments=read), there)


def test_texts_are_found_in_their_order_and_names_of_fields_are_none() -> None:
    assert list(texts({"a": "1", "b": ["2", {"c": "3"}], "d": 4, "e": "5"})) == ["1", "2", "3", "5"]


@st.composite
def ledgers(draw: st.DrawFn) -> list[Passed]:
    """Calls in the order in which they began, no two moments alike."""
    calls: list[Passed] = []
    for number in range(draw(st.integers(1, 14))):
        long = draw(st.one_of(st.none(), st.integers(0, 12)))
        parent = draw(st.sampled_from([None, *(call.id for call in calls)]))
        memory = draw(st.booleans())
        arguments = f'{{"key":"{draw(st.sampled_from(["plan", "more"]))}"}}' if memory else "{}"
        make = draw(st.sampled_from([passed, wrote]))
        changes: dict[str, Any] = {"parent": parent, "memory": memory, "arguments": arguments, "upstream": "mem"}
        changes |= {"withheld": draw(st.booleans()) and draw(st.booleans()), "final": draw(st.sampled_from([0, 0, 1]))}
        ended_at = None if long is None else number + long + 0.5 + number / 1000
        run = draw(st.sampled_from(sorted(PRINCIPALS)))
        calls.append(make(f"d{number}", run, float(number), ended_at, **changes))
    return calls


def naive(calls: Sequence[Passed], poisoned: set[str]) -> dict[str, float]:
    """When each run was reached, by asking everything of everything until nothing new is said."""
    since: dict[str, float] = {}

    def reach(run: str, at: float) -> bool:
        if since.get(run, float("inf")) <= at:
            return False
        since[run] = at
        return True

    def under(call: Passed) -> bool:
        return not call.final and since.get(call.run, float("inf")) <= call.at

    changed = True
    while changed:
        changed = False
        for one in calls:
            end = one.ended_at if one.delivered else None
            if end is not None and one.id in poisoned:
                changed |= reach(one.run, end)
            for other in calls:
                if other.parent == one.id and under(one):
                    changed |= reach(other.run, other.at)
                if end is None:
                    continue
                if other.parent == one.id and other.at <= end and since.get(other.run, float("inf")) <= end:
                    changed |= reach(one.run, end)
                kept = other.memory and other.acted and under(other) and other.at <= end
                if kept and one.memory and one.effect == "read" and may_hold(one, other):
                    changed |= reach(one.run, end)
    return since


@given(ledgers(), st.sets(st.integers(0, 13).map("d{}".format), max_size=3))
def test_the_clean_up_list_is_that_of_a_naive_walk(calls: list[Passed], poisoned: set[str]) -> None:
    found = walked(calls, lambda call: call.id in poisoned)
    since = naive(calls, poisoned)
    assert {run: one.since for run, one in found.runs.items()} == since
    expected = [one.id for one in calls if one.acted and since.get(one.run, float("inf")) <= one.at]
    assert [act.id for act in found.acts] == expected
    assert {one.id for one in found.results} == {one.id for one in calls if one.id in poisoned and one.delivered}
