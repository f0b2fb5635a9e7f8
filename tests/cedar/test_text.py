from __future__ import annotations

import json

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cedar.text import comment, default_policy, quoted, rule_policies, when_clause
from support.judging import EXAMPLE, FakeRule


def _text(rule: FakeRule, default: str = "allow") -> str:
    return "\n".join(rule_policies(rule, default, rule.when))  # type: ignore[arg-type]


def test_a_rule_reads_as_cedar_does() -> None:
    assert _text(EXAMPLE[0]) == (
        '@id("no-secret-files")\n'
        '@decide("deny")\n'
        'forbid (principal, action == Action::"call", resource)\n'
        'when { resource.qualified like "files__*" || resource.exposed like "files__*" }\n'
        'when { context.args has path && context.args.path like "*/.ssh/*" };\n'
    )


def test_an_ask_gives_way_to_an_approval() -> None:
    assert _text(EXAMPLE[1]) == (
        '@id("destructive-needs-a-person")\n'
        '@decide("ask")\n'
        "forbid (principal, action, resource)\n"
        'when { resource.effect == "destructive" }\n'
        "unless { context.approved };\n"
    )


def test_an_approved_ask_is_permitted_where_the_default_would_not() -> None:
    _, second = rule_policies(EXAMPLE[1], "deny", None)
    assert second.startswith('@id("destructive-needs-a-person.approved")\n@decide("ask")\npermit')
    assert second.endswith("when { context.approved };\n")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        pytest.param(
            FakeRule(tools=("a__b",)), 'resource.qualified == "a__b" || resource.exposed == "a__b"', id="exact"
        ),
        pytest.param(FakeRule(resources=("file:///*",)), 'resource.name like "file:///*"', id="resources by URI"),
        pytest.param(
            FakeRule(upstream=("a", "b*")), 'resource.upstream == "a" || resource.upstream like "b*"', id="upstreams"
        ),
        pytest.param(FakeRule(principals=("ana",)), 'principal.name == "ana"', id="a principal"),
        pytest.param(FakeRule(principals=("role:ops",)), 'principal in Role::"ops"', id="a role"),
    ],
)
def test_each_part_of_a_rule_is_a_condition(rule: FakeRule, line: str) -> None:
    assert f"when {{ {line} }}" in _text(rule)


def test_a_star_constrains_only_the_action() -> None:
    assert _text(FakeRule(prompts=("*",))) == (
        '@id("r")\n@decide("deny")\nforbid (principal, action == Action::"get", resource);\n'
    )


def test_tools_and_resources_together_are_alternatives() -> None:
    text = _text(FakeRule(tools=("*",), resources=("a",)))
    assert 'action in [Action::"call", Action::"read"]' in text
    assert 'action == Action::"call" && (true) || action == Action::"read" && (resource.name == "a")' in text


def test_a_comment_in_a_condition_does_not_swallow_the_brace() -> None:
    assert when_clause("true // for now") == "when {\ntrue // for now\n}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_one_string_literal(text: str) -> None:
    policy = f"@note({quoted(text)}) permit (principal, action, resource);"
    (node,) = json.loads(cedarpy.policies_to_json_str(policy))["staticPolicies"].values()
    assert node["annotations"]["note"] == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_breaks_out_of_its_comment(text: str) -> None:
    assert len(cedarpy.PolicySet.from_str(comment(text) + default_policy("allow"))) == 1


def test_the_defaults() -> None:
    assert default_policy("deny") == ""
    assert default_policy("allow").endswith("permit (principal, action, resource);\n")
    assert default_policy("ask").endswith("when { context.approved };\n")
