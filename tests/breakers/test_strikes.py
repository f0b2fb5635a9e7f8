"""What counts, and how much. The tables of whole runs stand in ``policies/test_breaker.py``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.breakers.strikes import (
    Hit,
    Strike,
    any_of_run,
    good_for_all,
    good_for_run,
    good_of_upstream,
    of_run,
    row,
    share,
    weight,
)
from fuseboard.windows import Past


def past(n: int, truth: str = "timeout", *, tool: str = "t", whose: str = "upstream", **more: object) -> Past:
    bad = truth not in ("ok", "empty", "throttled", "cancelled")
    step = Past(f"d-{n:03}", float(n), tool, f"f{n}", truth, truth, truth, float(bad), whose, "read", 0, False, ())
    return step._replace(**more)  # type: ignore[arg-type]


def hit(at: float, *, bad: bool = True, run: str = "a") -> Hit:
    return Hit(at, run, Strike("d", at, "error", 1.0) if bad else None)


@pytest.mark.parametrize(
    ("truth", "weight", "whose", "run", "tool", "upstream"),
    [
        ("ok", 0.0, "", True, True, True),
        ("ok", 0.5, "upstream", False, True, True),
        ("junk", 1.0, "upstream", False, False, False),
        ("timeout", 1.0, "upstream", False, False, False),
        ("business_error", 1.0, "caller", False, True, True),
        ("business_error", 1.0, "upstream", False, False, False),
        ("bad_arguments", 1.0, "caller", False, None, True),
        ("error", 1.0, "", False, None, None),
        ("throttled", 0.0, "", None, None, None),
        ("cancelled", 0.0, "", None, None, None),
        ("denied", 0.0, "", None, None, None),
    ],
)
def test_for_whom_a_result_is_good(
    truth: str, weight: float, whose: str, run: bool | None, tool: bool | None, upstream: bool | None
) -> None:
    said = [judge(truth, weight, whose) for judge in (good_for_run, good_for_all, good_of_upstream)]
    assert said == [run, tool, upstream]


def test_strikes_are_those_since_the_last_good_one_of_this_tool() -> None:
    steps = [past(1), past(2, "ok"), past(3), past(4, "ok", tool="u"), past(5, tool="u"), past(6, "throttled"), past(7)]
    assert [strike.decision for strike in of_run(steps, "t")] == ["d-003", "d-007"]


def test_what_was_sent_in_an_older_generation_neither_counts_nor_clears() -> None:
    steps = [past(5), past(1), past(2, "ok"), past(6)]
    assert [strike.decision for strike in of_run(steps, "t", "d-004")] == ["d-005", "d-006"]


@given(st.lists(st.sampled_from(["ok", "timeout", "throttled", "other ok", "other timeout"]), max_size=12))
def test_whether_there_are_any_is_known_without_weighing_them(said: list[str]) -> None:
    steps = [past(n, one.split()[-1], tool="u" if " " in one else "t") for n, one in enumerate(said)]
    assert any_of_run(steps, "t") is bool(of_run(steps, "t"))


def test_thirds_add_up() -> None:
    assert weight(Strike("d", 0.0, "bad_arguments", 1 / 3) for _ in range(6)) == 2


@pytest.mark.parametrize(
    ("effect", "digests", "total"),
    [
        pytest.param("write", ("a", "b", "c"), 1.0, id="edits between, and it fails in another way each time"),
        pytest.param("write", ("a", "a", "a"), 3.0, id="edits between, but nothing changes"),
        pytest.param("read", ("a", "b", "c"), 3.0, id="only reads between"),
    ],
)
def test_asking_again_of_a_changed_world(effect: str, digests: tuple[str, ...], total: float) -> None:
    steps = []
    for n, digest in enumerate(digests):
        steps.append(past(2 * n, "business_error", whose="caller", digest=digest, skeleton=digest))
        steps.append(past(2 * n + 1, "ok", tool="edit", effect=effect))
    assert weight(of_run(steps, "t")) == total


def test_a_change_that_only_counts_on_is_learning_and_no_more() -> None:
    steps = [
        past(0, "business_error", whose="caller", digest="1", skeleton="n"),
        past(1, "ok", tool="edit", effect="write"),
        past(2, "business_error", whose="caller", digest="2", skeleton="n"),
    ]
    assert weight(of_run(steps, "t")) == pytest.approx(4 / 3, abs=1e-5)


def test_an_upstreams_own_failure_is_nobodys_learning() -> None:
    steps = [past(0, "bad_arguments", whose="caller"), past(1), past(2)]
    assert weight(of_run(steps, "t")) == 3


def test_a_row_needs_enough_strikes_of_enough_runs() -> None:
    assert row([hit(5.0), hit(4.0), hit(3.0, bad=False)], 3, 1) == ()
    assert row([hit(3.0), hit(2.0), hit(1.0)], 3, 2) == ()
    found = row([hit(4.0), hit(3.0), hit(2.0), hit(1.0, run="b")], 3, 2)
    assert [one.at for one in found] == [1.0, 2.0, 3.0, 4.0]


@given(st.lists(st.tuples(st.floats(0, 200), st.booleans()), max_size=32))
def test_a_share_is_that_of_the_last_minute(told: list[tuple[float, bool]]) -> None:
    hits = [hit(at, bad=bad) for at, bad in sorted(told, reverse=True)]
    lately = [one for one in hits if hits and one.at > hits[0].at - 60]
    bad = [one for one in lately if one.strike is not None]
    enough = len(lately) >= 10 and 2 * len(bad) >= len(lately)
    assert list(share(hits, 0.5, 10, 60.0)) == (bad[::-1] if enough else [])
