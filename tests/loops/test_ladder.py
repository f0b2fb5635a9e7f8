"""Each reply to a loop is firmer than the last."""

from __future__ import annotations

from fuseboard.adapters.stores.table import Table
from fuseboard.loops.ladder import ANSWERS, BOTTOM, WAITS, Rung, ladder_key, rungs, stands
from fuseboard.state import EMPTY


def climbed(times: int) -> Rung:
    rung = BOTTOM
    for _ in range(times):
        rung = rung.next(100.0, cool_off_s=10.0)
    return rung


def test_first_the_answer_then_ever_longer_waits_then_a_person() -> None:
    waits = [climbed(n).until for n in range(1, ANSWERS + WAITS + 1)]
    assert waits == [0.0, 0.0, 110.0, 120.0]
    assert not climbed(ANSWERS + WAITS - 1).exhausted
    assert climbed(ANSWERS + WAITS).exhausted


def test_a_wait_is_bounded() -> None:
    assert climbed(40).until == 700.0


def test_who_waited_may_try() -> None:
    assert not climbed(3).waited(109.9)
    assert climbed(3).waited(110.0)
    assert not climbed(1).waited(1e9)


def test_it_is_read_as_it_was_written() -> None:
    table = Table()
    table.apply([stands("r", {}, "f", climbed(3), ttl_s=60.0)], EMPTY, at=1.0)
    assert rungs("r", table.read([ladder_key("r")], at=1.0)) == {"f": climbed(3)}
    assert rungs("r", table.read([ladder_key("r")], at=1.0), since=101.0) == {}


def test_only_so_many_loops_are_remembered_and_the_latest_stay() -> None:
    before = {f"f{n}": Rung(1, 0.0, float(n)) for n in range(40)}
    kept = stands("r", before, "new", climbed(1), ttl_s=60.0).value
    assert len(kept) == 16
    assert "new" in kept
    assert "f39" in kept
    assert "f0" not in kept
