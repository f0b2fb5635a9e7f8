"""The tails of tools and upstreams: short, and silent while nothing is new."""

from __future__ import annotations

from msgspec.structs import replace

from fuseboard.adapters.stores.table import Table
from fuseboard.breakers.tails import (
    OUTCOMES,
    Outcome,
    Sign,
    active,
    fails,
    outcome,
    outcome_pushed,
    sign,
    sign_of,
    signs_key,
    tool_key,
)
from fuseboard.events import CallReturned, Finding
from fuseboard.state import EMPTY
from support.judging import READ, call

WITHIN_S = 300.0


def returned(at: float, truth: str = "ok", weight: float = 0.0, name: str = "read_file") -> CallReturned:
    event = replace(call(replace(READ, name=name)), id=f"d-{at}", fingerprint="f")
    whose = "upstream" if weight else ""
    return CallReturned(
        at, event, truth, finding=Finding(truth, weight, whose, retry_after_s=2.0, digest="x", shape="text")
    )


def test_an_outcome_is_read_as_it_was_written() -> None:
    assert outcome(returned(1.0, "empty")) == Outcome(1.0, "r1", "f", "x", "empty", 0.0, "", True, 2.0, "d-1.0", "text")


def test_the_tail_of_a_tool_keeps_the_newest() -> None:
    table = Table()
    for n in range(OUTCOMES + 2):
        table.apply([outcome_pushed(returned(float(n)))], EMPTY, at=1.0)
    tail = table.read([tool_key(READ.qualified)], at=1.0).values[tool_key(READ.qualified)]
    assert [entry[0] for entry in tail] == [float(n) for n in range(2, OUTCOMES + 2)]


def test_it_fails_while_its_newest_result_speaks_against_it() -> None:
    good, bad, weak = outcome(returned(1.0)), outcome(returned(2.0, "error", 1.0)), outcome(returned(3.0, "empty", 0.5))
    assert [fails(tail) for tail in ([], [good], [good, bad], [bad, good], [bad, weak])] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_an_upstream_that_works_leaves_a_sign_of_each_tool_now_and_then() -> None:
    signs: list[Sign] = []
    for at in range(0, 600, 10):
        for name in ("one", "two"):
            write = sign(returned(float(at), name=name), signs, WITHIN_S)
            signs += [] if write is None else [write.item]
    assert [(one.at, one.tool) for one in signs] == [
        (at, f"files__{name}") for at in (0.0, 150.0, 300.0, 450.0) for name in ("one", "two")
    ]


def test_every_silence_and_the_first_answer_after_it_are_signs() -> None:
    said = ["ok", "ok", "timeout", "timeout", "cancelled", "business_error", "ok", "outage", "throttled", "ok"]
    signs: list[Sign] = []
    for at, truth in enumerate(said):
        write = sign(returned(float(at), truth), signs, WITHIN_S)
        if write is not None:
            assert write.key == signs_key("files")
            signs.append(write.item)
    assert [one.truth for one in signs] == ["ok", "timeout", "timeout", "business_error", "outage", "throttled"]


def test_a_call_that_its_caller_had_no_more_time_for_is_no_sign() -> None:
    event = returned(1.0, "timeout")
    assert event.finding is not None
    assert sign(replace(event, finding=replace(event.finding, whose="caller")), [], WITHIN_S) is None
    assert sign(returned(1.0, "timeout", 1.0), [], WITHIN_S) is not None


def test_active_are_the_tools_that_were_called_lately() -> None:
    signs = [sign_of(returned(float(at), name=name)) for at, name in ((0, "old"), (100, "one"), (200, "two"))]
    assert active(signs, at=310.0, within_s=300.0) == {"files__one", "files__two"}
