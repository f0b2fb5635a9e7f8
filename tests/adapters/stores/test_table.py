import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.accounts import standing
from fuseboard.adapters.stores.table import Table
from fuseboard.state import EMPTY, Add, Draw, Expire, Push, Put, Reserve, Settle, Snapshot, Throttle

AT = 1000.0


def add(amount: float = 1, *, ceiling: float | None = None, key: str = "k", ttl_s: float = 60) -> Add:
    return Add(key, amount, ceiling, ttl_s)


def test_an_absent_key_has_no_value_and_version_zero() -> None:
    assert Table().read(["k"], at=AT) == Snapshot({}, {"k": 0})


def test_reading_nothing_is_the_empty_snapshot() -> None:
    assert Table().read([], at=AT) is EMPTY


@pytest.mark.parametrize(
    ("held", "amount", "ceiling", "total"),
    [
        pytest.param(0, 5, 5, 5, id="up to the ceiling"),
        pytest.param(0, 6, 5, None, id="past the ceiling"),
        pytest.param(5, 1, 5, None, id="past a ceiling that is reached"),
        pytest.param(5, 1, None, 6, id="no ceiling"),
        pytest.param(5, -2, 1, 3, id="a refund above a ceiling that was lowered"),
        pytest.param(0.5, 0.25, 1, 0.75, id="fractions"),
    ],
)
def test_add(held: float, amount: float, ceiling: float | None, total: float | None) -> None:
    table = Table()
    table.apply([add(held)], EMPTY, at=AT)
    done = table.apply([add(amount, ceiling=ceiling)], EMPTY, at=AT)
    assert (done is not None) == (total is not None)
    assert table.read(["k"], at=AT).get("k") == (held if total is None else total)


def test_two_adds_of_one_commit_meet_one_ceiling() -> None:
    table = Table()
    assert table.apply([add(3, ceiling=5), add(3, ceiling=5)], EMPTY, at=AT) is None
    assert table.read(["k"], at=AT).get("k") is None


@pytest.mark.parametrize(
    ("keep", "tail"),
    [
        pytest.param(5, [0, 1, 2], id="all fit"),
        pytest.param(2, [1, 2], id="the newest stay"),
        pytest.param(0, [], id="none is kept"),
    ],
)
def test_push_keeps_the_newest(keep: int, tail: list[int]) -> None:
    table = Table()
    for item in range(3):
        table.apply([Push("k", item, keep, 60)], EMPTY, at=AT)
    assert table.read(["k"], at=AT).get("k") == tail


def test_a_push_leaves_earlier_snapshots_alone() -> None:
    table = Table()
    table.apply([Push("k", 1, 9, 60)], EMPTY, at=AT)
    before = table.read(["k"], at=AT)
    table.apply([Push("k", 2, 9, 60)], EMPTY, at=AT)
    assert before.get("k") == [1]


def test_a_put_is_refused_once_the_key_changed() -> None:
    table = Table()
    seen = table.read(["k"], at=AT)
    assert table.apply([Put("k", "mine", 60)], seen, at=AT)
    assert table.apply([Put("k", "theirs", 60)], seen, at=AT) is None
    assert table.apply([Put("k", "again", 60)], table.read(["k"], at=AT), at=AT)


def test_a_put_without_a_read_only_creates() -> None:
    table = Table()
    assert table.apply([Put("k", 1, 60)], EMPTY, at=AT)
    assert table.apply([Put("k", 2, 60)], EMPTY, at=AT) is None


def test_a_put_is_refused_when_the_key_expired_and_was_made_anew() -> None:
    table = Table()
    table.apply([add(ttl_s=10)], EMPTY, at=AT)
    seen = table.read(["k"], at=AT)
    table.apply([add(ttl_s=10)], EMPTY, at=AT + 20)
    assert table.apply([Put("k", 9, 60)], seen, at=AT + 20) is None


@pytest.mark.parametrize(
    ("later_s", "value"),
    [pytest.param(9.999, 1, id="within its time"), pytest.param(10, None, id="at its end")],
)
def test_a_cell_lives_its_time(later_s: float, value: int | None) -> None:
    table = Table()
    table.apply([add(ttl_s=10)], EMPTY, at=AT)
    assert table.read(["k"], at=AT + later_s).get("k") == value


def test_a_write_starts_the_time_anew() -> None:
    table = Table()
    table.apply([add(ttl_s=10)], EMPTY, at=AT)
    table.apply([add(ttl_s=10)], EMPTY, at=AT + 9)
    assert table.read(["k"], at=AT + 18).get("k") == 2


def test_one_refusal_refuses_the_whole_commit() -> None:
    table = Table()
    assert table.apply([add(key="a"), add(2, ceiling=1, key="b")], EMPTY, at=AT) is None
    assert table.read(["a", "b"], at=AT).values == {}


def test_a_write_that_does_not_fit_changes_nothing() -> None:
    table = Table()
    table.apply([Put("text", "x", 60)], EMPTY, at=AT)
    with pytest.raises(TypeError):
        table.apply([add(key="a"), add(key="text")], EMPTY, at=AT)
    with pytest.raises(TypeError):
        table.apply([Push("text", 1, 3, 60)], EMPTY, at=AT)
    assert table.read(["a"], at=AT).values == {}


def test_expired_cells_do_not_pile_up() -> None:
    table = Table()
    for n in range(10_000):
        table.apply([add(key=f"k{n}", ttl_s=5)], EMPTY, at=AT + n)
    assert len(table) < 2000


@given(amounts=st.lists(st.integers(1, 5)), ceiling=st.integers(0, 20))
def test_no_order_of_adds_passes_the_ceiling(amounts: list[int], ceiling: int) -> None:
    table = Table()
    admitted = [n for n in amounts if table.apply([add(n, ceiling=ceiling)], EMPTY, at=AT) is not None]
    assert sum(admitted) == table.read(["k"], at=AT).get("k", 0) <= ceiling


def test_a_reservation_that_does_not_fit_refuses_the_whole_commit() -> None:
    table = Table()
    first = Reserve("run", "a", {"calls": 1}, {"calls": 1}, 60, 3600)
    assert table.apply([first, add()], EMPTY, at=1.0)
    second = Reserve("run", "b", {"calls": 1}, {"calls": 1}, 60, 3600)
    assert table.apply([add(), second], EMPTY, at=2.0) is None
    assert table.read(["k"], at=2.0).get("k") == 1


def test_a_rate_refuses_the_whole_commit_until_it_is_time() -> None:
    table = Table()
    take = Throttle("rate", 10.0, 1, 60)
    assert table.apply([take], EMPTY, at=1.0)
    assert table.apply([add(), take], EMPTY, at=5.0) is None
    assert table.apply([add(), take], EMPTY, at=11.0)
    assert table.read(["k"], at=11.0).get("k") == 1


def test_an_empty_bucket_refuses_the_whole_commit_until_something_is_put_in() -> None:
    table = Table()
    take, put = (Draw("bucket", amount, 0.0, 1, 10, 60) for amount in (1, -1))
    assert table.apply([take], EMPTY, at=1.0)
    assert table.apply([add(), take], EMPTY, at=2.0) is None
    assert table.apply([put], EMPTY, at=3.0)
    assert table.apply([add(), take], EMPTY, at=4.0)
    assert table.read(["k"], at=4.0).get("k") == 1


def test_a_settled_reservation_leaves_what_the_call_took() -> None:
    table = Table()
    table.apply([Reserve("run", "a", {"output_bytes": 100}, {}, 60, 3600)], EMPTY, at=1.0)
    table.apply([Settle("run", "a", {"output_bytes": 7}, 3600)], EMPTY, at=2.0)
    now = standing(table.read(["run"], at=2.0).get("run"), at=2.0)
    assert (now.used, now.held) == ({"output_bytes": 7}, {})


def test_a_cell_is_there_past_its_time_for_who_asks_for_it_as_it_was_written() -> None:
    table = Table()
    assert table.cell("k") is None
    changed = table.apply([add(ttl_s=10)], EMPTY, at=1.0)
    assert changed is not None
    assert table.read(["k"], at=100.0).values == {}
    assert table.cell("k") == changed["k"]


def test_what_nobody_will_come_back_to_ends_early_and_never_late() -> None:
    table = Table()
    table.apply([add(ttl_s=1000)], EMPTY, at=1.0)
    table.apply([Expire("k", 60), Expire("absent", 60)], EMPTY, at=2.0)
    assert table.read(["k", "absent"], at=61.9).values == {"k": 1}
    assert table.read(["k"], at=62.1).values == {}
    table.apply([add(ttl_s=10)], EMPTY, at=100.0)
    table.apply([Expire("k", 60)], EMPTY, at=101.0)
    assert table.read(["k"], at=111.0).values == {}


def test_what_ends_at_once_need_not_have_been_there() -> None:
    table = Table()
    assert table.apply([Put("v", [], 0.0)], EMPTY, at=1.0) is not None
    assert table.read(["v"], at=1.0).versions["v"] == 0
