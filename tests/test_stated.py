"""What a run token states of the limits of its run."""

from __future__ import annotations

import pytest

from fuseboard.stated import NOTHING_STATED, Stated

CONFIGURED = {"calls": 200.0, "time_s": 1800.0}


@pytest.mark.parametrize(
    ("ceilings", "hold"),
    [
        pytest.param({}, CONFIGURED, id="nothing is stated"),
        pytest.param({"calls": 5.0}, {"calls": 5.0, "time_s": 1800.0}, id="what is stated does not lift the rest"),
        pytest.param({"calls": 900.0}, {"calls": 900.0, "time_s": 1800.0}, id="it may be more"),
        pytest.param({"money": 2.0}, {**CONFIGURED, "money": 2.0}, id="it may be what nobody configured"),
    ],
)
def test_what_is_left_out_is_as_configured(ceilings: dict[str, float], hold: dict[str, float]) -> None:
    assert Stated(ceilings).over(CONFIGURED) == hold
    assert CONFIGURED == {"calls": 200.0, "time_s": 1800.0}


def test_a_reader_is_told_what_is_stated_and_no_more() -> None:
    assert NOTHING_STATED.to_json() == {}
    assert Stated({"calls": 5.0}, depth=2).to_json() == {"calls": 5.0, "depth": 2}
    whole = Stated({"calls": 5.0}, 2, 3, (2.0, 4), "30/min burst 4", 0.5)
    assert whole.to_json() == {"calls": 5.0, "depth": 2, "parallel": 3, "rate": "30/min burst 4", "pause_at": 0.5}
