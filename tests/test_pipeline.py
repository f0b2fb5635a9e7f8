"""The one pipeline: its order, and how many verdicts become one outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fuseboard import pipeline
from fuseboard.cedar.rules import compile_rules
from fuseboard.events import CallProposed, CallReturned, Event, Tool, ToolListed
from fuseboard.state import EMPTY, Add, Push, Snapshot
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict, name_of
from support.judging import ANA, READ, call

SPENT = Add("spent", 1, 10, 60)
SEEN = Push("seen", "x", 5, 60)
CALL = call(arguments={"path": "/a"})
RETURNED = CallReturned(1.0, CALL, "ok", {"content": []})


class Says:
    """A policy that always says the same, and remembers what it was asked."""

    def __init__(self, verdict: Verdict | Callable[[Event], Any], name: str = "p", *keys: str) -> None:
        self.name = name
        self.asked: list[Event] = []
        self._verdict = verdict
        self._keys = keys

    def keys(self, event: Event) -> tuple[str, ...]:
        return self._keys

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        self.asked.append(event)
        said: Verdict = self._verdict(event) if callable(self._verdict) else self._verdict
        return said


def descend(*verdicts: Verdict, enforce: bool = True) -> pipeline.Outcome:
    policies = tuple(Says(verdict, f"p{number}") for number, verdict in enumerate(verdicts, 1))
    return pipeline.descend(policies, CALL, EMPTY, enforce=enforce)


def arguments(event: Event) -> Mapping[str, Any]:
    assert isinstance(event, CallProposed)
    return event.arguments


# Order.


def test_the_standard_list_shows_its_order() -> None:
    names = [policy.name for policy in pipeline.standard(compile_rules([], "allow"))]
    assert names == ["exposure", "output", "permissions", "schema"]


def test_a_proposal_goes_down_the_list_and_a_result_comes_back_up() -> None:
    policies = tuple(Says(Allow(), name) for name in "abc")
    assert [check.policy for check in pipeline.descend(policies, CALL, EMPTY).checks] == ["a", "b", "c"]
    assert [check.policy for check in pipeline.ascend(policies, RETURNED, EMPTY).checks] == ["c", "b", "a"]


def test_the_keys_are_the_union_of_all_policies_keys_each_once() -> None:
    policies = (Says(Allow(), "a", "x", "y"), Says(Allow(), "b", "y", "z"))
    assert pipeline.keys(policies, CALL) == ("x", "y", "z")


def test_each_policy_gets_the_state_that_was_read() -> None:
    seen: list[Snapshot] = []

    class Looks(Says):
        def decide(self, event: Event, state: Snapshot) -> Verdict:
            seen.append(state)
            return Allow()

    state = Snapshot({"x": 1})
    pipeline.descend((Looks(Allow()), Looks(Allow())), CALL, state)
    assert seen == [state, state]


# Many verdicts, one outcome.


@pytest.mark.parametrize(
    ("verdicts", "decides", "policy"),
    [
        pytest.param([], "allow", None, id="no policy allows"),
        pytest.param([Allow(), Allow()], "allow", None, id="allowed by none in particular"),
        pytest.param([Allow(), Allow("r")], "allow", "p2", id="allowed by a rule"),
        pytest.param([Allow("r"), Allow()], "allow", "p1", id="a rule counts more than no objection"),
        pytest.param([Allow("r"), Allow("s")], "allow", "p2", id="of two rules the last"),
        pytest.param([Allow("r"), Rewrite("s", "w", {})], "rewrite", "p2", id="a rewrite after a rule"),
        pytest.param([Rewrite("r", "w", {}), Allow("s")], "rewrite", "p1", id="a rewrite before a rule"),
        pytest.param([Rewrite("r", "w", {}), Rewrite("s", "w", {})], "rewrite", "p2", id="of two rewrites the last"),
        pytest.param([Allow("r"), Deny("s", "w")], "deny", "p2", id="a denial after a rule"),
        pytest.param([Rewrite("r", "w", {}), Deny("s", "w")], "deny", "p2", id="a denial after a rewrite"),
        pytest.param([Deny("r", "w"), Deny("s", "w")], "deny", "p1", id="of two denials the first"),
        pytest.param([Hold("r", "w"), Deny("s", "w")], "deny", "p2", id="a denial after a hold"),
        pytest.param([Hold("r", "w"), Hold("s", "w")], "hold", "p1", id="of two holds the first"),
        pytest.param([Hold("r", "w"), Rewrite("s", "w", {})], "hold", "p1", id="a rewrite after a hold"),
        pytest.param([Deny("r", "w"), Hold("s", "w")], "deny", "p1", id="a denial before a hold"),
        pytest.param([Deny("r", "w"), Rewrite("s", "w", {}), Allow("t")], "deny", "p1", id="what follows is nothing"),
    ],
)
@pytest.mark.parametrize("enforce", [True, False], ids=["enforced", "observed"])
def test_the_verdict_that_decides(verdicts: list[Verdict], decides: str, policy: str | None, enforce: bool) -> None:
    outcome = descend(*verdicts, enforce=enforce)
    assert (name_of(outcome.verdict), outcome.policy) == (decides, policy)


def test_the_first_denial_ends_the_descent() -> None:
    refusal, after = Deny("r", "w"), Says(Allow(), "after")
    outcome = pipeline.descend((Says(Allow(), "before"), Says(refusal, "refuses"), after), CALL, EMPTY)
    assert after.asked == []
    assert [check.policy for check in outcome.checks] == ["before", "refuses"]
    assert outcome.refused is refusal


def test_nobody_is_asked_about_a_call_that_would_be_denied() -> None:
    asks, denies = Says(Hold("r", "w", writes=(SPENT,)), "asks"), Says(Deny("s", "w"), "denies")
    outcome = pipeline.descend((asks, denies), CALL, EMPTY)
    assert (outcome.policy, outcome.writes) == ("denies", ())
    assert [check.verdict for check in outcome.checks] == ["hold", "deny"]


def test_what_a_person_granted_passes_and_says_whose_word_it_was() -> None:
    asks = Says(Hold("r", "w", {"n": 1}, writes=(SPENT,)), "asks")
    outcome = pipeline.descend((asks,), CALL, EMPTY, granted={("asks", "r"): "a-1"})
    assert outcome.refused is None
    assert outcome.checks[0].to_json() == {
        "policy": "asks",
        "verdict": "allow",
        "rule": "r",
        "facts": {"n": 1, "approved": "a-1"},
    }
    assert outcome.writes == ()
    assert pipeline.descend((asks,), CALL, EMPTY, granted={("asks", "other"): "a-1"}).refused is not None


def test_no_grant_lifts_a_denial() -> None:
    denies = Says(Deny("r", "w"), "p1")
    assert pipeline.descend((denies,), CALL, EMPTY, granted={("p1", "r"): "a-1"}).refused is not None


def test_a_result_that_is_refused_is_paid_for_all_the_same() -> None:
    pays, refuses = Says(Allow(writes=(SPENT,)), "pays"), Says(Deny("r", "w", writes=(SEEN,)), "refuses")
    outcome = pipeline.ascend((pays, refuses), RETURNED, EMPTY)
    assert outcome.refused is not None
    assert outcome.writes == (SPENT, SEEN)


def test_each_policy_s_word_is_kept_with_its_rule_and_facts() -> None:
    outcome = descend(Allow(), Deny("r", "w", {"n": 1}))
    assert [check.to_json() for check in outcome.checks] == [
        {"policy": "p1", "verdict": "allow", "rule": None, "facts": {}},
        {"policy": "p2", "verdict": "deny", "rule": "r", "facts": {"n": 1}},
    ]


# Rewrites.


def test_a_rewrite_flows_on_to_the_next_policy_and_on_to_the_upstream() -> None:
    second = Says(lambda event: Rewrite("s", "w", {**arguments(event), "b": 2}), "second")
    third = Says(Allow(), "third")
    outcome = pipeline.descend((Says(Rewrite("r", "w", {"a": 1})), second, third), CALL, EMPTY)
    assert [arguments(event) for policy in (second, third) for event in policy.asked] == [{"a": 1}, {"a": 1, "b": 2}]
    assert arguments(outcome.event) == {"a": 1, "b": 2}
    assert arguments(CALL) == {"path": "/a"}


def test_a_rewrite_of_a_result_replaces_the_result() -> None:
    outcome = pipeline.ascend((Says(Rewrite("r", "w", {"content": [1]})),), RETURNED, EMPTY)
    assert isinstance(outcome.event, CallReturned)
    assert outcome.event.result == {"content": [1]}
    assert outcome.event.proposal is CALL


def test_a_listing_cannot_be_rewritten() -> None:
    event = ToolListed(1.0, ANA, READ)
    assert pipeline.descend((Says(Rewrite("r", "w", {})),), event, EMPTY).event is event


def test_an_event_that_nobody_rewrote_is_the_event_itself() -> None:
    assert descend(Allow(), Allow("r")).event is CALL


# Writes.


@pytest.mark.parametrize(
    ("verdicts", "writes"),
    [
        pytest.param([Allow(writes=(SPENT,)), Rewrite("r", "w", {}, writes=(SEEN,))], (SPENT, SEEN), id="let through"),
        pytest.param([Allow(writes=(SPENT,)), Deny("r", "w", writes=(SEEN,))], (SEEN,), id="denied: the denial's own"),
        pytest.param([Allow(writes=(SPENT,)), Hold("r", "w", writes=(SEEN,))], (SEEN,), id="held: the hold's own"),
        pytest.param([Allow(writes=(SPENT,)), Deny("r", "w")], (), id="denied: what a call would have cost is not due"),
        pytest.param([Deny("r", "w"), Allow(writes=(SPENT,))], (), id="denied: what was not asked writes nothing"),
    ],
)
def test_what_is_written(verdicts: list[Verdict], writes: tuple[Any, ...]) -> None:
    assert descend(*verdicts).writes == writes


# Mode observe.


@pytest.mark.parametrize("refusal", [Deny("r", "w"), Hold("r", "w")], ids=name_of)
def test_observed_a_refusal_is_recorded_and_lets_through(refusal: Verdict) -> None:
    outcome = descend(Allow(), refusal, Allow("s"), enforce=False)
    assert outcome.verdict is refusal
    assert outcome.refused is None
    assert [check.verdict for check in outcome.checks] == ["allow", name_of(refusal), "allow"]


def test_observed_nothing_is_rewritten_for_anybody() -> None:
    second = Says(Allow(), "second")
    outcome = pipeline.descend((Says(Rewrite("r", "w", {"a": 1})), second), CALL, EMPTY, enforce=False)
    assert name_of(outcome.verdict) == "rewrite"
    assert second.asked == [CALL]
    assert outcome.event is CALL


def test_observed_the_call_happens_so_what_it_costs_is_written() -> None:
    assert descend(Allow(writes=(SPENT,)), Deny("r", "w"), Allow(writes=(SEEN,)), enforce=False).writes == (SPENT, SEEN)


# Policies that break.


def raises(event: Event) -> Verdict:
    raise KeyError("secret")


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        pytest.param(raises, "KeyError", id="it raises"),
        pytest.param(lambda event: None, "TypeError", id="it says nothing"),
        pytest.param(lambda event: True, "TypeError", id="it says yes"),
    ],
)
def test_a_policy_that_breaks_denies_and_says_so(
    broken: Callable[[Event], Any], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    after = Says(Allow(), "after")
    with caplog.at_level(logging.ERROR):
        outcome = pipeline.descend((Says(broken, "broken"), after), CALL, EMPTY)
    refused = outcome.refused
    assert isinstance(refused, Deny)
    assert (refused.rule, refused.facts) == ("policy.fault", {"fault": fault})
    assert "broken" in refused.reason
    assert "secret" not in refused.reason
    assert after.asked == []
    assert "policy broken failed" in caplog.text


def test_observed_it_lets_through_like_any_refusal(caplog: pytest.LogCaptureFixture) -> None:
    outcome = pipeline.descend((Says(raises, "broken"),), CALL, EMPTY, enforce=False)
    assert name_of(outcome.verdict) == "deny"
    assert outcome.refused is None


# The standard policies together.


@pytest.mark.parametrize(
    ("hidden", "default", "policy"),
    [(True, "deny", "exposure"), (False, "deny", "permissions"), (False, "allow", "schema")],
)
def test_of_a_forbidden_tool_not_even_the_schema_is_learnt(hidden: bool, default: Any, policy: str) -> None:
    from fuseboard.schemas.compiled import compile_schema

    tool = Tool("u", "t", "u__t", hidden=hidden, arguments=compile_schema({"required": ["x"]}))
    outcome = pipeline.descend(pipeline.standard(compile_rules([], default)), call(tool), EMPTY)
    assert outcome.policy == policy
    assert isinstance(outcome.refused, Deny)
    assert ("'x'" in outcome.refused.reason or '"x"' in outcome.refused.reason) == (policy == "schema")


class Speechless(Says):
    """A policy that cannot say what it reads."""

    def keys(self, event: Event) -> tuple[str, ...]:
        raise KeyError("secret")


def test_a_policy_that_cannot_say_what_it_reads_denies(caplog: pytest.LogCaptureFixture) -> None:
    policies = (Speechless(Allow(), "speechless"),)
    assert pipeline.keys(policies, CALL) == (pipeline.UNSAID,)
    with caplog.at_level(logging.ERROR):
        refused = pipeline.descend(policies, CALL, Snapshot({}, {pipeline.UNSAID: 0})).refused
    assert isinstance(refused, Deny)
    assert refused.rule == "policy.fault"
