"""Circles of waits are found exactly when there are any."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fuseboard import waits
from fuseboard.locks import lock_key
from fuseboard.waits import Waiting

A, B = lock_key("a"), lock_key("b")


def waiting(n: int, run: str, *keys: str, below: tuple[tuple[str, str, str], ...] = (), until: float = 9.0) -> Waiting:
    return Waiting(f"c{n}", run, f"t{n}", 0.0, until, dict.fromkeys(keys, True), below)


def held(call: str, run: str, *, by_run: bool = False) -> dict[str, Any]:
    lease = {"call": call, "run": run, "tool": "t", "alone": True, "fence": 1, "since": 0.0, "until": 100.0}
    return {"fence": 1, "alone": 1, "held": {f"run:{run}" if by_run else call: lease}}


def ring(queue: list[Waiting], locks: dict[str, Any], start: str) -> str | None:
    graph = waits.graph(queue, locks, at=1.0)
    found = waits.cycle(graph, waits.call_node(start))
    return None if found is None else waits.told(found, queue)


def test_two_runs_that_want_what_the_other_keeps() -> None:
    locks = {A: held("x", "r1", by_run=True), B: held("y", "r2", by_run=True)}
    one, two = waiting(1, "r1", B), waiting(2, "r2", A)
    assert ring([one], locks, "c1") is None
    assert ring([one, two], locks, "c2") == "run r2 (t2) -> a -> run r1 (t1) -> b -> run r2 (t2)"


def test_what_a_call_holds_ends_with_it_alone() -> None:
    """The holder waits for nothing, so neither does who waits for it wait for ever."""
    locks = {A: held("x", "r1"), B: held("y", "r2")}
    assert ring([waiting(1, "r1", B), waiting(2, "r2", A)], locks, "c2") is None


def test_a_call_that_stands_on_the_holder() -> None:
    """Run r1 holds a with a call to an agent, whose own call wants it."""
    below = (("x", "r1", "bob__ask"),)
    assert ring([waiting(1, "r2", A, below=below)], {A: held("x", "r1")}, "c1") == (
        "run r2 (t1) -> a -> run r1 (bob__ask) -> its answer -> run r2 (t1)"
    )


def test_a_call_that_stands_on_another_s_run() -> None:
    below = (("x", "r1", "bob__ask"),)
    assert ring([waiting(1, "r2", A, below=below)], {A: held("z", "r1", by_run=True)}, "c1") is not None
    assert ring([waiting(1, "r2", A)], {A: held("z", "r1", by_run=True)}, "c1") is None


def test_a_circle_over_locks_and_calls() -> None:
    """r1 keeps a and asks an agent; the agent wants b, which r3 keeps, which wants a."""
    locks = {A: held("z", "r1", by_run=True), B: held("y", "r3", by_run=True)}
    agent = waiting(1, "r2", B, below=(("x", "r1", "bob__ask"),))
    said = ring([agent, waiting(3, "r3", A)], locks, "c3")
    assert said == "run r3 (t3) -> a -> run r1 (bob__ask) -> its answer -> run r2 (t1) -> b -> run r3 (t3)"


def test_a_run_that_waits_for_a_person_ends_the_path() -> None:
    graph = waits.graph([waiting(1, "r1", A)], {A: held("y", "r2", by_run=True)}, at=1.0, asked=["r2"])
    assert waits.cycle(graph, "call:c1") is None
    assert waits.path(graph, "call:c1", waits.PERSON) == [("call:c1", "a"), ("run:r2", "an answer")]


def test_who_waited_is_gone_with_its_time() -> None:
    queue = [waiting(1, "r", A, until=5.0), waiting(2, "r", A, until=7.0)]
    kept = waits.joined([], queue[0])
    kept = waits.joined(waits.waiting(kept, at=0.0), queue[1])
    assert waits.waiting(kept, at=0.0) == tuple(queue)
    assert waits.waiting(kept, at=5.0) == (queue[1],)
    assert waits.left(queue, "c1") == waits.joined([], queue[1])
    assert waits.waiting(None, at=0.0) == ()


def test_who_stands_in_line_keeps_its_place() -> None:
    queue = [waiting(1, "r", A), waiting(2, "r", A)]
    again = waits.waiting(waits.joined(queue, waiting(1, "r", A, B)), at=0.0)
    assert [one.call for one in again] == ["c1", "c2"]
    assert again[0].on == {A: True, B: True}


def test_who_shares_waits_for_nobody_who_shares() -> None:
    queue = [Waiting("c1", "r", "t", 0.0, 9.0, {A: False}), waiting(2, "r", B)]
    assert waits.ahead_of("c9", A, queue, exclusive=False) is None
    assert waits.ahead_of("c9", A, queue, exclusive=True) == queue[0]
    assert waits.ahead_of("c1", A, queue, exclusive=True) is None
    assert waits.ahead_of("c9", B, queue, exclusive=False) == queue[1]


GRAPHS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=4, unique=True), max_size=8
)


@given(GRAPHS, st.sampled_from("abcdefgh"))
def test_a_circle_is_found_exactly_where_a_step_leads_back(edges: dict[str, list[str]], start: str) -> None:
    graph = {node: [(to, f"{node}{to}") for to in needed] for node, needed in edges.items()}
    reached: set[str] = set()
    found = set(edges.get(start, ()))
    while found:
        reached |= found
        found = {to for node in found for to in edges.get(node, ())} - reached
    steps = waits.cycle(graph, start)
    assert (steps is not None) == (start in reached)
    if steps is not None:
        nodes = [node for node, _ in steps]
        assert nodes[0] == start
        assert len(nodes) == len(set(nodes))
        assert [why for _, why in steps] == [a + b for a, b in zip(nodes, [*nodes[1:], start], strict=True)]
