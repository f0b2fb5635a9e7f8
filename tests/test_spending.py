"""What runs have used, as those see it who look on from beside."""

from __future__ import annotations

from collections.abc import Sequence

from fuseboard.adapters.stores.table import Table
from fuseboard.reviews import RunState
from fuseboard.spending import keys, limits_key, spending, stated, told
from fuseboard.state import EMPTY, Reserve, Settle, Write
from fuseboard.stated import Stated

CONFIG = "8c1e5d00a1b2"


def stand(*writes: Write, signed: bool = False, limits: bool = True):  # type: ignore[no-untyped-def]
    table = Table()
    left: Sequence[Write] = told(CONFIG, {"calls": 10.0, "money": 2.0}) if limits else ()
    assert table.apply((*left, *writes), EMPTY, at=1.0) is not None
    return spending("r1", CONFIG, table.read(keys("r1", CONFIG), at=1.0), signed=signed, at=1.0)


def used(call: str, calls: float) -> tuple[Write, Write]:
    return Reserve("run/r1", call, {"calls": calls}, {}, 60, 60), Settle("run/r1", call, {"calls": calls}, 60)


def test_a_run_that_nobody_knows_has_used_nothing() -> None:
    spent = stand()
    assert (spent.state.state, spent.under_way) == ("running", 0)
    assert spent.budgets() == {
        "calls": {"used": 0, "held": 0, "limit": 10.0},
        "money": {"used": 0, "held": 0, "limit": 2.0},
    }


def test_what_is_used_and_what_is_under_way_are_told_apart() -> None:
    under_way = Reserve("run/r1", "d-2", {"calls": 1, "slots:0": 1, "output_bytes": 900}, {}, 60, 60)
    spent = stand(*used("d-1", 3), under_way)
    assert spent.budgets()["calls"] == {"used": 3, "held": 1, "limit": 10.0}
    assert spent.budgets()["output_bytes"] == {"used": 0, "held": 900, "limit": None}
    assert spent.under_way == 1


def test_limits_are_those_that_hold_after_a_review() -> None:
    state = (
        RunState()
        .paused(at=0.5, by="ana", why="odd")
        .resumed(at=1.0, by="ana", used={"calls": 3}, milestones=0, more={"calls": 5.0})
    )
    assert stand(state.written("r1")).budgets()["calls"]["limit"] == 15.0


def test_limits_that_nobody_left_word_of_are_not_made_up() -> None:
    assert stand(*used("d-1", 3), limits=False).budgets() == {"calls": {"used": 3, "held": 0, "limit": None}}
    assert stand(*used("d-1", 3), signed=True).budgets()["calls"]["limit"] is None


def test_the_limits_of_a_signed_run_are_its_token_s_and_those_of_the_configuration_beside() -> None:
    word = stated("r1", Stated({"calls": 5.0}, depth=2), ttl_s=60.0)
    limits = {unit: of["limit"] for unit, of in stand(word, signed=True).budgets().items()}
    assert limits == {"calls": 5.0, "money": 2.0}
    assert stand(word).budgets()["calls"]["limit"] == 10.0
    nothing = stand(stated("r1", None, ttl_s=60.0), signed=True)
    assert nothing.budgets()["calls"]["limit"] == 10.0
    assert stand(word, signed=True, limits=False).budgets() == {}


def test_each_configuration_has_a_word_of_its_own() -> None:
    assert limits_key("a") != limits_key("b")
    assert told("a", {}) != told("b", {})
