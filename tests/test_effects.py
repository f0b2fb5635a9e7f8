"""The cells of the outcome ledger."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fuseboard import effects
from fuseboard.effects import Sent
from fuseboard.events import Caller, CallProposed, Tool
from support.judging import DEPLOY, READ, WRITE, call


@pytest.mark.parametrize(
    ("tool", "method", "counts"),
    [
        (WRITE, "tools/call", True),
        (DEPLOY, "tools/call", True),
        (READ, "tools/call", False),
        (replace(WRITE, idempotent=True), "tools/call", False),
        (WRITE, "prompts/get", False),
        (WRITE, "resources/read", False),
    ],
)
def test_what_may_do_harm_twice(tool: Tool, method: str, counts: bool) -> None:
    assert effects.counts(call(tool, method=method)) is counts


def test_a_cell_belongs_to_one_principal_and_one_call() -> None:
    def key(principal: str = "ana", fingerprint: str = "f", run: str = "r") -> str:
        one: CallProposed = replace(call(WRITE), run=run, fingerprint=fingerprint, caller=Caller(principal))
        return effects.effect_key(one)

    assert key() == key(run="another")
    assert len({key(), key("bob"), key(fingerprint="g")}) == 3


def test_an_entry_is_over_a_while_after_its_end_was_due() -> None:
    sent = Sent("d-1", "r1", 0.0, 100.0, "p")
    cell = [list(sent)]
    assert effects.entries(cell, at=159.0, unknown_for_s=60.0) == [sent]
    assert effects.entries(cell, at=160.0, unknown_for_s=60.0) == []
    assert effects.entries(None, at=0.0, unknown_for_s=60.0) == []


@pytest.mark.parametrize(
    ("truth", "process", "at", "under_way"),
    [("", "p", 1.0, True), ("", "q", 1.0, False), ("", "p", 100.0, False), ("lost", "p", 1.0, False)],
    ids=["ours", "of another proxy", "past its end", "given up"],
)
def test_only_our_own_calls_are_known_to_be_under_way(truth: str, process: str, at: float, under_way: bool) -> None:
    assert effects.under_way(Sent("d", "r", 0.0, 100.0, process, truth), "p", at=at) is under_way


def test_a_cell_outlives_its_entries_and_nothing_stays_of_an_empty_one() -> None:
    sent = effects.sent_by(replace(call(WRITE), timeout_s=30.0), "p")
    assert sent.until == 30.0 + effects.GRACE_S
    put = effects.written("k", [sent], at=0.0, unknown_for_s=60.0)
    assert (put.value, put.ttl_s) == ([list(sent)], sent.until + 60.0)
    assert effects.written("k", [], at=5.0, unknown_for_s=60.0).ttl_s == 0.0


def test_whose_result_is_waited_for_stands_among_the_facts() -> None:
    assert effects.attached_to([{}, {"attached_to": "d-1"}]) == "d-1"
    assert effects.attached_to([{}, {"used": 1}]) is None
