"""The agent's own word is kept for the reviewer, and is a milestone only where the operator says so."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.checkpoint import EXPOSED, TOOL, UPSTREAM, Note
from fuseboard.events import CallReturned, Tool, ToolListed
from fuseboard.policies.checkpoint import CheckpointPolicy
from fuseboard.state import EMPTY, Add, Push
from fuseboard.verdicts import Allow
from support.judging import ANA, READ, call

OURS = Tool(UPSTREAM, TOOL, EXPOSED)
SAID = {"summary": "half way", "left": ["test"]}


def returned(tool: Tool = OURS, truth: str = "ok", arguments: dict[str, Any] | None = None) -> CallReturned:
    proposal = replace(call(tool, SAID if arguments is None else arguments), kept_s=60.0)
    return CallReturned(7.0, proposal, truth)


def judge(event: CallReturned, *, counts: bool = False) -> Allow:
    policy = CheckpointPolicy(counts=counts, redact=lambda text: text.replace("s3cret", "«secret»"))
    assert policy.keys(event) == ()
    verdict = policy.decide(event, EMPTY)
    assert isinstance(verdict, Allow)
    return verdict


@pytest.mark.parametrize(
    ("counts", "rule", "kinds"),
    [(False, "checkpoint.noted", [Push]), (True, "checkpoint.counted", [Push, Add])],
)
def test_what_was_said_is_kept_and_counts_only_where_it_is_to(counts: bool, rule: str, kinds: list[type]) -> None:
    verdict = judge(returned(), counts=counts)
    assert verdict.rule == rule
    assert [type(write) for write in verdict.writes] == kinds
    assert verdict.writes[0] == Note(7.0, "half way", (), ("test",)).written("r1", ttl_s=60.0)
    if counts:
        assert verdict.writes[1] == Add("milestones/r1", 1, None, 60.0)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(returned(READ), id="another tool"),
        pytest.param(returned(truth="business_error"), id="it did not work"),
        pytest.param(returned(arguments={"summary": 7}), id="nothing was said"),
    ],
)
def test_nothing_else_is_kept_or_counts(event: CallReturned, counts: bool) -> None:
    assert judge(event, counts=counts) == Allow()


def test_it_judges_no_call_and_hides_nothing() -> None:
    policy = CheckpointPolicy(counts=True, redact=str)
    assert policy.decide(call(OURS, SAID), EMPTY) == Allow()
    assert policy.decide(ToolListed(0.0, ANA, OURS), EMPTY) == Allow()
    assert policy.judges == (CallReturned,)


def test_our_secrets_are_taken_out_of_all_that_is_kept() -> None:
    said = {"summary": "a s3cret", "done": ["b s3cret"], "left": ["c s3cret"]}
    (push,) = judge(returned(arguments=said)).writes
    assert isinstance(push, Push)
    assert push.item == {"at": 7.0, "summary": "a «secret»", "done": ["b «secret»"], "left": ["c «secret»"]}
