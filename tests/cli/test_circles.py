"""A loop, drawn by the numbers of its calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from fuseboard.adapters.stores.reader import Call, LedgerReader
from fuseboard.cli.circles import circle
from fuseboard.cli.timeline import timeline
from support.ledger_entries import concluded, proposed, record


def looped(path: Path, **facts: Any) -> list[Call]:
    found = {"loop": "repeat", "count": 3, "period": 1, "alike": "x", "calls": ["d-1", "d-2", "gone"], **facts}
    check = {"policy": "loops", "verdict": "allow", "rule": "loops.repeat", "facts": found}
    first, second = replace(proposed(), id="d-1", seq=1), replace(proposed(), id="d-2", seq=2)
    ends = [replace(concluded(), id="d-1"), replace(concluded(), id="d-2", checks=[check])]
    record(path / "ledger.db", first, ends[0], second, ends[1])
    with LedgerReader(path / "ledger.db") as ledger:
        return list(ledger.calls())


def test_the_calls_that_formed_it_by_their_numbers(tmp_path: Path) -> None:
    plain, call = looped(tmp_path)
    assert circle(plain, {}) is None
    assert circle(call, {"d-1": 1, "d-2": 2}) == "↻ repeat, 3 times: 1 → 2 → gone"


def test_a_cycle_says_its_period(tmp_path: Path) -> None:
    _, call = looped(tmp_path, loop="cycle", period=2, count=2.5)
    assert circle(call, {"d-1": 1, "d-2": 2}) == "↻ cycle of 2, 2.5 times: 1 → 2 → gone"


def test_what_stands_in_a_ledger_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    _, call = looped(tmp_path, loop="\x1b[31m", calls=["\x1b]0;x\x07"])
    assert "\x1b" not in (circle(call, {}) or "")


def test_the_timeline_draws_it(tmp_path: Path) -> None:
    looped(tmp_path)
    with LedgerReader(tmp_path / "ledger.db") as ledger:
        (run,) = ledger.runs()
        lines = [line.plain for line in timeline(run, list(ledger.calls()), width=None)]
    assert any(line.endswith("↻ repeat, 3 times: 1 → 2 → gone") for line in lines)
