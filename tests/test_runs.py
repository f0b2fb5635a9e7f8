"""Which run a request belongs to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from fuseboard.ports import Origin, SignedRun
from fuseboard.runs import IDLE_GAP_S, MAX_INFERRED, MAX_NAMED, Confidence, Runs, Said, Source
from fuseboard.stated import Stated
from fuseboard.trace_context import TraceParent

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
    assert {str(source) for source in Source} == {"token", "meta", "trace", "process", "session", "inferred"}
    assert {str(confidence) for confidence in Confidence} == {"signed", "claimed", "connection", "inferred"}


# What a request names itself.

TRACE = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01")
LIMITS = Stated({"calls": 5.0}, depth=2)
SIGNED = SignedRun("r-signed", 0.0, 100.0, None, LIMITS)
ALL = Said(SIGNED, "claim", TRACE)


@pytest.mark.parametrize(
    ("said", "source", "confidence"),
    [
        pytest.param(ALL, "token", "signed", id="a token before all"),
        pytest.param(Said(None, "claim", TRACE), "meta", "claimed", id="a claim before a trace"),
        pytest.param(Said(None, None, TRACE), "trace", "claimed", id="a trace"),
    ],
)
def test_the_first_of_the_chain_counts(runs: Runs, said: Said, source: str, confidence: str) -> None:
    for origin in (ANA, PIPE, Origin("ana", "http", session="s")):
        run = runs.named(origin, said, at=1.0)
        assert run is not None
        assert (run.source, run.confidence) == (source, confidence)
        assert runs.named(origin, said, at=2.0) is run


def test_who_says_nothing_names_no_run(runs: Runs) -> None:
    assert runs.named(ANA, Said(), at=1.0) is None
    assert runs.named(PIPE, Said(), at=1.0) is None


def test_a_step_that_is_left_out_is_not_heard_and_the_order_is_the_operator_s() -> None:
    runs = Runs(minted(), chain=("trace", "token", "inferred"))
    first = runs.named(ANA, ALL, at=1.0)
    assert first is not None
    assert first.source is Source.TRACE
    assert runs.named(ANA, Said(None, "claim", None), at=1.0) is None
    session = runs.of_session(Origin("ana", "http", session="s"), at=1.0)
    assert session.source is Source.INFERRED
    assert runs.of_session(Origin("ana", "http", session="t"), at=2.0) is session


def test_claims_group_over_connections_and_restarts_and_never_over_principals() -> None:
    def ids(key: bytes) -> dict[str, str]:
        runs = Runs(minted(), key=key)
        found = {}
        for name, origin, said in [
            ("ana", ANA, Said(None, "x")),
            ("ana again", Origin("ana", "sse", ("r",), "s"), Said(None, "x")),
            ("ana's other", ANA, Said(None, "y")),
            ("ana's trace", ANA, Said(None, None, TRACE)),
            ("ana's trace as a claim", ANA, Said(None, TRACE.trace)),
            ("bob", BOB, Said(None, "x")),
        ]:
            run = runs.named(origin, said, at=1.0)
            assert run is not None
            assert run.principal == origin.principal
            found[name] = run.id
        return found

    first, again, elsewhere = ids(b"key"), ids(b"key"), ids(b"other key")
    assert first == again
    assert first["ana"] == first["ana again"]
    assert len(set(first.values())) == 5
    assert not set(first.values()) & set(elsewhere.values())


def test_claims_cannot_be_made_to_meet_by_what_stands_in_them() -> None:
    runs = Runs(minted(), key=b"key")
    odd = [("a", 'b","c'), ("a\x00b", "c"), ("a", "b\x00c"), ('a","b', "c")]
    named = [runs.named(Origin(principal, "http"), Said(None, claim), at=1.0) for principal, claim in odd]
    assert len({run.id for run in named if run is not None}) == len(odd)


def test_a_hundred_thousand_claims_take_no_more_room_than_a_thousand() -> None:
    runs = Runs(minted(), key=b"key")
    kept = runs.named(ANA, Said(None, "kept"), at=0.0)
    bob = runs.named(BOB, Said(None, "bob's"), at=0.0)
    assert kept is not None
    seen = set()
    for n in range(100_000):
        run = runs.named(ANA, Said(None, str(n)), at=1.0)
        assert run is not None
        assert (run.principal, run.signed) == ("ana", False)
        seen.add(run.id)
    assert len(seen) == 100_000
    assert len(runs._named["ana"]) == MAX_NAMED
    again = runs.named(ANA, Said(None, "kept"), at=2.0)
    assert again is not None
    assert again is not kept
    assert again.id == kept.id
    assert again.due_at == 0.0  # how many calls it had, the store says
    assert runs.named(BOB, Said(None, "bob's"), at=2.0) is bob


def test_a_signed_run_has_limits_of_its_own_and_one_object_for_all_who_hold_it(runs: Runs) -> None:
    run = runs.named(ANA, Said(SIGNED), at=1.0)
    assert run is not None
    assert (run.id, run.signed, run.limits) == ("r-signed", True, LIMITS)
    assert runs.named(BOB, Said(SIGNED), at=1.0) is run


def test_the_one_client_of_a_pipe_is_in_the_run_that_its_process_was_given() -> None:
    runs = Runs(minted(), own=SIGNED)
    run = runs.of_session(PIPE, at=1.0)
    assert (run.id, run.confidence) == ("r-signed", Confidence.SIGNED)
    assert runs.of_request(PIPE, "c/1", at=1.0) is run
    assert runs.named(PIPE, Said(None, "claim", TRACE), at=1.0) is run
    assert run.confidence is Confidence.SIGNED
    assert runs.of_request(PIPE, "c/1", at=100.0) is run
    assert run.expires_at == 100.0  # what comes from then on is refused where the run is attended to


def test_a_signed_run_is_known_for_longer_than_its_token_holds(runs: Runs) -> None:
    """Else it would have its whole budget again after two weeks of silence."""
    year_s = 365 * 86400.0
    long = runs.named(ANA, Said(SignedRun("r-long", 50.0, 50.0 + year_s)), at=60.0)
    brief = runs.named(ANA, Said(SIGNED), at=60.0)
    assert long is not None
    assert brief is not None
    assert long.kept_s == year_s + 14 * 86400
    assert brief.kept_s == 100 + 14 * 86400


def test_no_client_can_call_itself_what_belongs_to_another_principal(runs: Runs) -> None:
    pairs = [("a", "b/c"), ("a/b", "c"), ("a/b/c", None), ("a", None), ("a", ""), ("a", "null"), ('a","b', None)]
    cells = [runs.of_request(Origin(who, "http"), client, at=0.0).cell for who, client in pairs]
    assert len(set(cells)) == len(pairs)


def test_on_a_pipe_of_the_stateless_era_nothing_says_that_it_is_one_conversation(runs: Runs) -> None:
    assert runs.of_session(PIPE, at=0).confidence is Confidence.CONNECTION
    assert runs.of_request(PIPE, "c/1", at=0).confidence is Confidence.INFERRED


@pytest.mark.parametrize(("after_s", "anew"), [(IDLE_GAP_S, None), (IDLE_GAP_S + 1, True)])
def test_a_run_that_was_seen_to_end_is_not_taken_up_again(runs: Runs, after_s: float, anew: bool | None) -> None:
    first = runs.of_request(ANA, "c/1", at=0)
    assert (first.anew, first.cell, first.due_at) == (False, 'inferred/["ana","c/1"]', 0.0)
    second = runs.of_request(ANA, "c/1", at=after_s)
    assert (second is not first) == bool(anew)
    assert second.anew == bool(anew)


def test_the_gap_is_the_configuration_s() -> None:
    runs = Runs(minted(), idle_gap_s=10.0)
    first = runs.of_request(ANA, "c/1", at=0)
    assert runs.of_request(ANA, "c/1", at=10) is first
    assert runs.of_request(ANA, "c/1", at=20.5) is not first
