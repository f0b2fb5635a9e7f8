"""A call with effects is made once: every state that it may be in, and what the same call meets there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard import fingerprints
from fuseboard.adapters.stores.table import Table
from fuseboard.config.guards import Retries
from fuseboard.effects import LOST, Sent, effect_key
from fuseboard.events import CallProposed, CallReturned
from fuseboard.policies.effects import EffectsPolicy
from fuseboard.state import EMPTY, Put, Snapshot
from fuseboard.verdicts import Allow, Deny, Hold
from support.judging import READ, WRITE, call

AT = 1000.0
POLICY = EffectsPolicy(Retries(unknown_for_s=600.0), "p")
ASKING = EffectsPolicy(Retries(unknown="ask"), "p")
KEY = effect_key(replace(call(WRITE), fingerprint="f"))


def proposed(id: str = "d-9", *, run: str = "r1", at: float = AT) -> CallProposed:
    return replace(call(WRITE), id=id, run=run, at=at, fingerprint="f", timeout_s=30.0)


def returned(truth: str, *, id: str = "d-1", at: float = AT, **more: Any) -> CallReturned:
    return CallReturned(at, proposed(id, at=at - 5), truth, **more)


def sent(truth: str = "", *, call: str = "d-1", run: str = "r1", process: str = "p", until: float = AT + 60) -> Sent:
    return Sent(call, run, AT - 5, until, process, truth, fingerprints.exact(proposed().arguments))


def cell(*entries: Sent) -> Snapshot:
    return Snapshot({KEY: [list(entry) for entry in entries]})


def kept(verdict: Any) -> list[tuple[str, str]]:
    """What stands in the cell once the verdict has been written: calls and their truths."""
    (put,) = verdict.writes
    assert isinstance(put, Put)
    assert put.key == KEY
    return [(entry[0], entry[5]) for entry in put.value]


@pytest.mark.parametrize(
    ("known", "rule"),
    [
        ((), None),
        ((sent(),), "attached"),
        ((sent(run="r2"),), None),
        ((sent(process="q"),), "effects.unknown"),
        ((sent(process="q", run="r2"),), "effects.unknown"),
        ((sent(until=AT - 1),), "effects.unknown"),
        ((sent("timeout"),), "effects.unknown"),
        ((sent("lost", run="r2"),), "effects.unknown"),
        ((sent("cancelled", until=AT - 601),), None),
        ((sent("ok"),), "effects.replayed"),
        ((sent("business_error", run="r2"),), "effects.replayed"),
        ((sent("lost", call="d-0"), sent()), "attached"),
        ((sent("lost", call="d-0"), sent("ok")), "effects.replayed"),
    ],
    ids=[
        "nothing is known of it",
        "under way in this run",
        "under way in another run, which means its own",
        "under way in another proxy, or lost with it",
        "the same in another run",
        "under way for too long",
        "not answered",
        "lost in another run",
        "forgotten by now",
        "answered late",
        "answered late with an error of its own",
        "a repeat that was let through is under way",
        "one lost, one answered late",
    ],
)
def test_what_the_same_call_meets(known: tuple[Sent, ...], rule: str | None) -> None:
    verdict = POLICY.decide(proposed(), cell(*known))
    if rule == "attached":
        assert verdict == Allow(facts={"attached_to": "d-1"})
    elif rule is None:
        assert isinstance(verdict, Allow)
        assert ("d-9", "") in kept(verdict)
    else:
        assert isinstance(verdict, Deny)
        assert verdict.rule == rule


def test_reads_and_what_the_operator_calls_idempotent_cost_nothing() -> None:
    for one in (call(READ), call(replace(WRITE, idempotent=True)), call(WRITE, method="prompts/get")):
        assert POLICY.keys(one) == ()
        assert POLICY.decide(one, EMPTY) == Allow()
        assert POLICY.decide(CallReturned(AT, one, "ok"), EMPTY) == Allow()


def test_a_refusal_says_what_is_known_and_what_to_do_and_writes_nothing() -> None:
    verdict = POLICY.decide(proposed(), cell(sent("lost")))
    assert isinstance(verdict, Deny)
    assert "its answer was lost" in verdict.reason
    assert "only reads" in verdict.reason
    assert verdict.retry_after_s is None, "to wait does not make it known"
    assert verdict.facts["calls"] == [{"id": "d-1", "run": "r1", "at": AT - 5, "truth": "lost"}]
    assert verdict.writes == ()


def test_what_came_late_is_given_once() -> None:
    verdict = POLICY.decide(proposed(), cell(sent("ok"), sent(call="d-2", run="r2")))
    assert isinstance(verdict, Deny)
    assert verdict.answer == "d-1"
    assert kept(verdict) == [("d-2", "")]


def test_a_person_who_lets_it_pass_clears_what_nobody_knows() -> None:
    verdict = ASKING.decide(proposed(), cell(sent("lost"), sent(call="d-2", run="r2")))
    assert isinstance(verdict, Hold)
    assert verdict.writes == ()
    (put,) = verdict.granted
    assert isinstance(put, Put)
    assert [entry[0] for entry in put.value] == ["d-2", "d-9"]


@pytest.mark.parametrize(
    ("event", "before", "after"),
    [
        (returned("ok"), (sent(),), []),
        (returned("business_error"), (sent(),), []),
        (returned("outage"), (sent(),), []),
        (returned("input_required"), (sent(),), []),
        (returned("ok"), (sent(), sent(call="d-2", run="r2")), [("d-2", "")]),
        *((returned(truth), (sent(),), [("d-1", truth)]) for truth in sorted(LOST)),
        (returned("lost"), (), [("d-1", "lost")]),
        (returned("ok"), (), None),
        (returned("ok", late=True), (sent("timeout"),), [("d-1", "ok")]),
        (returned("ok", late=True), (sent(),), [("d-1", "ok")]),
        (returned("cancelled"), (sent("ok"),), None),
        (returned("ok", late=True), (), None),
        (returned("ok", id="d-2", shared="d-1"), (sent("cancelled"),), []),
        (returned("timeout", id="d-2", shared="d-1"), (sent(),), None),
    ],
    ids=[
        "given",
        "given, an error of its own",
        "nothing was sent",
        "a question, and nothing done yet",
        "given, another run's stays",
        *sorted(LOST),
        "lost after it was forgotten",
        "given after it was forgotten",
        "late",
        "late, before its end was written down",
        "its end, written down after what came late",
        "of a task",
        "given to one who waited with it",
        "one who waited with it gave up",
    ],
)
def test_what_an_end_leaves_behind(
    event: CallReturned, before: tuple[Sent, ...], after: list[tuple[str, str]] | None
) -> None:
    verdict = POLICY.decide(event, cell(*before))
    assert isinstance(verdict, Allow)
    if after is None:
        assert verdict.writes == ()
    else:
        assert kept(verdict) == after


def test_an_unknown_end_is_remembered_for_as_long_as_the_configuration_says() -> None:
    table = Table()
    table.apply(getattr(POLICY.decide(returned("lost"), cell(sent())), "writes", ()), EMPTY, at=AT)
    for at, remembered in ((AT + 599, True), (AT + 601, False)):
        verdict = POLICY.decide(proposed(at=at), table.read([KEY], at=at))
        assert isinstance(verdict, Deny) is remembered


_TRUTHS = st.sampled_from(["ok", "error", "outage", *sorted(LOST)])


@given(st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.floats(0, 20), st.one_of(st.none(), _TRUTHS)), max_size=30))
def test_of_what_nobody_knows_nothing_is_made_twice(steps: list[tuple[str, float, str | None]]) -> None:
    """However proposals and ends interleave: none is let through while the end of an earlier one is unknown."""
    table, at, under_way, unknown = Table(), AT, dict[str, CallProposed](), 0
    for number, (run, later_s, ends) in enumerate(steps):
        at += later_s
        if ends is not None and under_way:
            id, one = under_way.popitem()
            end = CallReturned(at, replace(one, id=id), ends)
            read = table.read([KEY], at=at)
            assert table.apply(getattr(POLICY.decide(end, read), "writes", ()), read, at=at) is not None
            unknown += ends in LOST
            continue
        one = proposed(f"d-{number}", run=run, at=at)
        read = table.read([KEY], at=at)
        verdict = POLICY.decide(one, read)
        if isinstance(verdict, Allow) and verdict.writes:
            assert not unknown
            assert table.apply(verdict.writes, read, at=at) is not None
            under_way[one.id] = one
