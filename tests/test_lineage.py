"""Who called whom."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from fuseboard.lineage import KEPT_S, MAX_SPANS, Lineage, Span, Step, may_lend, stamped
from fuseboard.runs import Run, Said, Source
from fuseboard.trace_context import TraceParent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = TraceParent(TRACE, SPAN, "01")
RUN = Run("r-1", Source.TRACE, "ana")


@pytest.fixture
def lineage() -> Lineage:
    numbers = count(1)
    return Lineage(lambda bits: next(numbers))


def step(lineage: Lineage, **fields: Any) -> Step:
    return Step(lineage, RUN, **{"trace": PARENT, "principal": "ana", **fields})


def sent(one: Step, params: Any, *, at: float = 0.0, run: Run = RUN) -> Any:
    raw = one.sent(json.dumps(params).encode(), "d-1", run, deadline_at=at + 100, at=at)
    return json.loads(raw or b"null")


def test_a_trace_goes_on_under_a_span_of_ours_and_all_else_stays(lineage: Lineage) -> None:
    raw = b'{ "name":"t","arguments":{"n":1.10},"_meta":{"progressToken": 7,"traceparent":"x","baggage":"a=1"}}'
    one = step(lineage, state="rojo=1")
    changed = one.sent(raw, "d-1", RUN, deadline_at=9.0, at=0.0)
    assert changed == (
        b'{"name":"t","arguments":{"n":1.10},"_meta":{"progressToken":7,'
        b'"traceparent":"00-%b-0000000000000001-01","baggage":"a=1","tracestate":"fuseboard=0000000000000001,rojo=1"}}'
        % TRACE.encode()
    )


def test_a_call_that_neither_carries_a_trace_nor_keys_of_ours_keeps_its_bytes(lineage: Lineage) -> None:
    raw = b'{ "name" : "t" }'
    assert step(lineage, trace=None).sent(raw, "d-1", RUN, deadline_at=9.0, at=0.0) is raw
    assert len(lineage) == 0


def test_what_comes_back_under_the_span_descends_from_the_call(lineage: Lineage) -> None:
    first = step(lineage)
    sent(first, {})
    span = lineage.below(Said(parent=TraceParent(TRACE, "0" * 15 + "1", "01")))
    assert span is first.span
    second = step(lineage, below=span)
    assert (second.depth, second.parent, second.root("r-1"), second.root("r-2")) == (1, "d-1", None, "r-1")
    sent(second, {}, run=Run("r-2", Source.TRACE))
    third = step(lineage, below=second.span)
    assert (third.depth, third.root("r-2")) == (2, "r-1")
    assert (first.depth, first.parent, first.root("r-1")) == (0, None, None)


def test_an_agent_that_puts_spans_of_its_own_between_is_known_by_the_tracestate(lineage: Lineage) -> None:
    first = step(lineage)
    meta = sent(first, {})["_meta"]
    own = TraceParent(TRACE, "f" * 16, "01")
    assert lineage.below(Said(parent=own, state=meta["tracestate"])) is first.span
    assert lineage.below(Said(parent=own, state=f"agent=1,{meta['tracestate']}")) is first.span
    assert lineage.below(Said(parent=own, state="fuseboard=ffffffffffffffff")) is None
    assert lineage.below(Said(parent=own, state="fuseboard")) is None
    assert lineage.below(Said(parent=own)) is None
    assert lineage.below(Said(state=meta["tracestate"])) is None


@pytest.mark.parametrize(
    ("own_s", "at", "gets_s"),
    [
        pytest.param(10.0, 0.0, 10.0, id="its own is shorter"),
        pytest.param(600.0, 0.0, 90.0, id="nine tenths of what is left"),
        pytest.param(600.0, 90.0, 9.0, id="later, of what is left then"),
        pytest.param(600.0, 200.0, 0.001, id="nothing is left"),
    ],
)
def test_the_caller_s_deadline_is_inherited(lineage: Lineage, own_s: float, at: float, gets_s: float) -> None:
    first = step(lineage)
    sent(first, {})
    assert step(lineage, below=first.span).within(own_s, at=at) == pytest.approx(gets_s)
    assert first.within(own_s, at=at) == own_s


def test_a_caller_that_has_its_answer_waits_for_nothing(lineage: Lineage) -> None:
    first = step(lineage)
    sent(first, {})
    first.over(at=1.0)
    late = step(lineage, below=lineage.below(Said(parent=TraceParent(TRACE, "0" * 15 + "1", "01"))))
    assert (late.depth, late.within(600.0, at=2.0)) == (1, 600.0)


def test_a_call_is_forgotten_some_time_after_its_end(lineage: Lineage) -> None:
    first = step(lineage)
    sent(first, {})
    first.over(at=1.0)
    first.over(at=2.0)
    sent(step(lineage), {}, at=KEPT_S)
    assert len(lineage) == 2
    sent(step(lineage), {}, at=KEPT_S + 1.1)
    assert len(lineage) == 2


def test_those_that_ended_make_room_and_those_under_way_do_not(lineage: Lineage) -> None:
    steps = [step(lineage) for _ in range(MAX_SPANS)]
    for one in steps:
        sent(one, {})
    steps[7].over(at=1.0)
    sent(step(lineage), {})
    assert len(lineage) == MAX_SPANS
    assert lineage.below(Said(parent=TraceParent(TRACE, f"{8:016x}", "01"))) is None
    crowded = step(lineage)
    assert "traceparent" in sent(crowded, {})["_meta"]
    crowded.over(at=1.0)
    assert len(lineage) == MAX_SPANS


def test_a_trace_of_our_own_lets_agents_sample_as_ever(lineage: Lineage) -> None:
    trace = lineage.begun()
    assert trace.below("1" * 16).endswith("-01")
    assert len(trace.trace) == 32


@pytest.mark.parametrize(
    ("meta", "left"),
    [
        pytest.param({"fuseboard/run": "a", "x": 1}, {"x": 1}, id="the key"),
        pytest.param({"baggage": "x=1, run=a"}, {"baggage": "x=1"}, id="the member"),
        pytest.param({"baggage": "run=a", "x": 1}, {"x": 1}, id="all the baggage there was"),
        pytest.param({"fuseboard/run": "a", "baggage": "x = 1 , ?"}, {"baggage": "x = 1 , ?"}, id="others' as it came"),
        pytest.param({"fuseboard/run": "a", "baggage": 7}, {"baggage": 7}, id="what is no baggage"),
    ],
)
def test_our_own_keys_are_taken_out(lineage: Lineage, meta: dict[str, Any], left: dict[str, Any]) -> None:
    one = step(lineage, trace=None, drops=("fuseboard/run", "run"))
    assert json.loads(stamped(json.dumps({"name": "t", "_meta": meta}).encode(), one, None))["_meta"] == left


def test_an_envelope_that_held_nothing_else_goes_too(lineage: Lineage) -> None:
    one = step(lineage, trace=None, drops=("fuseboard/run", "run"))
    assert stamped(b'{"name":"t","_meta":{"fuseboard/run":"a"}}', one, None) == b'{"name":"t"}'


def test_another_principal_draws_on_a_run_only_where_an_agent_was_called() -> None:
    def span(*, lends: bool) -> Span:
        return Span("1", "d-1", RUN, "r-1", 0, "ana", 9.0, lends)

    assert may_lend(span(lends=False), "ana")
    assert not may_lend(span(lends=False), "bob")
    assert may_lend(span(lends=True), "bob")
