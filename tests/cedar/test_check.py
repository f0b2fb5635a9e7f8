from __future__ import annotations

import pytest

from fuseboard.cedar.check import Finding, RuleError, check_rule, check_source, parsed, rendered, repeated
from support.judging import EXAMPLE, FakeRule


def _finding(when: str) -> Finding:
    policies, findings = check_rule(FakeRule(when=when), "allow")
    fatal = [finding for finding in findings if finding.fatal]
    assert fatal, policies
    return fatal[0]


@pytest.mark.parametrize("rule", EXAMPLE, ids=lambda rule: rule.id)
def test_the_rules_of_the_example_have_no_findings(rule: FakeRule) -> None:
    policies, findings = check_rule(rule, "allow")
    assert len(policies) == 1
    assert findings == []


@pytest.mark.parametrize(
    ("when", "column", "message"),
    [
        pytest.param("context.args has path && context.args.path lik", 44, "unexpected token `lik`", id="a wrong word"),
        pytest.param(
            "context.args.a == 1 && context.args.a 1", 39, "unexpected token `1`", id="the second of its like"
        ),
        pytest.param("context.args.x == ", 19, "unexpected token `}`", id="an early end"),
        pytest.param("(context.args.a", 16, "unexpected token `}`", id="an open parenthesis"),
        pytest.param("context.args.x = 3", 16, "'=' is not a valid operator", id="assignment"),
        pytest.param('context.args.x == "a', 19, "invalid token", id="an open string"),
        pytest.param('context.args.x == "a" &&& true', 25, "invalid token", id="no such operator"),
        pytest.param("contxt.args has x", 1, "contxt", id="no such variable"),
        pytest.param("context.args.foo.bar()", 18, "`bar` is not a valid method", id="no such method"),
        pytest.param("true && foo(3)", 9, "`foo` is not a valid function", id="no such function"),
        pytest.param('context.labelz.contains("x")', 9, "did you mean `context.labels`?", id="no such attribute"),
        pytest.param("  ", None, "empty", id="nothing"),
        pytest.param("// only words", None, "empty", id="only a comment"),
    ],
)
def test_a_broken_condition_is_found_at_its_column(when: str, column: int | None, message: str) -> None:
    finding = _finding(when)
    assert message in finding.message
    assert finding.column == column
    assert finding.rule == "r"


@pytest.mark.parametrize(
    "when",
    [
        "true }; permit (principal, action, resource) when { true",
        "true } unless { false",
        "true } when { true",
        'true }; @id("x") forbid (principal, action, resource) when { false',
    ],
)
def test_braces_smuggle_nothing_in(when: str) -> None:
    assert "one expression" in _finding(when).message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param(FakeRule(tools=("get_?",)), "only * is a wildcard", id="another wildcard would match nothing"),
        pytest.param(FakeRule(upstream=("[ab]",)), "only * is a wildcard", id="nor do classes"),
        pytest.param(FakeRule(principals=("role:op*",)), "a role is named in full", id="roles are no globs"),
        pytest.param(FakeRule(effect=("wirte",)), "did you mean 'write'?", id="effects"),
    ],
)
def test_what_could_never_match_is_found(rule: FakeRule, message: str) -> None:
    _, findings = check_rule(rule, "allow")
    assert any(message in finding.message and finding.fatal for finding in findings)


def test_a_question_mark_in_a_uri_is_itself() -> None:
    assert check_rule(FakeRule(resources=("https://h/x?y=*",)), "allow")[1] == []


def test_ids_are_unique_and_not_ours() -> None:
    assert [finding.rule for finding in repeated(["a", "b", "a", "default"])] == ["a", "default"]


def test_a_cedar_file_joins_with_its_own_ids() -> None:
    text = '@id("ops") permit (principal in Role::"ops", action, resource);\nforbid (principal, action, resource);'
    policies, findings, shown = check_source("extra.cedar", text, "deny")
    assert [(policy.rule, policy.decide) for policy in policies] == [("ops", "allow"), ("extra.cedar#2", "deny")]
    assert findings == []
    assert shown == text


@pytest.mark.parametrize(("default", "count"), [("allow", 1), ("deny", 2)])
def test_an_annotated_forbid_asks_and_is_shown_as_it_is_meant(default: str, count: int) -> None:
    text = '@id("a") @decide("ask") @say("Ask first.") forbid (principal, action, resource);'
    policies, _, shown = check_source("extra.cedar", text, default)  # type: ignore[arg-type]
    assert [(policy.rule, policy.decide, policy.say) for policy in policies] == [("a", "ask", "Ask first.")] * count
    assert "unless { context.approved }" in shown
    assert len(parsed(shown)) == count


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        pytest.param(
            "permit (principal, action, resource);\npermit (principal, akshun, resource);",
            (2, 20),
            "akshun",
            id="syntax",
        ),
        pytest.param("permit (principal == ?principal, action, resource);", (None, None), "templates", id="a template"),
        pytest.param(
            '@decide("ask") permit (principal, action, resource);',
            (None, None),
            "cannot stand",
            id="a permit that asks nobody",
        ),
        pytest.param(
            '@decide("alow") permit (principal, action, resource);', (None, None), "cannot stand", id="no such decide"
        ),
        pytest.param(
            "forbid (principal, action, resource) when { resource.x };", (None, None), "has no `x`", id="types"
        ),
    ],
)
def test_a_broken_cedar_file_is_found(text: str, place: tuple[int | None, int | None], message: str) -> None:
    _, (finding, *_), _ = check_source("extra.cedar", text, "allow")
    assert message in finding.message
    assert finding.fatal
    if place[0] is not None:
        assert (finding.line, finding.column) == place


def test_findings_are_told_with_their_place() -> None:
    error = RuleError([Finding("a", "wrong", column=3), Finding("f.cedar", "odd", 1, 2)])
    assert str(error) == "a, column 3: wrong\nf.cedar, line 1, column 2: odd"
    assert len(error.findings) == 2


def test_what_is_rendered_parses_to_the_same() -> None:
    (node,) = parsed('forbid (principal, action, resource) when { context.args has "a b" };')
    (again,) = parsed(rendered(node))
    assert again["conditions"] == node["conditions"]
