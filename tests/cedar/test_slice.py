from __future__ import annotations

import pytest

from fuseboard.cedar.rules import compile_rules
from fuseboard.cedar.slice import ERROR_RULE, Held, Respelled, Ruling, Settled
from fuseboard.cedar.text import Decide
from fuseboard.events import Tool
from support.judging import ANA, EXAMPLE, READ, WRITE, FakeRule


def _slice(*rules: FakeRule, default: Decide = "allow", tool: Tool = READ) -> Held:
    return compile_rules(rules, default).slice(ANA, "tools/call", tool)


def test_no_rules_are_settled_once() -> None:
    settled = _slice(default="ask")
    assert isinstance(settled, Settled)
    assert settled.decide({"a": 2**70}) == Ruling("ask", "default")
    assert settled.decide({}, approved=True).decide == "allow"
    assert settled.listed().decide == "allow"
    arguments = {"path": "/a/../b"}
    assert settled.canonical(arguments) is arguments


def test_only_paths_that_a_rule_reads_change() -> None:
    held = _slice(*EXAMPLE)
    arguments = {"path": "/a/../b", "other_path": "/c/../d"}
    assert held.canonical(arguments) == {"path": "/b", "other_path": "/c/../d"}
    assert _slice(*EXAMPLE, tool=Tool("web", "fetch", "web__fetch")).canonical(arguments) is arguments


def test_the_same_reading_has_the_same_ruling() -> None:
    held = _slice(*EXAMPLE)
    assert held.decide({"path": "/a", "n": 1}) is held.decide({"path": "/a", "n": 2})


def test_a_long_reading_is_judged_and_not_remembered() -> None:
    held = _slice(*EXAMPLE)
    path = "/a" * 5_000
    assert held.decide({"path": path}).decide == "allow"
    assert held.decide({"path": path + "/.ssh/id"}).rule == "no-secret-files"


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        pytest.param(
            {"path": 3},
            "'no-secret-files' could not be evaluated: argument 'path' is a whole number",
            id="another type",
        ),
        pytest.param({"path": "/a", "Path": "/.ssh/x"}, "argument 'Path' is not 'path', which they read", id="a twin"),
        pytest.param({"pat\u017f": 1, "\uff50ath": "/.ssh/x"}, "send it exactly as 'path'", id="a wide letter"),
        pytest.param({"path": "file:///a/.\n./b"}, "'path' holds a control character", id="a veiled place"),
        pytest.param({"path": 2**64}, "argument 'path' holds a whole number beyond 64 bits", id="a large integer"),
        pytest.param({"path": [None]}, "null inside a list", id="a null in a list"),
        pytest.param({"path": {"__entity": {"type": "Role", "id": "x"}}}, "reserves", id="a forged entity"),
        pytest.param({"path": "\ud800"}, "cannot judge", id="a lone surrogate"),
    ],
)
def test_what_cannot_be_judged_is_denied(arguments: dict[str, object], detail: str) -> None:
    ruling = _slice(*EXAMPLE).decide(arguments)
    assert (ruling.decide, ruling.rule) == ("deny", ERROR_RULE)
    assert detail in (ruling.detail or "")


@pytest.mark.parametrize("decide", ["allow", "ask", "deny"])
def test_a_rule_that_reads_an_absent_argument_denies_whatever_it_decides(decide: Decide) -> None:
    ruling = _slice(FakeRule("odd", decide, when="context.args.n > 3")).decide({})
    assert (ruling.decide, ruling.rule) == ("deny", ERROR_RULE)
    assert "rule 'odd' could not be evaluated" in (ruling.detail or "")


def test_a_denial_that_stands_is_told_rather_than_an_error() -> None:
    ruling = _slice(FakeRule("odd", when="context.args.n > 3"), FakeRule("firm", when="context.args has m")).decide(
        {"m": 1}
    )
    assert ruling.rule == "firm"


def test_an_error_is_not_approved_away() -> None:
    held = _slice(FakeRule("odd", "ask", when="context.args.n > 3"))
    assert held.decide({}, approved=True).rule == ERROR_RULE


def test_numbers_are_compared_as_the_rule_compares_them() -> None:
    held = _slice(FakeRule("dear", when='context.args has eur && context.args.eur.greaterThan(decimal("9.5"))'))
    assert [held.decide({"eur": eur}).decide for eur in (9, 9.5, 9.51, 10)] == ["allow", "allow", "deny", "deny"]


def test_labels_count_where_a_rule_reads_them() -> None:
    held = _slice(*EXAMPLE, tool=WRITE)
    assert held.decide({}).decide == "allow"
    assert held.decide({}, {"untrusted"}).matched == (("no-writes-after-untrusted-input", "ask"),)
    assert held.decide({}, {"untrusted"}, approved=True).decide == "allow"


def test_a_forbid_of_a_cedar_file_that_an_approval_lifts_is_an_ask() -> None:
    source = '@id("f") forbid (principal, action, resource) unless { context.approved };'
    held = compile_rules([], "allow", [("x.cedar", source)]).slice(ANA, "tools/call", READ)
    assert (held.decide({}).decide, held.decide({}, approved=True).decide) == ("ask", "allow")


def test_names_that_no_rule_reads_may_be_alike() -> None:
    assert _slice(*EXAMPLE).decide({"path": "/a", "Other": 1, "other": 2}).decide == "allow"
    assert _slice(FakeRule(tools=("ci__*",), when="context.args.path == 1")).decide({"Path": 1}).decide == "allow"


def test_names_inside_of_arguments_are_read_exactly_too() -> None:
    held = _slice(FakeRule(when='context.args has to && context.args.to has path && context.args.to.path like "/x*"'))
    assert held.decide({"to": {"path": "/a", "n": 1}}).decide == "allow"
    assert held.decide({"to": {"path": "/a", "PATH": "/x"}}).rule == ERROR_RULE


@pytest.mark.parametrize(
    ("plain", "asked", "expected"),
    [
        pytest.param(Ruling("allow", "p"), Ruling("deny", "default"), "allow", id="the default is no rule's word"),
        pytest.param(Ruling("allow", "p"), Ruling("deny", "q"), "deny", id="a rule holds back either spelling"),
        pytest.param(Ruling("allow", "p"), Ruling("ask", "q"), "ask", id="or asks for it"),
        pytest.param(Ruling("deny", "default"), Ruling("allow", "q"), "deny", id="and lets nothing more through"),
        pytest.param(Ruling("ask", "p"), Ruling("allow", "q"), "ask", id="nor without a person"),
    ],
)
def test_a_respelled_resource_is_judged_by_its_plain_uri_and_held_back_by_both(
    plain: Ruling, asked: Ruling, expected: str
) -> None:
    held = Respelled(Settled(plain), Settled(asked))
    assert held.decide({}).decide == expected
    assert held.decide({}, approved=True).decide == ("allow" if expected == "ask" else expected)
    assert held.canonical(arguments := {"a": 1}) is arguments
    assert held.anchored(arguments) is arguments
