"""A result goes to a person by the operator's own words alone."""

import pytest

from fuseboard.events import CallReturned
from fuseboard.policies.quarantine import RULE, QuarantinePolicy
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny
from support.judging import READ, call


@pytest.mark.parametrize(("suspect", "passes"), [("", True), ("(?i)ignore previous", False)])
def test_a_result_that_fits_a_pattern_is_withheld(suspect: str, passes: bool) -> None:
    verdict = QuarantinePolicy().decide(CallReturned(1.0, call(READ), "ok", suspect=suspect), EMPTY)
    assert isinstance(verdict, Allow if passes else Deny)


def test_the_pattern_is_for_the_record_and_not_for_who_might_write_around_it() -> None:
    verdict = QuarantinePolicy().decide(CallReturned(1.0, call(READ), "ok", suspect="(?i)ignore previous"), EMPTY)
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.facts) == (RULE, {"pattern": "(?i)ignore previous"})
    assert "ignore" not in verdict.reason
    assert "files__read_file was called" in verdict.reason


def test_a_call_on_its_way_up_is_none_of_its_business() -> None:
    assert QuarantinePolicy().decide(call(READ), EMPTY) == Allow()
    assert QuarantinePolicy().keys(call(READ)) == ()
