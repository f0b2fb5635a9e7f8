from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cedar.rules import compile_rules
from fuseboard.cedar.text import Decide
from fuseboard.events import Caller, CallReturned, Effect, Tool, ToolListed
from fuseboard.policies.permissions import PermissionsPolicy
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict, name_of
from support.judging import ANA, DEPLOY, EXAMPLE, READ, WRITE, FakeRule, call

ON_PATHS = compile_rules(EXAMPLE, "allow")


def _judge(
    tool: Tool = READ,
    arguments: dict[str, Any] | None = None,
    rules: Sequence[FakeRule] = EXAMPLE,
    default: Decide = "allow",
    **more: Any,
) -> Verdict:
    return PermissionsPolicy(compile_rules(rules, default)).decide(call(tool, arguments, **more), EMPTY)


def test_a_call_that_no_rule_matches_names_the_default() -> None:
    assert _judge() == Allow("default", {"matched": [], "default": True})


def test_an_allow_names_its_rule() -> None:
    verdict = _judge(rules=[FakeRule("reads", "allow", effect=("read",))], default="deny")
    assert verdict == Allow("reads", {"matched": [{"rule": "reads", "decide": "allow"}], "default": False})


def test_a_denial_says_what_the_rule_says() -> None:
    verdict = _judge(READ, {"path": "/home/ana/.ssh/id"})
    assert verdict == Deny(
        "no-secret-files",
        "Secret files are out of bounds. Ask the user for the value that you need.",
        {"matched": [{"rule": "no-secret-files", "decide": "deny"}], "default": False},
    )


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        pytest.param(
            _judge(rules=[FakeRule("r")]),
            'Denied calling files__read_file: rule "r" forbids it. '
            "Do not try again; do it another way, or tell the user.",
            id="a rule without words",
        ),
        pytest.param(
            _judge(rules=[], default="deny"),
            "Denied calling files__read_file: no rule allows it. "
            "Do not try again; do it another way, or tell the user.",
            id="the default",
        ),
        pytest.param(
            _judge(rules=[FakeRule("r", when="context.args.n > 1")], arguments={"n": "x"}),
            "Denied calling files__read_file: rule 'r' could not be evaluated: argument 'n' is a string, "
            "and the rule needs a whole number. "
            "Correct what is named there, or do it another way.",
            id="a rule that cannot be evaluated",
        ),
        pytest.param(
            _judge(Tool("files", "file:///a/../b", "file:///a/../b", Effect.READ), method="resources/read"),
            "Denied reading file:///a/../b: resources are read by their plain URI: file:///b. "
            "Correct what is named there, or do it another way.",
            id="a resource under a crooked URI",
        ),
        pytest.param(
            _judge(DEPLOY),
            'A person has to approve calling ci__deploy. Rule "destructive-needs-a-person" asks for it.',
            id="an ask",
        ),
        pytest.param(
            _judge(rules=[FakeRule("r", "ask", say="Say which file and why.")]),
            'A person has to approve calling files__read_file. Rule "r" asks for it. Say which file and why.',
            id="an ask with words",
        ),
        pytest.param(
            _judge(rules=[], default="ask"),
            "A person has to approve calling files__read_file. No rule allows it outright.",
            id="the default asks",
        ),
    ],
)
def test_reasons_are_written_for_the_model(verdict: Verdict, reason: str) -> None:
    assert isinstance(verdict, Deny | Hold)
    assert verdict.reason == reason


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        pytest.param({"path": "/data/x"}, "allow", id="a plain path goes as it came"),
        pytest.param({"path": "/data/../x"}, "rewrite", id="a crooked path goes straightened"),
        pytest.param({"path": "/data/../home/.ssh/id"}, "deny", id="and is judged so"),
        pytest.param({"path": "/home/.%73sh/id"}, "deny", id="in every spelling"),
        pytest.param({"path": "/home\\.ssh\\id"}, "deny", id="backslashes as well"),
        pytest.param({"path": "/x", "other_path": "/a/../b"}, "allow", id="what no rule reads stays as it is"),
    ],
)
def test_paths_are_judged_and_sent_in_their_one_spelling(arguments: dict[str, Any], verdict: str) -> None:
    assert name_of(_judge(READ, arguments)) == verdict


def test_characters_that_a_url_parser_drops_do_not_get_past_an_allow_rule() -> None:
    rules = [FakeRule("ok", "allow", when='context.args has uri && context.args.uri like "file:///data/*"')]
    uris = ["file:///data/x", "file:///data/..\n/etc/passwd", "file:///data/.\t./etc/passwd", "file:///data/x\r"]
    verdicts = [_judge(READ, {"uri": uri}, rules, "deny") for uri in uris]
    assert [name_of(verdict) for verdict in verdicts] == ["allow", "deny", "deny", "deny"]
    assert [verdict.rule for verdict in verdicts[1:]] == ["cedar.error"] * 3


def test_an_argument_in_other_letters_does_not_get_past_a_deny_rule() -> None:
    verdict = _judge(READ, {"path": "/ok", "Path": "/home/u/.ssh/id_rsa"})
    assert isinstance(verdict, Deny)
    assert verdict.rule == "cedar.error"
    assert "argument 'Path' is not 'path'" in verdict.reason


def test_a_rewrite_tells_what_it_changed_and_who_allowed_it() -> None:
    assert _judge(READ, {"path": "/data/../x", "n": 1}) == Rewrite(
        "canonical-path",
        "written in their one spelling, as the rules judged them: path",
        {"path": "/x", "n": 1},
        {"matched": [], "default": True, "allowed_by": "default", "canonical": ["path"]},
    )


def test_where_no_rule_reads_paths_none_is_touched() -> None:
    assert name_of(_judge(READ, {"path": "/data/../x"}, rules=EXAMPLE[1:])) == "allow"


@pytest.mark.parametrize(
    ("tool", "caller", "rules", "default", "shown"),
    [
        pytest.param(READ, ANA, EXAMPLE, "allow", True, id="some calls are allowed"),
        pytest.param(DEPLOY, ANA, EXAMPLE, "allow", True, id="a person may allow it"),
        pytest.param(READ, ANA, [], "deny", False, id="nothing allows it"),
        pytest.param(READ, ANA, [FakeRule("r", principals=("ana",))], "allow", False, id="not to her"),
        pytest.param(READ, Caller("bob"), [FakeRule("r", principals=("ana",))], "allow", True, id="but to him"),
        pytest.param(WRITE, ANA, [FakeRule("r", "allow", when="context.args has dry")], "deny", True, id="if run dry"),
    ],
)
def test_a_listing_shows_what_the_caller_may_call_at_all(
    tool: Tool, caller: Caller, rules: Sequence[FakeRule], default: Decide, shown: bool
) -> None:
    policy = PermissionsPolicy(compile_rules(rules, default))
    verdict = policy.decide(ToolListed(0.0, caller, tool), EMPTY)
    assert isinstance(verdict, Allow if shown else Deny)


def test_results_are_not_its_question() -> None:
    event = CallReturned(1.0, call(), "ok", {})
    policy = PermissionsPolicy(ON_PATHS)
    assert policy.decide(event, EMPTY) == Allow()
    assert policy.keys(event) == ()


_TEXTS = st.text("/.~%2e\\ahs", max_size=12) | st.sampled_from(["/.ssh/x", "/data/x", "file:///.ssh/../.ssh/x"])


@given(path=st.none() | st.integers() | st.floats() | _TEXTS | st.lists(_TEXTS, max_size=2))
def test_what_is_sent_is_what_was_judged(path: Any) -> None:
    policy = PermissionsPolicy(ON_PATHS)
    verdict = policy.decide(call(READ, {"path": path}), EMPTY)
    if isinstance(verdict, Rewrite):
        again = policy.decide(call(READ, verdict.replacement), EMPTY)
        assert isinstance(again, Allow)
        assert "/.ssh/" not in str(verdict.replacement["path"])
    json.dumps(dict(verdict.facts))


@given(path=_TEXTS)
def test_a_call_and_its_listing_never_disagree(path: str) -> None:
    policy = PermissionsPolicy(ON_PATHS)
    if isinstance(policy.decide(ToolListed(0.0, ANA, READ), EMPTY), Deny):
        assert isinstance(policy.decide(call(READ, {"path": path}), EMPTY), Deny)


@pytest.mark.parametrize(
    "path", [".ssh/id", "./.ssh/id", "x/../.ssh/id", "a/.ssh/id", "/home/ana/.ssh/id", "~/.ssh/id", "%2Essh/id"]
)
def test_a_secret_file_is_one_from_wherever_its_path_starts(path: str) -> None:
    verdict = _judge(READ, {"path": path})
    assert isinstance(verdict, Deny)
    assert verdict.rule == "no-secret-files"


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        pytest.param("docs/a", "allow", id="where its pattern fits the path as it is"),
        pytest.param("src/a", "deny", id="not where it does not"),
        pytest.param("docs/../src/a", "deny", id="nor where it only seems to"),
    ],
)
def test_a_rule_that_allows_relative_paths_still_does(path: str, verdict: str) -> None:
    rules = [FakeRule("docs", "allow", when='context.args has path && context.args.path like "docs/*"')]
    assert name_of(_judge(READ, {"path": path}, rules, "deny")) == verdict
