"""A call whose handles stand for nothing goes nowhere; one whose handles do is told apart by them."""

import msgspec
import pytest

from fuseboard.events import CallProposed, Substituted, ToolListed
from fuseboard.policies.opaque import RULE, OpaquePolicy
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny
from support.judging import ANA, WRITE, call

GOOD = Substituted("/text", "fuseboard:h-1", decision="d-1", upstream="web", tool="web__fetch")
BAD = Substituted("/to/0", "fuseboard:h-2", "is not known here, or its time is over")


def asked(*handles: Substituted) -> CallProposed:
    return msgspec.structs.replace(call(WRITE, {}), handles=handles)


@pytest.mark.parametrize(
    ("handles", "passes"),
    [((), True), ((GOOD,), True), ((GOOD, GOOD), True), ((BAD,), False), ((GOOD, BAD), False), ((BAD, GOOD), False)],
)
def test_one_handle_of_nothing_is_enough(handles: tuple[Substituted, ...], passes: bool) -> None:
    verdict = OpaquePolicy().decide(asked(*handles), EMPTY)
    assert isinstance(verdict, Allow if passes else Deny)


def test_without_handles_there_is_nothing_to_say() -> None:
    assert OpaquePolicy().decide(asked(), EMPTY) == Allow()
    assert OpaquePolicy().decide(ToolListed(0.0, ANA, WRITE), EMPTY) == Allow()
    assert OpaquePolicy().keys(asked(GOOD)) == ()


def test_the_record_names_each_handle_and_the_call_that_it_came_from() -> None:
    verdict = OpaquePolicy().decide(asked(GOOD), EMPTY)
    assert verdict.facts == {"handles": [{"path": "/text", "handle": "fuseboard:h-1", "from": "d-1", "fault": None}]}


def test_a_refusal_names_the_place_and_what_to_do() -> None:
    verdict = OpaquePolicy().decide(asked(GOOD, BAD), EMPTY)
    assert isinstance(verdict, Deny)
    assert verdict.rule == RULE
    first, place, then = verdict.reason.splitlines()
    assert "files__write_file was not called" in first
    assert place == "- /to/0: fuseboard:h-2 is not known here, or its time is over"
    assert "once more" in then
