"""The benchmark judges as its bars say."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

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
