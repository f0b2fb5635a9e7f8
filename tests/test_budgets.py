"""Units, ceilings and keys of what a run may use."""

from __future__ import annotations

from fuseboard.budgets import UNITS, WORDS, allowance, ceilings, number, principal_key, run_key, slots
from fuseboard.config.guards import PrincipalLimits, RunLimits


def test_a_lifted_limit_is_counted_and_not_enforced() -> None:
    assert ceilings(RunLimits.model_validate({"calls": None, "time": "5m", "money": 2})) == {
        "time_s": 300.0,
        "output_bytes": 10_000_000.0,
        "tokens": 250_000.0,
        "money": 2.0,
    }


def test_the_defaults_of_a_principal_are_five_runs_but_for_what_is_stated() -> None:
    together = allowance(RunLimits(), PrincipalLimits())
    assert together.ceilings == {"calls": 1000.0, "output_bytes": 50_000_000.0, "tokens": 1_250_000.0}
    assert together.window_s == 900.0


def test_no_limit_of_calls_for_a_principal_is_none() -> None:
    assert "calls" not in allowance(RunLimits(), PrincipalLimits(calls=None)).ceilings


def test_every_unit_has_its_words() -> None:
    assert set(UNITS) == set(WORDS)


def test_keys_never_meet() -> None:
    assert len({run_key("x"), principal_key("x"), slots(1), slots(2)}) == 4


def test_amounts_read_well() -> None:
    assert [number(one) for one in (3, 3.0, 0.5, 12_345.678, 1_000_000)] == ["3", "3", "0.50", "12,346", "1,000,000"]
