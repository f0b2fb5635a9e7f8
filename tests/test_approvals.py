"""What a person is asked and said, as values: bound to one call, decided once, spent once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from fuseboard import approvals
from fuseboard.adapters.stores.table import Table
from fuseboard.approvals import INDEX, OF_ONE_RUN, PENDING, Approval, Binding, TooMany, Unsettled, approval_key
from fuseboard.events import Caller
from fuseboard.pipeline import Check
from fuseboard.reviews import RunState, state_key
from support.judging import DEPLOY, WRITE, call

HOLDS = (("permissions", "r"),)


def asked(binding: Binding | None = None, *, serial: int = 1, at: float = 0.0, expires_s: float = 60.0) -> Approval:
    bound = binding or approvals.of_call(call(DEPLOY, {"to": "prod"}), HOLDS, "c")
    return Approval(
        bound.id, bound, PENDING, serial, "ci__deploy", "destructive", "why", "{}", ("cli", "web"), at, at + expires_s
    )


def test_each_part_of_a_call_is_bound() -> None:
    event = call(DEPLOY, {"to": "prod"})
    others = [
        replace(event, run="r2"),
        replace(event, method="prompts/get"),
        replace(event, caller=Caller("bob")),
        replace(event, tool=WRITE),
        replace(event, tool=replace(DEPLOY, digest="other")),
        replace(event, arguments={"to": "prod", "force": None}),
        replace(event, arguments={"to": "Prod"}),
    ]
    ids = {approvals.of_call(one, HOLDS, "c").id for one in (event, *others)}
    ids.add(approvals.of_call(event, HOLDS, "other").id)
    ids.add(approvals.of_call(event, (("permissions", "s"),), "c").id)
    ids.add(approvals.of_call(event, (*HOLDS, ("ambiguity", "score")), "c").id)
    assert len(ids) == 11
    assert all(id.startswith("a-") and len(id) == 18 for id in ids)


def test_what_means_the_same_is_the_same() -> None:
    one = approvals.of_call(call(DEPLOY, {"a": 1, "b": {"c": 2, "d": 3}}), (("p", "r"), ("q", "s")), "c")
    two = approvals.of_call(
        replace(call(DEPLOY, {"b": {"d": 3, "c": 2}, "a": 1}), at=9.0, id="c2"), (("q", "s"), ("p", "r")), "c"
    )
    assert one == two


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.dictionaries(st.text(), st.integers() | st.text()))
def test_other_arguments_another_id(one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = (approvals.of_call(call(DEPLOY, given), HOLDS, "c") for given in (one, two))
    assert (first.id == second.id) is (one == two)


def test_who_holds() -> None:
    checks = [Check("a", "allow", None, {}), Check("b", "hold", "r", {}), Check("c", "hold", "s", {})]
    assert approvals.holds_of(checks) == (("b", "r"), ("c", "s"))


class Cells:
    """A table with a clock."""

    def __init__(self) -> None:
        self.table = Table()
        self.at = 0.0

    def read(self, *keys: str) -> Any:
        return self.table.read(keys, at=self.at)

    def write(self, puts: Any, read: Any) -> bool:
        return self.table.apply(puts, read, at=self.at) is not None

    def ask(self, approval: Approval) -> None:
        read = self.read(approval_key(approval.id), INDEX)
        assert self.write(approvals.opened(approval, read, at=self.at), read)

    def decide(self, approval: Approval, *, approve: bool = True, through: str = "cli", **more: Any) -> bool:
        read = self.read(*approvals.keys_to_decide(approval.binding, approval.id))
        puts = approvals.decided(approval.id, read, approve=approve, by="ana", through=through, at=self.at, **more)
        return self.write(puts, read)

    def now(self, approval: Approval) -> Approval:
        found = Approval.of(self.read(approval_key(approval.id)).get(approval_key(approval.id)))
        assert found is not None
        return found


def test_pending_then_approved_then_spent() -> None:
    cells, approval = Cells(), asked()
    cells.ask(approval)
    assert cells.decide(approval, say="go")
    now = cells.now(approval)
    assert (now.status, now.by, now.through, now.say) == ("approved", "ana", "cli", "go")
    assert approvals.Index.of(cells.read(INDEX), at=0).entries == ()
    read = cells.read(approval_key(approval.id))
    assert cells.write(now.spent("d-1", at=cells.at), read)
    assert not cells.write(now.spent("d-2", at=cells.at), read)
    assert cells.now(approval).call == "d-1"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"through": "elicit"}, "no answer by this channel"),
        ({"serial": 2}, "asked again since"),
    ],
)
def test_what_cannot_be_decided(more: dict[str, Any], message: str) -> None:
    cells, approval = Cells(), asked()
    cells.ask(approval)
    with pytest.raises(Unsettled, match=message):
        cells.decide(approval, **more)


def test_what_cannot_be_decided_any_more() -> None:
    cells, approval = Cells(), asked()
    with pytest.raises(Unsettled, match="not known"):
        cells.decide(approval)
    cells.ask(approval)
    cells.at = 60.0
    with pytest.raises(Unsettled, match="has expired"):
        cells.decide(approval)
    cells.at = 1.0
    cells.decide(approval, approve=False)
    with pytest.raises(Unsettled, match="was rejected already by ana"):
        cells.decide(approval)


def test_of_two_who_read_the_same_one_writes() -> None:
    cells, approval = Cells(), asked()
    cells.ask(approval)
    read = cells.read(approval_key(approval.id), INDEX)
    both = [
        approvals.decided(approval.id, read, approve=yes, by=by, through="cli", at=0.0)
        for yes, by in ((True, "ana"), (False, "bob"))
    ]
    assert [cells.write(puts, read) for puts in both] == [True, False]
    assert cells.now(approval).by == "ana"


def test_a_run_has_so_many_questions_and_no_more() -> None:
    cells = Cells()
    for number in range(OF_ONE_RUN):
        cells.ask(asked(approvals.of_call(call(DEPLOY, {"n": number}), HOLDS, "c")))
    more = asked(approvals.of_call(call(DEPLOY, {"n": -1}), HOLDS, "c"))
    with pytest.raises(TooMany):
        cells.ask(more)
    cells.ask(asked(approvals.of_call(replace(call(DEPLOY), run="r2"), HOLDS, "c")))
    cells.at = 60.0
    cells.ask(replace(more, expires_at=99.0))


def test_to_approve_a_pause_is_to_resume() -> None:
    cells = Cells()
    pause = RunState().paused(at=5.0, by="fuseboard", why="half")
    cells.write([pause.written("r1")], cells.read(state_key("r1")))
    approval = asked(approvals.of_pause("r1", pause))
    cells.ask(approval)
    assert cells.decide(approval)
    now = RunState.of(cells.read(state_key("r1")).get(state_key("r1")))
    assert (now.state, now.by, now.reviews) == ("running", "ana", 1)


def test_a_pause_that_is_over_cannot_be_approved() -> None:
    cells = Cells()
    pause = RunState().paused(at=5.0, by="fuseboard", why="half")
    approval = asked(approvals.of_pause("r1", pause))
    cells.ask(approval)
    cells.write([replace(pause, at=6.0).written("r1")], cells.read(state_key("r1")))
    with pytest.raises(Unsettled, match="no longer waits at that pause"):
        cells.decide(approval)
    assert approvals.of_pause("r1", pause).id != approvals.of_pause("r1", replace(pause, at=6.0)).id


class Interleavings(RuleBasedStateMachine):
    """Several askers, approvers and callers of two calls, each on a snapshot that may be stale by the time it writes.

    However they interleave: a call is executed only with an approval of its own, and no approval is used twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cells = Cells()
        self.bindings = [approvals.of_call(call(DEPLOY, {"n": n}), HOLDS, "c") for n in range(2)]
        self.serials = [0, 0]
        self.approved: set[tuple[int, int]] = set()
        self.executed: list[tuple[int, int]] = []
        self.held: list[Any] = []
        self.calls = 0

    @rule(which=st.integers(0, 1))
    def ask(self, which: int) -> None:
        binding = self.bindings[which]
        read = self.cells.read(approval_key(binding.id), INDEX)
        before = Approval.of(read.get(approval_key(binding.id)))
        if before is not None and before.status != "spent" and self.cells.at < before.expires_at:
            return
        self.serials[which] = before.serial + 1 if before else 1
        fresh = asked(binding, serial=self.serials[which], at=self.cells.at)
        self.cells.write(approvals.opened(fresh, read, at=self.cells.at), read)

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """Somebody reads, and will write later."""
        self.held.append((which, self.cells.read(approval_key(self.bindings[which].id), INDEX)))

    @precondition(lambda self: self.held)
    @rule(approve=st.booleans(), pick=st.integers(0, 99))
    def decide(self, approve: bool, pick: int) -> None:
        which, read = self.held.pop(pick % len(self.held))
        id = self.bindings[which].id
        try:
            puts = approvals.decided(id, read, approve=approve, by="ana", through="cli", at=self.cells.at)
        except Unsettled:
            return
        if self.cells.write(puts, read) and approve:
            seen = Approval.of(read.get(approval_key(id)))
            assert seen is not None
            self.approved.add((which, seen.serial))

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 99))
    def execute(self, pick: int) -> None:
        which, read = self.held.pop(pick % len(self.held))
        seen = Approval.of(read.get(approval_key(self.bindings[which].id)))
        if seen is None or seen.status != "approved" or self.cells.at >= seen.expires_at:
            return
        self.calls += 1
        if self.cells.write(seen.spent(f"d-{self.calls}", at=self.cells.at), read):
            self.executed.append((which, seen.serial))

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.cells.at += seconds

    @invariant()
    def nothing_was_executed_that_was_not_approved(self) -> None:
        assert set(self.executed) <= self.approved
        assert len(self.executed) == len(set(self.executed))


TestInterleavings = Interleavings.TestCase
