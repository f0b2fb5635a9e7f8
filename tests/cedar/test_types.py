from __future__ import annotations

import json
from typing import Any

import cedarpy
import pytest

from fuseboard.cedar.types import problems, usage


def _source(condition: str) -> str:
    return f"forbid (principal, action, resource) when {{ {condition} }};"


def _node(condition: str) -> dict[str, Any]:
    node: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(_source(condition)))["staticPolicies"]["policy0"]
    return node


@pytest.mark.parametrize(
    ("condition", "types"),
    [
        pytest.param('context.args.a like "*"', {("a",): "String"}, id="like"),
        pytest.param("context.args.a > 3", {("a",): "Long"}, id="comparison"),
        pytest.param("context.args.a", {("a",): "Bool"}, id="a condition by itself"),
        pytest.param('context.args.a == "x"', {("a",): "String"}, id="equal to a literal"),
        pytest.param("context.args.a.b == 1", {("a", "b"): "Long"}, id="inside of a record"),
        pytest.param('context.args.a.contains("x")', {("a",): "Set<String>"}, id="a set by its element"),
        pytest.param('["x"].contains(context.args.a)', {("a",): "String"}, id="an element by its set"),
        pytest.param("context.labels.contains(context.args.a)", {("a",): "String"}, id="an element of the labels"),
        pytest.param("context.args.a == resource.idempotent", {("a",): "Bool"}, id="equal to an attribute"),
        pytest.param('context.args.a.lessThan(decimal("1.0"))', {("a",): "decimal"}, id="decimal"),
        pytest.param("context.args has a", {("a",): None}, id="has says nothing"),
        pytest.param(
            "context.args.a == context.args.b && context.args.b > 1", {("a",): "Long", ("b",): "Long"}, id="by another"
        ),
    ],
)
def test_an_argument_has_the_type_of_its_use(condition: str, types: dict[tuple[str, ...], str | None]) -> None:
    assert usage(_node(condition)).types == types


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        pytest.param(
            'context.labelz.contains("x")', "`context` has no `labelz`; did you mean `context.labels`?", id="typo"
        ),
        pytest.param(
            'resource.efect == "read"', "`resource` has no `efect`; did you mean `resource.effect`?", id="attribute"
        ),
        pytest.param("resource has owner", "`resource` has no `owner`; it has effect,", id="nothing like it"),
        pytest.param("resource.effect == 3", "the types Long and String are not compatible", id="a clash of types"),
        pytest.param('principal in Rle::"x"', "unrecognized entity type `Rle`", id="an unknown entity"),
        pytest.param('action == Action::"cal"', 'unrecognized action `Action::"cal"`', id="an unknown action"),
        pytest.param("resource.effect", "expected Bool but saw String", id="no condition at all"),
    ],
)
def test_what_can_never_be_meant_is_fatal(condition: str, message: str) -> None:
    found = list(problems(_source(condition), _node(condition)))
    assert any(message in text and fatal for text, fatal in found), found


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        pytest.param('context.args.path like "x"', "without `context.args has path &&`", id="read without has"),
        pytest.param('context.args.a > 1 && context.args.a like "x"', "for Long and for String", id="two types"),
    ],
)
def test_what_may_deny_at_night_is_a_warning(condition: str, message: str) -> None:
    ((text, fatal),) = problems(_source(condition), _node(condition))
    assert message in text
    assert not fatal


@pytest.mark.parametrize(
    "condition",
    [
        'context.args has path && context.args.path like "*/.ssh/*"',
        "context.args has a.b && context.args.a.b.c == 1 || true",
        'context.args has xs && context.args.xs.containsAny(["a", "b"])',
        'context.args has n && context.args.n.greaterThan(decimal("9.50"))',
        'context.args has host && ip(context.args.host).isInRange(ip("10.0.0.0/8"))',
        'context.labels.contains("untrusted") && resource.trust != "trusted" && principal.roles.contains("ops")',
        'resource in Upstream::"files" && principal in Role::"ops" && action == Action::"read"',
        'if context.args has a then context.args.a == "x" else !context.approved',
        "context.args has a && -context.args.a < 1 + 2",
    ],
)
def test_sound_conditions_have_no_findings(condition: str) -> None:
    fatal = [text for text, fatal in problems(_source(condition), _node(condition)) if fatal]
    assert fatal == []
