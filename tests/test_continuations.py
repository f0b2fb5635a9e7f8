"""Rounds of one logical call, found again by the state that the client sends back."""

from __future__ import annotations

import json

import msgspec
import pytest

from fuseboard.continuations import KEEP_S, MAX_ROUNDS, Binding, Continuations, binding_of
from fuseboard.ports import Result
from support.judging import WRITE, call

BOUND = Binding("ada", "tools/call", "lab", "brew", "digest")


def asking(state: object = "s") -> Result:
    return Result(json.dumps({"resultType": "input_required", "requestState": state}).encode())


def test_a_state_leads_back_to_the_first_round() -> None:
    open_ = Continuations()
    open_.asked(asking(), BOUND, "d-1", at=0.0)
    assert open_.first_of("s", BOUND, at=1.0) == "d-1"


def test_a_state_is_good_for_one_retry() -> None:
    open_ = Continuations()
    open_.asked(asking(), BOUND, "d-1", at=0.0)
    assert open_.first_of("s", BOUND, at=1.0) == "d-1"
    assert open_.first_of("s", BOUND, at=1.0) is None


@pytest.mark.parametrize("field", Binding.__struct_fields__)
def test_another_call_does_not_go_on_and_takes_nothing_away(field: str) -> None:
    open_ = Continuations()
    open_.asked(asking(), BOUND, "d-1", at=0.0)
    assert open_.first_of("s", msgspec.structs.replace(BOUND, **{field: "other"}), at=1.0) is None
    assert open_.first_of("s", BOUND, at=1.0) == "d-1"


@pytest.mark.parametrize("state", ["other", None, 7, ["s"]], ids=str)
def test_an_unknown_state_leads_nowhere(state: object) -> None:
    open_ = Continuations()
    open_.asked(asking(), BOUND, "d-1", at=0.0)
    assert open_.first_of(state, BOUND, at=1.0) is None


def test_half_a_surrogate_pair_is_a_state_like_another() -> None:
    assert Continuations().first_of("\ud800", BOUND, at=1.0) is None


def test_a_round_that_waits_too_long_is_forgotten() -> None:
    open_ = Continuations()
    open_.asked(asking(), BOUND, "d-1", at=0.0)
    assert open_.first_of("s", BOUND, at=KEEP_S) is None


def test_a_call_that_is_asked_for_ever_counts_again() -> None:
    open_ = Continuations()
    firsts: list[str | None] = []
    open_.asked(asking(), BOUND, "d-1", at=0.0)
    for n in range(2, 3 * MAX_ROUNDS + 1):
        first = open_.first_of("s", BOUND, at=1.0)
        firsts.append(first)
        open_.asked(asking(), BOUND, first or f"d-{n}", at=1.0)
    assert firsts.count(None) == 2
    assert firsts[: MAX_ROUNDS - 1] == ["d-1"] * (MAX_ROUNDS - 1)
    assert firsts[MAX_ROUNDS - 1] is None
    assert firsts[MAX_ROUNDS] == f"d-{MAX_ROUNDS + 1}"


def test_rounds_that_ended_otherwise_leave_little_behind() -> None:
    open_ = Continuations(limit=3)
    for n in range(50):
        open_.asked(asking(f"s{n}"), BOUND, f"d-{n}", at=0.0)
        assert open_.first_of(f"s{n}", BOUND, at=1.0) == f"d-{n}"
    assert len(open_._rounds) == 3


def test_the_oldest_goes_first() -> None:
    open_ = Continuations(limit=2)
    for state in ("a", "b", "a", "c"):
        open_.asked(asking(state), BOUND, state, at=0.0)
    assert len(open_) == 2
    assert [open_.first_of(state, BOUND, at=0.0) for state in ("a", "b", "c")] == ["a", None, "c"]


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"{", b'{"requestState":7}', b'{"requestState":null}'], ids=str)
def test_a_question_without_a_state_is_not_kept(raw: bytes) -> None:
    open_ = Continuations()
    open_.asked(Result(raw), BOUND, "d-1", at=0.0)
    assert len(open_) == 0


def test_the_rounds_of_one_call_have_one_binding() -> None:
    first = call(WRITE, {"a": 1, "b": 2})
    news = {"id": "d-9", "at": 9.0, "arguments": {"b": 2, "a": 1}, "answers": {"x": {}}, "continues": "d"}
    later = msgspec.structs.replace(first, **news)
    assert binding_of(first) == binding_of(later)
    assert binding_of(first) != binding_of(call(WRITE, {"a": 1}))
