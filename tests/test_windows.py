"""The window of a run: what every judge of behaviour reads."""

from __future__ import annotations

from msgspec.structs import replace

from fuseboard.adapters.stores.table import Table
from fuseboard.events import CallReturned, Finding
from fuseboard.state import EMPTY
from fuseboard.windows import KEPT, Past, pushed, window, window_key
from support.judging import READ, call


def returned(n: int) -> CallReturned:
    event = replace(call(READ), id=f"d-{n}", fingerprint=f"f-{n}")
    return CallReturned(1000.0 + n, event, "ok", None, 7, finding=Finding("ok", digest="a", skeleton="b"))


def test_a_step_is_read_as_it_was_written() -> None:
    table = Table()
    table.apply([pushed(returned(1), ["x"])], EMPTY, at=1.0)
    (step,) = window("r1", table.read([window_key("r1")], at=1.0))
    assert step == Past("d-1", 1001.0, READ.qualified, "f-1", "a", "b", "ok", 0.0, "", "read", 7, False, ("x",), "read")


def test_a_step_that_was_on_file_is_the_same_step() -> None:
    step = pushed(returned(1), []).item
    table = Table()
    table.apply([replace(pushed(returned(1), []), item=list(step))], EMPTY, at=1.0)
    assert window("r1", table.read([window_key("r1")], at=1.0)) == [step]


def test_it_keeps_the_newest_in_their_order() -> None:
    table = Table()
    for n in range(KEPT + 3):
        table.apply([pushed(returned(n), [])], EMPTY, at=1.0)
    steps = window("r1", table.read([window_key("r1")], at=1.0))
    assert [step.decision for step in steps] == [f"d-{n}" for n in range(3, KEPT + 3)]


def test_a_run_that_did_nothing_has_none() -> None:
    assert window("r1", EMPTY) == []
