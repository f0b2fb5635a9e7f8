"""How breakers stand, for whoever looks on."""

from __future__ import annotations

import pytest

from fuseboard.breakers.machine import CLOSED, HALF_OPEN, OPEN, Breaker, run_key, shared_key, written
from fuseboard.breakers.standing import ACTS, Target, acted, shown, target


@pytest.mark.parametrize(
    ("name", "run", "found"),
    [
        ("up__get", None, Target("breakers/upstream/up", "up__get")),
        ("up", None, Target("breakers/upstream/up", "")),
        ("up__get__all", "r-1", Target("breakers/run/r-1", "up__get__all")),
    ],
)
def test_a_name_is_that_of_one_breaker(name: str, run: str | None, found: Target) -> None:
    assert target(name, run) == found


def test_a_run_has_none_for_a_server() -> None:
    with pytest.raises(ValueError, match="up is a server"):
        target("up", "r-1")


def test_shown_are_those_that_are_not_simply_closed_the_shared_ones_first() -> None:
    run = {"up__a": Breaker(OPEN, until=10.0), "up__b": Breaker(CLOSED, since=1.0)}
    shared = {
        "": Breaker(OPEN, until=90.0),
        "up__c": Breaker(HALF_OPEN, lease=("d-1", 60.0)),
        "up__d": Breaker(CLOSED, by="ida", until=60.0),
        "up__e": Breaker(OPEN, by="ida", until=40.0),
    }
    writes = [written(run_key("r/1"), None, run), written(shared_key("up"), None, shared)]
    found = list(shown({write.key: write.value for write in writes}, at=50.0))
    assert [(one.scope, one.name, one.run, one.breaker.phase(50.0)) for one in found] == [
        ("upstream", "up", None, OPEN),
        ("tool", "up__c", None, HALF_OPEN),
        ("tool", "up__d", None, CLOSED),
        ("run", "up__a", "r/1", HALF_OPEN),
    ]
    assert found[1].to_json(50.0)["probe"] == "d-1"
    assert (found[3].to_json(50.0)["until"], found[0].to_json(50.0)["until"]) == (None, 90.0)


def test_what_an_operator_did_is_kept_with_author_and_end() -> None:
    write = acted(target("up"), Breaker(OPEN, since=5.0, until=65.0, by="ida", why="leaks"))
    assert write.key == ACTS
    assert (write.item["do"], write.item["by"], write.item["until"]) == ("open", "ida", 65.0)
