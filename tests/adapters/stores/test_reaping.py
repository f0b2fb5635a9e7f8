import msgspec

from fuseboard.accounts import standing
from fuseboard.adapters.stores import reaping
from fuseboard.adapters.stores.records import to_json
from fuseboard.adapters.stores.table import Table
from fuseboard.ports import Lapsed
from fuseboard.state import EMPTY, Add, Reserve
from support.ledger_entries import BEGAN, concluded, denied, proposed

RESERVES = [
    Reserve("run/r", "d-1", {"calls": 1, "bytes": 10}, {}, 60, 1000),
    Reserve("principal/p", "d-1", {"calls": 1}, {}, 90, 1000, 600.0),
]


def test_a_call_holds_until_its_last_reservation_is_past_its_time() -> None:
    held = reaping.held_of(proposed(), [Add("k", 1, None, 60), *RESERVES], BEGAN)
    assert held is not None
    assert held.until == BEGAN + 90
    assert {key: hold["amounts"] for key, hold in held.holds.items()} == {
        "run/r": {"calls": 1, "bytes": 10},
        "principal/p": {"calls": 1},
    }


def test_what_was_not_admitted_holds_nothing() -> None:
    assert reaping.held_of(denied(), RESERVES, BEGAN) is None
    assert reaping.held_of(concluded(), RESERVES, BEGAN) is None
    assert reaping.held_of(None, RESERVES, BEGAN) is None
    assert reaping.held_of(proposed(), [Add("k", 1, None, 60)], BEGAN) is None


def test_accounts_charge_in_full_what_lapses_as_it_stands_on_file() -> None:
    table = Table()
    table.apply(RESERVES, EMPTY, at=BEGAN)
    held = reaping.held_of(proposed(), RESERVES, BEGAN)
    assert held is not None
    overdue = reaping.parsed("d-1", BEGAN, held.until, to_json(held.holds))
    for _ in range(2):
        table.apply([*reaping.lapses(overdue)], EMPTY, at=BEGAN + 90)
        seen = table.read(["run/r", "principal/p"], at=BEGAN + 90)
        assert seen.get("run/r")["lapsed"] == seen.get("run/r")["used"] == {"calls": 1, "bytes": 10}
        assert standing(seen.get("principal/p"), at=BEGAN + 90, window_s=600.0).used == {"calls": 1}
        assert seen.get("principal/p")["held"] == {}
    assert [*reaping.lapsed(overdue)] == [
        Lapsed("d-1", "run/r", {"calls": 1, "bytes": 10}),
        Lapsed("d-1", "principal/p", {"calls": 1}),
    ]


def test_the_record_says_what_is_known() -> None:
    overdue = reaping.Overdue("d-1", BEGAN, reaping.Held(BEGAN + 60, {}))
    entry = reaping.without_end(overdue, at=BEGAN + 61)
    assert (entry.id, entry.truth, entry.duration_ms) == ("d-1", "lost", 61000.0)
    assert "charged in full" in msgspec.to_builtins(entry)["error"]
