"""The benchmark judges as its bars say."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import pytest

from fuseboard import windows
from support.sources import ROOT


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tests/bench"))
    import bars

    module: ModuleType = bars
    return module


def rows(metric: str, ours: list[float], base: list[float]) -> list[dict[str, Any]]:
    """One row for each target and round."""
    columns = {"ours": ours, "base": base}
    return [
        {"board": "b", "target": target, "round": round_, "callers": 1, metric: number}
        for target, numbers in columns.items()
        for round_, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        pytest.param([30, 40, 90], "PASS", id="the median decides"),
        pytest.param([30, 50, 90], "CLOSE", id="the best round holds"),
        pytest.param([41, 50, 90], "MISS", id="no round holds"),
        pytest.param([], "NOT RUN", id="nothing was measured"),
    ],
)
def test_a_ratio_is_judged_within_rounds(bars: ModuleType, ours: list[float], verdict: str) -> None:
    bar = bars.Bar("text", "b", "cpu_us", "ours", "base", 0.4, 1)
    (found,) = bars.judge([bar], rows("cpu_us", ours, [100, 100, 100]))
    assert found.verdict == verdict


@pytest.mark.parametrize(("counts", "verdict"), [([1.0, 1.0], "PASS"), ([1.0, 1.01], "MISS"), ([1.0, 0.9], "MISS")])
def test_messages_are_counted_exactly(bars: ModuleType, counts: list[float], verdict: str) -> None:
    bar = bars.Bar("text", "b", "messages_per_call", "ours", None, 1.0)
    (found,) = bars.judge([bar], rows("messages_per_call", counts, []))
    assert found.verdict == verdict


def test_a_round_with_wrong_answers_does_not_count(bars: ModuleType) -> None:
    bar = bars.Bar("text", "b", "cpu_us", "ours", "base", 0.4, 1)
    measured = rows("cpu_us", [10, 90], [100, 100])
    measured[0]["errors"] = 3
    (found,) = bars.judge([bar], measured)
    assert found.values == (0.9,)


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tests/bench"))
    import growth

    module: ModuleType = growth
    return module


def grown(bars: ModuleType, growth: ModuleType, metric: str) -> str:
    """The verdict on calls after 5,000 others of their run, over calls after 1,000."""

    async def measured() -> list[dict[str, Any]]:
        return [row async for row in growth.histories((10, 1_000, 5_000), rounds=5, burst=100)]

    bar = bars.Bar("text", bars.HISTORY, metric, bars.after(5_000), bars.after(1_000), 1.15, 1)
    (found,) = bars.judge([bar], asyncio.run(measured()))
    return str(found.verdict)


def test_judging_costs_the_same_however_long_the_run(bars: ModuleType, growth: ModuleType) -> None:
    assert grown(bars, growth, "judged_us") in ("PASS", "CLOSE")


def test_a_window_without_an_end_would_be_seen(
    bars: ModuleType, growth: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "KEPT", 1 << 30)
    assert grown(bars, growth, "judged_us") == "MISS"
