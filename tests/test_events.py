"""Events are frozen, and the union of them is closed."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from msgspec.structs import replace

from fuseboard import events
from fuseboard.events import Caller, CallProposed, CallReturned, Effect, Event, Mismatch, Tool, ToolListed, Trust

ANA = Caller("ana")
READ = Tool("files", "read_file", "files__read_file")
CALL = CallProposed(1.0, "d1", "r1", "tools/call", ANA, READ)


def test_the_union_of_events_is_closed() -> None:
    assert {kind.__name__ for kind in get_args(Event)} == {"ToolListed", "CallProposed", "CallReturned"}
    named = {kind for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "at")}
    assert named <= set(get_args(Event))


@pytest.mark.parametrize(
    "record",
    [ANA, READ, Mismatch("", "1", "a string", "type"), ToolListed(1.0, ANA, READ), CALL, CallReturned(2.0, CALL, "ok")],
    ids=lambda record: type(record).__name__,
)
def test_every_record_is_frozen(record: Any) -> None:
    for field in type(record).__match_args__:
        with pytest.raises(AttributeError):
            setattr(record, field, None)


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_carries_its_own_time(kind: type) -> None:
    assert kind.__match_args__[0] == "at"


def test_a_tool_of_which_nothing_is_known_is_taken_for_the_worst() -> None:
    assert READ.effect is Effect.DESTRUCTIVE
    assert READ.trust is Trust.UNTRUSTED
    assert not READ.idempotent
    assert not READ.hidden


def test_rules_match_a_tool_by_its_qualified_name_however_it_is_exposed() -> None:
    assert Tool("files", "read_file", "read_file").qualified == "files__read_file"


def test_the_words_of_effect_and_trust_are_those_of_the_configuration() -> None:
    assert [str(effect) for effect in Effect] == ["read", "write", "destructive"]
    assert [str(trust) for trust in Trust] == ["untrusted", "internal", "trusted"]


def test_a_tool_that_is_renamed_goes_by_its_new_name() -> None:
    tool = Tool("files", "read", "files__read")
    assert tool.qualified == "files__read"
    assert replace(tool, name="write").qualified == "files__write"
    assert tool == Tool("files", "read", "files__read")
