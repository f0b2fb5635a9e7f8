"""What stands before one call, and what of it is written: no more than what changed."""

from __future__ import annotations

from msgspec.structs import replace

from fuseboard.breakers.cells import Cells
from fuseboard.breakers.machine import OPEN, Breaker, run_key, shared_key, written
from fuseboard.breakers.words import RUN, TOOL, UPSTREAM
from fuseboard.events import CallReturned, Finding
from fuseboard.state import EMPTY, Put, Snapshot
from fuseboard.verdicts import Allow
from support.judging import READ, call

EVENT = replace(call(READ), at=5.0, kept_s=77.0)
OFF = Breaker(OPEN, 1, 1, 1.0, 60.0)


def test_each_breaker_is_read_from_its_cell() -> None:
    shared = written(shared_key("files"), None, {"": OFF, "files__read_file": replace(OFF, generation=2)})
    own = written(run_key("r1"), None, {"files__read_file": replace(OFF, generation=3)})
    cells = Cells(EVENT, Snapshot({write.key: write.value for write in (shared, own)}))
    assert [cells.breaker(scope).generation for scope in (UPSTREAM, TOOL, RUN)] == [1, 2, 3]
    assert list(cells.of_tools()) == ["files__read_file"]


def test_nothing_changed_is_nothing_said() -> None:
    assert Cells(EVENT, EMPTY).allowed() == Allow()


def test_changes_of_one_cell_are_one_write_and_leave_the_others_alone() -> None:
    before = written(shared_key("files"), None, {"files__other": OFF})
    cells = Cells(EVENT, Snapshot({before.key: before.value}))
    for scope in (UPSTREAM, TOOL, RUN):
        cells.change(scope, OFF, "probe" if scope == RUN else OPEN)
    said = cells.allowed()
    assert said.rule == "breaker.open"
    assert {scope: facts["change"] for scope, facts in said.facts.items()} == {
        UPSTREAM: OPEN,
        TOOL: OPEN,
        RUN: "probe",
    }
    puts = {write.key: write for write in said.writes if isinstance(write, Put)}
    assert set(puts) == {shared_key("files"), run_key("r1")}
    assert set(puts[shared_key("files")].value) == {"", "files__read_file", "files__other"}
    assert puts[run_key("r1")].ttl_s == 77.0
    assert [write.key for write in cells.writes_of(RUN)] == [run_key("r1")]


def test_a_result_is_part_of_what_is_known_when_it_is_judged() -> None:
    event = CallReturned(6.0, EVENT, "timeout", finding=Finding("timeout", 1.0, "upstream"))
    cells = Cells(EVENT, EMPTY, event)
    assert [strike.truth for strike in cells.struck(Breaker())] == ["timeout"]
    assert [entry.truth for entry in cells.outcomes] == ["timeout"]
    assert [sign.truth for sign in cells.signs] == ["timeout"]
    assert cells.fails
    assert Cells(EVENT, EMPTY).struck(Breaker()) == ()
