"""Who has to wait for whom, by what is held and who stands in line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from fuseboard import effects, locks, waits
from fuseboard.events import Ancestor, CallProposed, CallReturned, Effect, ToolListed
from fuseboard.lock_names import Rule
from fuseboard.policies.locks import LocksPolicy
from fuseboard.state import Lock, Push, Snapshot, Unlock
from fuseboard.verdicts import Allow, Deny, Waits
from support.judging import ANA, READ, WRITE, call

ALONE = Rule("file:{args.path}", exclusive=True, by_run=False, hold_s=60.0, wait_s=5.0)
SHARED = ALONE._replace(exclusive=False)
KEPT = ALONE._replace(by_run=True)
KEY = locks.lock_key("file:/a")
AT = 100.0


def lease(
    call: str, run: str, *, alone: bool = True, owner: str | None = None, until: float = AT + 50
) -> dict[str, Any]:
    held = {"call": call, "run": run, "tool": "files__other", "alone": alone, "fence": 3, "since": AT - 2}
    return {owner or call: {**held, "until": until}}


def lock(*leases: dict[str, Any]) -> dict[str, Any]:
    return {"fence": 3, "alone": 3, "held": {owner: held for each in leases for owner, held in each.items()}}


def waiting(call: str, run: str = "r9", *, alone: bool = True, until: float = AT + 5) -> dict[str, Any]:
    return msgspec.to_builtins(waits.Waiting(call, run, "files__other", AT - 1, until, {KEY: alone}))


def asked(**fields: Any) -> CallProposed:
    return msgspec.structs.replace(call(WRITE, {"path": "/x/../a"}), at=AT, **fields)


def judged(rule: Rule, state: Mapping[str, Any], event: CallProposed | None = None, **more: Any) -> Any:
    policy = LocksPolicy({WRITE.qualified: (rule,)}, **more)
    event = event or asked()
    assert state.keys() <= set(policy.keys(event))
    return policy.decide(event, Snapshot(state, {}))


@pytest.mark.parametrize(
    ("rule", "state", "passes"),
    [
        pytest.param(ALONE, {}, True, id="nobody holds it"),
        pytest.param(ALONE, {KEY: lock(lease("d1", "r2"))}, False, id="another holds it alone"),
        pytest.param(ALONE, {KEY: lock(lease("d1", "r2", alone=False))}, False, id="others share it"),
        pytest.param(SHARED, {KEY: lock(lease("d1", "r2", alone=False))}, True, id="shared with others who share it"),
        pytest.param(SHARED, {KEY: lock(lease("d1", "r2"))}, False, id="shared, and another holds it alone"),
        pytest.param(ALONE, {KEY: lock(lease("d1", "r2", until=AT))}, True, id="a lease that is over"),
        pytest.param(ALONE, {KEY: lock(lease("d1", "r1"))}, False, id="another call of the same run"),
        pytest.param(ALONE, {KEY: lock(lease("d1", "r1", owner="run:r1"))}, True, id="the call's own run keeps it"),
        pytest.param(ALONE, {KEY: lock(lease("d1", "r2", owner="run:r2"))}, False, id="another run keeps it"),
        pytest.param(ALONE, {locks.WAITS: [waiting("d1")]}, False, id="another waits longer"),
        pytest.param(ALONE, {locks.WAITS: [waiting("d1", until=AT)]}, True, id="one that waited is gone"),
        pytest.param(ALONE, {locks.WAITS: [waiting("c1"), waiting("d2")]}, True, id="another waits less long"),
        pytest.param(
            SHARED, {locks.WAITS: [waiting("d1", alone=False)]}, True, id="one who would share it waits longer"
        ),
        pytest.param(
            SHARED, {locks.WAITS: [waiting("d1")]}, False, id="shared, and one who wants it alone waits longer"
        ),
        pytest.param(
            ALONE, {locks.WAITS: [waiting("d1")], "locked/r1": ["lock/x"]}, True, id="who keeps something never queues"
        ),
    ],
)
def test_who_has_to_wait(rule: Rule, state: dict[str, Any], passes: bool) -> None:
    said = judged(rule, state)
    if passes:
        assert (type(said), said.rule) == (Allow, "locks.taken")
        (write,) = [write for write in said.writes if isinstance(write, Lock)]
        assert (write.key, write.exclusive) == (KEY, rule.exclusive)
    else:
        assert (type(said), said.rule) == (Deny, "locks.held")
        assert said.waits == Waits({KEY: rule.exclusive}, 5.0, behind=KEY not in state)
        assert said.writes == ()


def test_who_stands_on_a_call_under_way_never_queues() -> None:
    below = Ancestor("d7", "f", "bob", "bob__ask", "r1")
    said = judged(ALONE, {locks.WAITS: [waiting("d1")]}, asked(ancestors=(below,)))
    assert isinstance(said, Allow)


def test_what_a_run_keeps_is_taken_in_its_name_and_remembered() -> None:
    said = judged(KEPT, {})
    lock, push = said.writes
    assert isinstance(lock, Lock)
    assert (lock.owner, lock.run, lock.call) == ("run:r1", "r1", "c1")
    assert isinstance(push, Push)
    assert (push.key, push.item) == ("locked/r1", KEY)


def test_a_call_whose_run_keeps_it_goes_on_in_the_run_s_name() -> None:
    said = judged(ALONE, {KEY: lock(lease("d1", "r1", owner="run:r1"))})
    (write,) = said.writes
    assert (write.owner, write.fence) == ("run:r1", 3)


def test_all_locks_of_a_call_are_one_admission() -> None:
    event = asked(arguments={"path": ["/b", "/a"]})
    said = judged(ALONE, {}, event)
    assert [write.key for write in said.writes] == ["lock/file:/a", "lock/file:/b"]
    busy = judged(ALONE, {locks.lock_key("file:/b"): lock(lease("d1", "r2"))}, event)
    assert (busy.writes, dict(busy.waits.locks)) == ((), {"lock/file:/a": True, "lock/file:/b": True})


def test_the_refusal_names_who_holds_it_and_since_when() -> None:
    said = judged(ALONE, {KEY: lock(lease("d1", "r2"))})
    assert "file:/a is in use (run r2 holds it with files__other, for 2.0 s now)" in said.reason
    assert said.facts["holder"] == {"run": "r2", "call": "d1", "tool": "files__other", "since": AT - 2}
    assert said.retry_after_s == 30.0


def test_without_the_field_nothing_is_called() -> None:
    policy = LocksPolicy({WRITE.qualified: (ALONE,)})
    event = call(WRITE, {"file": "/a"})
    assert policy.keys(event) == ()
    said = policy.decide(event, Snapshot())
    assert isinstance(said, Deny)
    assert (said.rule, said.waits) == ("locks.unnamed", None)


def test_a_tool_without_locks_is_nothing_to_it() -> None:
    policy = LocksPolicy({WRITE.qualified: (ALONE,)}, {"bob"})
    for event in (call(READ), ToolListed(0.0, ANA, WRITE), call(WRITE, {"path": "/a"}, method="prompts/get")):
        assert policy.keys(event) == ()
        assert policy.decide(event, Snapshot()) == Allow()


def test_the_same_call_under_way_is_waited_for_with_its_own_lock() -> None:
    event = asked(fingerprint="f")
    sent = effects.sent_by(msgspec.structs.replace(event, id="d1"), "p1")
    state = {KEY: lock(lease("d1", "r1")), effects.effect_key(event): [list(sent)]}
    assert judged(ALONE, state, event, process="p1").rule == "locks.attached"
    other = judged(ALONE, state, msgspec.structs.replace(event, run="r2"), process="p1")
    assert isinstance(other, Deny)


RETURNS = [
    pytest.param("ok", False, True, id="an answer"),
    pytest.param("cancelled", False, True, id="given up by the client"),
    pytest.param("task", False, False, id="a task has begun"),
    pytest.param("ok", True, True, id="what came of the task"),
    pytest.param("timeout", False, False, id="nobody knows whether it still works"),
    pytest.param("timeout", True, True, id="what came after all"),
]


@pytest.mark.parametrize(("truth", "late", "released"), RETURNS)
def test_what_is_given_back_when(truth: str, late: bool, released: bool) -> None:
    policy = LocksPolicy({WRITE.qualified: (ALONE,)})
    event = CallReturned(AT + 1, asked(), truth, late=late)
    assert policy.keys(event) == (KEY,)
    said = policy.decide(event, Snapshot({KEY: lock(lease("c1", "r1"))}, {}))
    assert isinstance(said, Allow)
    assert said.rule is None
    assert said.writes == ((Unlock(KEY, "c1", locks.KEPT_S),) if released else ())


def test_what_goes_on_for_others_is_not_given_back_by_who_gives_up() -> None:
    policy = LocksPolicy({WRITE.qualified: (ALONE,)})
    held = Snapshot({KEY: lock(lease("c1", "r1"))}, {})
    assert policy.decide(CallReturned(AT + 1, asked(), "cancelled", goes_on=True), held) == Allow()


def test_who_waited_for_another_s_result_gives_nothing_back_and_misses_nothing() -> None:
    policy = LocksPolicy({WRITE.qualified: (ALONE,)})
    for state in ({KEY: lock(lease("d1", "r1"))}, {}):
        assert policy.decide(CallReturned(AT + 1, asked(), "ok", shared="d1"), Snapshot(state, {})) == Allow()


def test_the_same_to_nobody_but_a_look_out_for_loops_needs_a_lock_of_its_own() -> None:
    event = asked(fingerprint="f")
    other = msgspec.structs.replace(event, id="d1", arguments={**event.arguments, "request_id": 1})
    state = {KEY: lock(lease("d1", "r1")), effects.effect_key(event): [list(effects.sent_by(other, "p1"))]}
    assert isinstance(judged(ALONE, state, event, process="p1"), Deny)


def test_a_read_that_timed_out_holds_nothing_any_more() -> None:
    reads = msgspec.structs.replace(WRITE, effect=Effect.READ)
    policy = LocksPolicy({WRITE.qualified: (ALONE,)})
    event = CallReturned(AT + 1, asked(tool=reads), "timeout")
    assert policy.decide(event, Snapshot({KEY: lock(lease("c1", "r1"))}, {})).writes


def test_a_lease_that_ran_out_while_the_call_ran_is_told() -> None:
    policy = LocksPolicy({WRITE.qualified: (ALONE,)})
    said = policy.decide(CallReturned(AT + 99, asked(), "ok"), Snapshot({KEY: lock(lease("c1", "r1"))}, {}))
    assert isinstance(said, Allow)
    assert said.rule == "locks.lost"
    assert said.nudge is not None
    assert "file:/a" in said.nudge


def stands_on(*upstreams: str) -> CallProposed:
    below = tuple(Ancestor(f"d-{one}", "f", one, f"{one}__ask", f"r-{one}") for one in upstreams)
    return msgspec.structs.replace(call(msgspec.structs.replace(READ, upstream="bob")), ancestors=below)


@pytest.mark.parametrize(
    ("below", "refused"),
    [
        ((), False),
        (("eve",), False),
        (("bob",), True),
        (("eve", "bob"), True),
        (("eve", "dan", "cid", "bob", "ana"), True),
    ],
)
def test_an_agent_that_waits_for_the_answer_is_not_asked_for_it(below: tuple[str, ...], refused: bool) -> None:
    said = LocksPolicy({}, {"bob", "eve"}).decide(stands_on(*below), Snapshot())
    assert isinstance(said, Deny) == refused
    if isinstance(said, Deny):
        ring = ["bob__ask", *(f"{one}__ask" for one in reversed(below[: below.index("bob")])), "bob__read_file"]
        assert (said.rule, said.facts["cycle"]) == ("locks.call_cycle", ring)
        assert " -> ".join(ring) in said.reason


def test_a_server_that_is_no_agent_may_stand_on_itself() -> None:
    assert LocksPolicy({}, {"eve"}).decide(stands_on("bob"), Snapshot()) == Allow()
