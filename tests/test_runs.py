"""Which run a request belongs to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from fuseboard.ports import Origin
from fuseboard.runs import IDLE_GAP_S, MAX_INFERRED, Runs, Source

ANA = Origin("ana", "http")
BOB = Origin("bob", "http")
PIPE = Origin("local", "stdio")


@pytest.fixture
def runs() -> Runs:
    return Runs(minted())


def minted() -> Callable[[float], str]:
    number = count(1)
    return lambda at: f"r{next(number)}"


def test_a_session_is_a_run(runs: Runs) -> None:
    first, second = runs.of_session(ANA, at=0), runs.of_session(ANA, at=0)
    assert first.source is Source.SESSION
    assert first.id != second.id


def test_behind_a_pipe_there_is_one_run_whatever_is_spoken(runs: Runs) -> None:
    run = runs.of_session(PIPE, at=0)
    assert run.source is Source.PROCESS
    assert runs.of_session(PIPE, at=1e9) is run
    assert runs.of_request(PIPE, "claude/1", at=1e9) is run
    assert runs.of_request(PIPE, None, at=0) is run


@pytest.mark.parametrize(
    ("origin", "client", "after_s", "same"),
    [
        pytest.param(ANA, "c/1", 1, True, id="the same principal and client"),
        pytest.param(Origin("ana", "http", session="s2"), "c/1", 1, True, id="over another connection"),
        pytest.param(BOB, "c/1", 1, False, id="another principal"),
        pytest.param(ANA, "d/1", 1, False, id="another client"),
        pytest.param(ANA, None, 1, False, id="a client without a name"),
        pytest.param(ANA, "c/1", IDLE_GAP_S, True, id="after the longest silence of one run"),
        pytest.param(ANA, "c/1", IDLE_GAP_S + 1, False, id="after a longer one"),
    ],
)
def test_a_request_without_a_session_belongs_to_the_run_of(
    runs: Runs, origin: Origin, client: str | None, after_s: float, same: bool
) -> None:
    first = runs.of_request(ANA, "c/1", at=1000)
    second = runs.of_request(origin, client, at=1000 + after_s)
    assert first.source is second.source is Source.INFERRED
    assert (second is first) is same


def test_a_run_goes_on_as_long_as_nobody_is_silent_for_long(runs: Runs) -> None:
    first = runs.of_request(ANA, "c/1", at=0)
    for hour in range(1, 48):
        assert runs.of_request(ANA, "c/1", at=hour * IDLE_GAP_S * 0.9) is first


def test_clients_that_are_invented_share_one_run_beyond_a_bound(runs: Runs) -> None:
    first = [runs.of_request(ANA, f"{n}/1", at=n / 100) for n in range(MAX_INFERRED)]
    beyond = {runs.of_request(ANA, f"more-{n}/1", at=20).id for n in range(5000)}
    assert len({run.id for run in first}) == MAX_INFERRED
    assert len(beyond) == 1
    assert runs.of_request(ANA, "7/1", at=20) is first[7]
    assert len(runs._inferred["ana"]) == MAX_INFERRED + 1


def test_the_names_that_one_principal_invents_are_no_other_s_concern(runs: Runs) -> None:
    for n in range(2 * MAX_INFERRED):
        runs.of_request(ANA, f"{n}/1", at=0)
    one, two = (runs.of_request(BOB, client, at=0) for client in ("a/1", "b/1"))
    assert one is not two


def test_what_has_long_been_silent_makes_room(runs: Runs) -> None:
    kept = runs.of_request(ANA, "kept/1", at=0)
    for n in range(MAX_INFERRED - 1):
        runs.of_request(ANA, f"{n}/1", at=0)
    assert runs.of_request(ANA, "kept/1", at=IDLE_GAP_S) is kept
    late = {runs.of_request(ANA, f"late-{n}/1", at=IDLE_GAP_S + 1).id for n in range(MAX_INFERRED - 1)}
    assert len(late) == MAX_INFERRED - 1
    assert runs.of_request(ANA, "kept/1", at=IDLE_GAP_S + 1) is kept


def test_the_calls_of_a_run_are_counted_from_one(runs: Runs) -> None:
    run = runs.of_session(ANA, at=0)
    assert [run.next_seq() for _ in range(3)] == [1, 2, 3]


def test_the_words_are_those_of_the_ledger() -> None:
    assert {str(source) for source in Source} == {"process", "session", "inferred"}
