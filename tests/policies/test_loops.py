"""Does this run learn anything by asking again? The policy's replies, and when each is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from fuseboard import approvals, windows
from fuseboard.config.guards import Loops, Milestone
from fuseboard.events import Ancestor, CallProposed, CallReturned, Finding, ToolListed
from fuseboard.loops.found import Found
from fuseboard.loops.ladder import ANSWERS, WAITS, ladder_key
from fuseboard.policies import loops
from fuseboard.policies.loops import LoopPolicy
from fuseboard.reviews import RunState, state_key
from fuseboard.state import EMPTY, Put, Snapshot
from fuseboard.verdicts import Allow, Deny, Hold
from fuseboard.windows import Past, window_key
from support.judging import ANA, READ, call
from support.steps import step

TOOL = READ.qualified
POLICY = LoopPolicy(Loops())


def proposed(ask: str = "a", *, at: float = 100.0, **more: Any) -> CallProposed:
    return replace(call(READ), at=at, fingerprint=ask, **more)


def returned(ask: str = "a", answer: str = "x", **finding: Any) -> CallReturned:
    given: dict[str, Any] = {"truth": "ok", "digest": answer, "skeleton": answer} | finding
    return CallReturned(101.0, proposed(ask), given["truth"], None, 40, finding=Finding(**given))


def state(steps: Sequence[Past], **cells: Any) -> Snapshot:
    return Snapshot({window_key("r1"): tuple(steps), **cells})


def repeats(count: int, **more: Any) -> list[Past]:
    return [step("a", "x", tool=TOOL, decision=f"d{n}", **more) for n in range(count)]


def after(steps: Sequence[Past], event: CallReturned, policy: LoopPolicy = POLICY) -> Allow:
    verdict = policy.decide(event, state(steps))
    assert isinstance(verdict, Allow)
    return verdict


def climb(steps: Sequence[Past], times: int, policy: LoopPolicy = POLICY, *, at: float = 100.0) -> list[Any]:
    """What a call is answered that is made again and again, back to back."""
    cells: dict[str, Any] = {}
    said: list[Any] = []
    for _ in range(times):
        said.append(policy.decide(proposed(at=at), state(steps, **cells)))
        cells |= {write.key: write.value for write in said[-1].writes if isinstance(write, Put)}
    return said


def test_the_third_same_answer_comes_with_a_word() -> None:
    assert after(repeats(1), returned()).nudge is None
    third = after(repeats(2), returned())
    assert third.nudge is not None
    assert "3rd time" in third.nudge
    assert third.rule == "loops.cycle" or third.rule == "loops.repeat"
    assert third.facts["count"] == 3
    assert third.facts["calls"] == ["d0", "d1", "c1"]


def test_another_answer_comes_without_one() -> None:
    assert after(repeats(9), returned(answer="news")).nudge is None


def test_the_fifth_is_not_made_and_gets_the_answer_that_is_there() -> None:
    assert isinstance(POLICY.decide(proposed(), state(repeats(3))), Allow)
    verdict = POLICY.decide(proposed(), state(repeats(4)))
    assert isinstance(verdict, Deny)
    assert verdict.answer == "d3"
    assert verdict.rule == "loops.repeat"
    assert verdict.facts["calls"] == ["d0", "d1", "d2", "d3"]
    assert verdict.facts["stop"] == Loops().repeat_stop
    assert "for the 4th time" in verdict.reason
    assert "(stopped at 5)" in verdict.reason


@pytest.mark.parametrize(
    ("kind", "stop"),
    [("repeat", 5), ("cycle", 5), ("poll", 24), ("barren", 16), ("stale", 16), ("drought", 24), ("novelty", 36)],
)
def test_every_refusal_names_the_number_that_it_is_made_by(kind: str, stop: int) -> None:
    assert POLICY._stop(Found(kind, "f", 4.0, (), "")) == stop


def test_each_refusal_is_firmer_and_a_person_comes_last() -> None:
    said = climb(repeats(4), ANSWERS + WAITS + 1)
    assert [type(one) for one in said] == [Deny] * (ANSWERS + WAITS) + [Hold]
    assert [one.answer is not None for one in said[:-1]] == [True] * ANSWERS + [False] * WAITS
    assert [one.retry_after_s for one in said[:-1]] == [None, None, 10.0, 20.0]
    pause = said[-1]
    assert pause.rule == approvals.PAUSED_RULE == loops.PAUSED_RULE
    (write,) = pause.writes
    assert write.key == state_key("r1")
    assert RunState.of(write.value).state == "paused"


@pytest.mark.parametrize(("then", "kinds"), [("nudge", {Allow}), ("deny", {Deny})])
def test_it_goes_no_further_than_the_operator_says(then: Any, kinds: set[type]) -> None:
    policy = LoopPolicy(Loops(then=then))
    assert {type(one) for one in climb(repeats(4), 9, policy)} == kinds
    assert after(repeats(4), returned(), policy).nudge is not None


def test_who_waited_as_told_may_try_once() -> None:
    third = climb(repeats(4), 3)[-1]
    cells = {third.writes[0].key: third.writes[0].value}
    assert isinstance(POLICY.decide(proposed(at=109.0), state(repeats(4), **cells)), Deny)
    tried = POLICY.decide(proposed(at=110.5), state(repeats(4), **cells))
    assert isinstance(tried, Allow)
    cells = {write.key: write.value for write in tried.writes if isinstance(write, Put)}
    again = POLICY.decide(proposed(at=111.0), state(repeats(5), **cells))
    assert isinstance(again, Deny)
    assert again.retry_after_s == 20.0


def test_a_review_forgets_what_was_before_it() -> None:
    resumed = RunState(at=50.0, reviews=1)
    cells = {state_key("r1"): to_builtins(resumed), ladder_key("r1"): {"a": [4, 40.0, 40.0]}}
    assert isinstance(POLICY.decide(proposed(), state(repeats(9), **cells)), Allow)
    later = [one._replace(at=60.0) for one in repeats(4)]
    verdict = POLICY.decide(proposed(), state(later, **cells))
    assert isinstance(verdict, Deny)
    assert verdict.facts["refused"] == 1


def test_a_milestone_begins_anew_but_not_by_being_reached_again() -> None:
    policy = LoopPolicy(Loops(), [Milestone(tool="s__done")])
    goal = step("goal", "yes", tool="s__done")
    assert after([*repeats(2), goal], returned(), policy).nudge is None
    assert after([goal, *repeats(2), goal], returned(), policy).nudge is not None


def test_our_own_checkpoint_is_no_milestone_here() -> None:
    policy = LoopPolicy(Loops(), [Milestone(tool="*")])
    own = [step(f"c{n}", f"{n}", tool="fuseboard__checkpoint") for n in range(3)]
    assert after([*repeats(2, truth="empty"), *own], returned(truth="empty"), policy).nudge is not None


def test_polling_is_told_late_and_stopped_later() -> None:
    waiting = repeats(11, pending=True)
    assert after(waiting[:10], returned(pending=True)).nudge is None
    assert after(waiting, returned(pending=True)).rule == "loops.poll"
    assert isinstance(POLICY.decide(proposed(), state(repeats(22, pending=True))), Allow)
    assert isinstance(POLICY.decide(proposed(), state(repeats(23, pending=True))), Deny)


def test_a_polled_tool_gives_its_last_answer_until_it_is_time() -> None:
    polled = replace(READ, poll_s=5.0)
    event = replace(proposed(at=103.0), tool=polled)
    asked = [step("a", "x", tool=TOOL, decision="d7", at=100.0)]
    early = POLICY.decide(event, state(asked))
    assert isinstance(early, Deny)
    assert (early.rule, early.answer, early.retry_after_s) == (loops.POLL_RULE, "d7", 2.0)
    assert isinstance(POLICY.decide(replace(event, at=105.0), state(asked)), Allow)
    failed = [one._replace(weight=1.0, truth="error") for one in asked]
    assert isinstance(POLICY.decide(event, state(failed)), Allow)


def test_repeats_of_a_polled_tool_in_time_are_no_loop() -> None:
    event = returned()
    event = replace(event, proposal=replace(event.proposal, tool=replace(READ, poll_s=5.0)))
    assert after(repeats(19), event).nudge is None


def test_ever_other_questions_without_an_answer() -> None:
    def asked(count: int) -> list[Past]:
        return [step(f"q{n}", "", tool=TOOL, truth="empty") for n in range(count)]

    assert after(asked(6), returned("q", "", truth="empty")).nudge is None
    assert after(asked(7), returned("q", "", truth="empty")).rule == "loops.barren"
    assert isinstance(POLICY.decide(proposed("q"), state(asked(15))), Allow)
    verdict = POLICY.decide(proposed("q"), state(asked(16)))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("loops.barren", None)


def test_the_same_long_text_to_ever_other_questions() -> None:
    pages = [step(f"q{n}", "page", tool=TOOL, size_bytes=900) for n in range(7)]
    event = replace(returned("q", "page"), result_bytes=900)
    assert after(pages, event).rule == "loops.stale"


def test_a_walk_over_few_steps_that_changes_keep_alive() -> None:
    walk = [step(f"a{n % 4}", f"x{n % 4}", pending=n % 3 == 0) for n in range(40)]
    verdict = LoopPolicy(Loops(repeat=30, repeat_stop=40, poll=30, poll_stop=40))
    assert after(walk, returned("a0", "x0"), verdict).rule == "loops.novelty"


def test_a_call_among_its_own_ancestors_is_refused_at_once() -> None:
    above = Ancestor("d0", "a", "s", TOOL)
    verdict = POLICY.decide(proposed(ancestors=(Ancestor("d9", "b", "s", TOOL), above)), EMPTY)
    assert isinstance(verdict, Deny)
    assert verdict.rule == loops.RECURSION_RULE
    assert verdict.facts["calls"] == ["d0"]
    assert isinstance(POLICY.decide(proposed("c", ancestors=(above,)), EMPTY), Allow)


@pytest.mark.parametrize("more", [{"method": "prompts/get"}, {"continues": "d0"}])
def test_what_is_no_call_of_its_own_is_not_judged(more: dict[str, Any]) -> None:
    event = proposed(**more)
    assert POLICY.keys(event) == ()
    assert isinstance(POLICY.decide(event, state(repeats(30))), Allow)
    assert after(repeats(30), replace(returned(), proposal=event)).nudge is None


def test_late_results_and_listings_are_not_judged() -> None:
    late = replace(returned(), late=True)
    assert POLICY.keys(late) == ()
    assert after(repeats(30), late).nudge is None
    assert POLICY.keys(ToolListed(0.0, ANA, READ)) == ()


def test_it_names_what_it_reads() -> None:
    assert set(POLICY.keys(proposed())) == {window_key("r1"), state_key("r1"), ladder_key("r1")}
    assert set(POLICY.keys(returned())) == {window_key("r1"), state_key("r1")}


def test_an_answer_that_is_none_yet_is_no_repeat() -> None:
    assert after(repeats(9), returned(truth="input_required")).nudge is None


def test_steps_that_were_on_file_are_judged_alike() -> None:
    filed = Snapshot({window_key("r1"): [list(one) for one in repeats(4)]})
    assert isinstance(POLICY.decide(proposed(), filed), Deny)
    verdict = POLICY.decide(returned(), filed)
    assert isinstance(verdict, Allow)
    assert verdict.nudge is not None


def test_a_full_window_makes_room_for_the_result() -> None:
    full = [step(f"o{n}", f"{n}") for n in range(windows.KEPT - 2)]
    assert after([*repeats(2), *full], returned()).nudge is None
    assert after([*repeats(2), *full[:-1]], returned()).nudge is not None
