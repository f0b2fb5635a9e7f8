"""What becomes of repeats, and of calls to an upstream that throttles."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.adapters.stores.table import Table
from fuseboard.config.guards import Retries
from fuseboard.config.units import Rate
from fuseboard.events import CallProposed, CallReturned, Finding, Tool
from fuseboard.pauses import pause_key
from fuseboard.policies.retries import RetriesPolicy
from fuseboard.retries import bucket_key
from fuseboard.state import EMPTY, Draw, Push, Snapshot
from fuseboard.verdicts import Allow, Deny
from fuseboard.windows import Past, window_key
from support.judging import READ, WRITE, call

AT = 1000.0
POLICY = RetriesPolicy(Retries())


def proposed(id: str = "d-9", *, run: str = "r1", at: float = AT, tool: Tool = READ, **more: Any) -> CallProposed:
    return replace(call(tool), id=id, run=run, at=at, fingerprint="f", **more)


def failed(count: int, *, at: float = AT - 10) -> list[Any]:
    return [
        Past(f"d-{n}", at + n, READ.qualified, "f", "", "", "error", 1.0, "upstream", "read", 0, False, ())
        for n in range(count)
    ]


def state(**cells: Any) -> Snapshot:
    names = {"window": window_key("r1"), "bucket": bucket_key(READ.upstream), "pause": pause_key(READ.upstream)}
    return Snapshot({names[name]: value for name, value in cells.items() if value is not None})


def returned(truth: str, *, retry_after_s: float | None = None, shared: str = "") -> CallReturned:
    finding = Finding(truth, retry_after_s=retry_after_s)
    return CallReturned(AT, proposed("d-1"), truth, finding=finding, shared=shared)


def test_it_reads_what_it_names() -> None:
    assert set(POLICY.keys(proposed())) == {window_key("r1"), bucket_key("files"), pause_key("files")}
    assert POLICY.keys(returned("ok")) == (pause_key("files"),)


@pytest.mark.parametrize("bucket", [None, [0.0, AT - 61, AT - 61]], ids=["nobody ever repeated", "not lately"])
def test_a_first_attempt_writes_nothing_while_nobody_repeats(bucket: Any) -> None:
    assert POLICY.decide(proposed(), state(bucket=bucket)) == Allow()


def test_a_first_attempt_pays_in_while_repeats_are_made_and_is_never_refused() -> None:
    verdict = POLICY.decide(proposed(), state(bucket=[0.0, AT, AT - 59]))
    assert isinstance(verdict, Allow)
    (put,) = verdict.writes
    assert isinstance(put, Draw)
    assert put.amount == -0.1


@pytest.mark.parametrize("failures", [1, 2])
def test_a_repeat_draws_on_the_budget(failures: int) -> None:
    verdict = POLICY.decide(proposed(), state(window=failed(failures)))
    assert isinstance(verdict, Allow)
    assert verdict.facts == {"repeat": failures, "of": [f"d-{n}" for n in reversed(range(failures))]}
    (take,) = verdict.writes
    assert isinstance(take, Draw)
    assert (take.key, take.amount) == (bucket_key("files"), 1.0)


def test_one_repeat_too_many_fails_fast_with_the_last_answer_and_says_since_when_it_may_be_tried() -> None:
    verdict = POLICY.decide(proposed(), state(window=failed(3)))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("retries.per_call", "d-2")
    assert verdict.retry_after_s == 290.0  # when the first of the three is five minutes old, two are left
    assert verdict.facts["failures"] == 3
    assert verdict.facts["of"] == ["d-2", "d-1", "d-0"]
    assert "3 times" in verdict.reason
    assert "Change the arguments" in verdict.reason
    later = proposed(at=AT + verdict.retry_after_s + 0.001)
    assert isinstance(POLICY.decide(later, state(window=failed(3))), Allow)


def test_no_repeats_at_all_may_be_allowed() -> None:
    verdict = RetriesPolicy(Retries(per_call=0)).decide(proposed(), state(window=failed(1)))
    assert isinstance(verdict, Deny)
    assert verdict.retry_after_s == 290.0
    assert "failed once within 300 s" in verdict.reason
    assert "and it is not repeated. Once more" in verdict.reason


def test_past_the_budget_a_repeat_is_refused_and_told_when() -> None:
    verdict = POLICY.decide(proposed(), state(window=failed(1), bucket=[0.25, AT, AT]))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("retries.budget", "d-0")
    assert verdict.retry_after_s is not None
    assert 0.75 <= verdict.retry_after_s <= 2.75
    assert verdict.writes == ()


def test_those_who_wait_for_the_same_token_are_told_different_times() -> None:
    spent = state(window=failed(1), bucket=[0.0, AT, AT])
    told = {getattr(POLICY.decide(proposed(f"d-{n}"), spent), "retry_after_s", None) for n in range(20)}
    assert len(told) > 15


def test_where_nothing_refills_the_budget_no_time_is_told() -> None:
    policy = RetriesPolicy(Retries(floor=Rate(0, 1.0, 1)))
    verdict = policy.decide(proposed(), state(window=failed(1), bucket=[0.0, AT, AT]))
    assert isinstance(verdict, Deny)
    assert verdict.retry_after_s is None


def test_two_repeats_cannot_take_the_same_token() -> None:
    policy, table = RetriesPolicy(Retries(floor=Rate(1, 1.0, 1))), Table()
    verdicts = [policy.decide(proposed(), state(window=failed(1))) for _ in range(2)]
    taken = [table.apply(verdict.writes, EMPTY, at=AT) for verdict in verdicts if isinstance(verdict, Allow)]
    assert [bool(each) for each in taken] == [True, False]


def test_what_is_no_tool_call_is_held_back_by_a_pause_alone() -> None:
    prompt = proposed(method="prompts/get")
    assert POLICY.decide(prompt, state(window=failed(9))) == Allow()
    assert isinstance(POLICY.decide(prompt, state(pause=[[AT, AT + 5, 1, "d"]])), Deny)


def test_while_an_upstream_pauses_nobody_calls_it_and_each_is_told_his_own_time() -> None:
    pause = state(pause=[[AT - 5, AT + 20, 1, "d-0"]])
    told = []
    for run in ("r1", "r2", "r3"):
        verdict = POLICY.decide(proposed(run=run), pause)
        assert isinstance(verdict, Deny)
        assert verdict.rule == "retries.pause"
        assert verdict.facts["throttled"] == "d-0"
        assert verdict.retry_after_s is not None
        assert isinstance(POLICY.decide(proposed(run=run, at=AT + verdict.retry_after_s - 0.01), pause), Deny)
        assert isinstance(POLICY.decide(proposed(run=run, at=AT + verdict.retry_after_s + 0.01), pause), Allow)
        told.append(verdict.retry_after_s)
    assert len(set(told)) == 3
    assert min(told) >= 20


@pytest.mark.parametrize(("asked_s", "until"), [(30.0, AT + 30), (None, AT + 5)])
def test_a_throttled_result_begins_a_pause(asked_s: float | None, until: float) -> None:
    verdict = POLICY.decide(returned("throttled", retry_after_s=asked_s), EMPTY)
    assert isinstance(verdict, Allow)
    (push,) = verdict.writes
    assert isinstance(push, Push)
    assert push.item[:2] == [AT, until]
    assert verdict.facts["upstream"] == "files"


def test_one_that_says_nothing_new_writes_nothing() -> None:
    assert POLICY.decide(returned("throttled"), state(pause=[[AT, AT + 60, 1, "d"]])) == Allow()
    assert POLICY.decide(returned("error"), EMPTY) == Allow()


def test_a_result_that_was_shared_is_marked() -> None:
    verdict = POLICY.decide(returned("ok", shared="d-0"), EMPTY)
    assert isinstance(verdict, Allow)
    assert (verdict.rule, verdict.facts) == ("retries.joined", {"with": "d-0"})


@pytest.mark.parametrize("truth", ["timeout", "lost", "cancelled"])
def test_of_a_write_that_was_lost_it_says_nothing_for_another_knows_better(truth: str) -> None:
    tool = replace(WRITE, upstream="files")
    steps = [[*step[:6], truth, *step[7:]] for step in failed(5)]
    spent = [0.0, AT, AT]
    assert POLICY.decide(proposed(tool=tool), state(window=steps, bucket=spent)) == Allow()
    assert isinstance(POLICY.decide(proposed(tool=tool), state(window=failed(5), bucket=spent)), Deny)
    assert isinstance(POLICY.decide(proposed(), state(window=steps, bucket=spent)), Deny)
    assert isinstance(POLICY.decide(proposed(tool=replace(tool, idempotent=True)), state(window=steps)), Deny)


def test_a_refusal_speaks_of_what_failed_in_plain_words() -> None:
    steps = [[*step[:6], "business_error", *step[7:]] for step in failed(3)]
    verdict = POLICY.decide(proposed(), state(window=steps))
    assert isinstance(verdict, Deny)
    assert "the last time with business error, and" in verdict.reason
