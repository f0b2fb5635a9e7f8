from __future__ import annotations

import json
from typing import Any

import cedarpy
import pytest

from fuseboard.cedar.ast import Wants, names_principal, split, unconditional, wants


def _policy(clauses: str, scope: str = "principal, action, resource") -> dict[str, Any]:
    document = json.loads(cedarpy.policies_to_json_str(f"forbid ({scope}) {clauses};"))
    policy: dict[str, Any] = document["staticPolicies"]["policy0"]
    return policy


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param("resource.effect == principal.name", Wants(), id="nothing of the call"),
        pytest.param("context.args has a && context.args.b == 1", Wants(frozenset({"a", "b"})), id="two arguments"),
        pytest.param('context.args["a b"].c.d', Wants(frozenset({"a b"})), id="an argument's insides are the argument"),
        pytest.param("context.args has a.b.c", Wants(frozenset({"a"})), id="has, in depth"),
        pytest.param("context.args == {a: 1}", Wants(None), id="the whole record"),
        pytest.param('context.labels.contains("x")', Wants(labels=True), id="labels"),
        pytest.param('context.copied_from.contains("x")', Wants(copied=True), id="sources"),
        pytest.param("!context.approved", Wants(approved=True), id="approval"),
        pytest.param("{c: context} == {c: context}", Wants(None, True, True, True), id="the whole context"),
    ],
)
def test_what_a_condition_reads_of_the_call(condition: str, expected: Wants) -> None:
    assert wants(_policy(f"when {{ {condition} }}")) == expected


def test_wants_add_up() -> None:
    assert Wants(frozenset("a")) | Wants(frozenset("b"), labels=True) == Wants(frozenset("ab"), True)
    assert Wants(None) | Wants(frozenset("b")) == Wants(None)


@pytest.mark.parametrize(
    ("clauses", "settled", "open_"),
    [
        pytest.param("", 0, None, id="no condition: settled"),
        pytest.param("when { resource.effect == resource.name }", 1, None, id="nothing of the call: settled"),
        pytest.param("when { resource.idempotent && context.args has a }", 1, 1, id="the leading term is settled"),
        pytest.param("when { context.args has a && resource.idempotent }", 0, 2, id="what follows a reading waits"),
        pytest.param("when { resource.idempotent } unless { context.approved }", 1, 1, id="clause by clause"),
        pytest.param("when { resource.idempotent || context.args has a }", 0, 1, id="an alternative is not split"),
    ],
)
def test_head_and_rest(clauses: str, settled: int, open_: int | None) -> None:
    head, rest = split(_policy(clauses, 'principal, action == Action::"call", resource'))
    assert head["effect"] == "permit"
    assert head["action"]["op"] == "=="
    assert len(head["conditions"]) == settled
    assert (rest and len(rest["conditions"])) == open_
    if rest is not None:
        assert rest["effect"] == "forbid"
        assert rest["action"] == {"op": "All"}


def test_a_policy_without_conditions_keeps_its_effect() -> None:
    policy = unconditional(_policy("when { resource.idempotent }", 'principal == Principal::"a", action, resource'))
    assert (policy["effect"], policy["principal"], policy["conditions"]) == ("forbid", {"op": "All"}, [])


def test_whether_the_caller_matters() -> None:
    assert not names_principal(_policy('when { resource.name == "principal" }'))
    assert names_principal(_policy("when { resource.name == principal.name }"))
    assert names_principal(_policy("", 'principal in Role::"ops", action, resource'))
