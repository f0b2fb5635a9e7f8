"""The rules as a whole, and against a model of our own: thousands of random calls under random rules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuseboard.cedar.check import RuleError
from fuseboard.cedar.rules import ERROR_RULE, RuleSet, compile_rules
from fuseboard.cedar.text import Decide
from fuseboard.events import Caller, Effect, Tool
from support.judging import ANA, DEPLOY, EXAMPLE, READ, WRITE, FakeRule


def _decide(
    rules: RuleSet,
    tool: Tool,
    arguments: Mapping[str, Any] | None = None,
    labels: Collection[str] = (),
    *,
    caller: Caller = ANA,
    method: str = "tools/call",
    approved: bool = False,
) -> tuple[str, str]:
    ruling = rules.slice(caller, method, tool).decide(arguments or {}, labels, approved=approved)
    return ruling.decide, ruling.rule


@pytest.mark.parametrize(
    ("tool", "arguments", "labels", "expected"),
    [
        pytest.param(READ, {"path": "/a"}, (), ("allow", "default"), id="what no rule matches"),
        pytest.param(READ, {"path": "/a/.ssh/id"}, (), ("deny", "no-secret-files"), id="a secret file"),
        pytest.param(READ, {}, (), ("allow", "default"), id="has guards an absent argument"),
        pytest.param(READ, {"path": None}, (), ("allow", "default"), id="null is absent"),
        pytest.param(DEPLOY, {}, (), ("ask", "destructive-needs-a-person"), id="a destructive tool"),
        pytest.param(WRITE, {}, (), ("allow", "default"), id="a write before untrusted input"),
        pytest.param(WRITE, {}, ("untrusted",), ("ask", "no-writes-after-untrusted-input"), id="and after"),
        pytest.param(
            WRITE, {"path": "/.ssh/x"}, ("untrusted",), ("deny", "no-secret-files"), id="deny goes before ask"
        ),
    ],
)
def test_the_rules_of_the_example(
    tool: Tool, arguments: dict[str, Any], labels: tuple[str, ...], expected: tuple[str, str]
) -> None:
    assert _decide(compile_rules(EXAMPLE, "allow"), tool, arguments, labels) == expected


@pytest.mark.parametrize("default", ["allow", "ask", "deny"])
def test_the_default_is_for_what_no_rule_matches(default: Decide) -> None:
    rules = compile_rules(
        [FakeRule("reads", "allow", effect=("read",)), FakeRule("w", "ask", effect=("write",))], default
    )
    assert _decide(rules, READ) == ("allow", "reads")
    assert _decide(rules, WRITE) == ("ask", "w")
    assert _decide(rules, WRITE, approved=True)[0] == "allow"
    assert _decide(rules, DEPLOY) == (default, "default")


@pytest.mark.parametrize(
    ("rule", "hit", "miss"),
    [
        pytest.param(FakeRule(tools=("files__read_*",)), READ, WRITE, id="the qualified name"),
        pytest.param(
            FakeRule(tools=("deploy",)), Tool("ci", "deploy", "deploy"), DEPLOY, id="the bare name, if exposed so"
        ),
        pytest.param(FakeRule(upstream=("ci",)), DEPLOY, READ, id="the upstream"),
        pytest.param(FakeRule(effect=("write", "destructive")), DEPLOY, READ, id="the effect"),
        pytest.param(FakeRule(tools=("files__[x]*", "*ploy")[1:]), DEPLOY, READ, id="a glob in front"),
    ],
)
def test_a_rule_applies_where_all_that_it_names_applies(rule: FakeRule, hit: Tool, miss: Tool) -> None:
    rules = compile_rules([rule], "allow")
    assert (_decide(rules, hit)[0], _decide(rules, miss)[0]) == ("deny", "allow")


@pytest.mark.parametrize(
    ("principals", "denied"),
    [
        (("ana",), ["ana"]),
        (("*a",), ["ana"]),
        (("role:ops",), ["bob"]),
        (("role:ops", "ana"), ["ana", "bob"]),
        (("role:op",), []),
    ],
)
def test_principals_by_name_and_role(principals: tuple[str, ...], denied: list[str]) -> None:
    rules = compile_rules([FakeRule(principals=principals)], "allow")
    callers = [Caller("ana", ("editor",)), Caller("bob", ("ops", "editor")), Caller('e"\n::vil')]
    assert [caller.principal for caller in callers if _decide(rules, READ, caller=caller)[0] == "deny"] == denied


def test_tools_prompts_and_resources_are_told_apart() -> None:
    rules = compile_rules([FakeRule("t", tools=("*",)), FakeRule("p", prompts=("*",))], "allow")
    methods = ("tools/call", "prompts/get", "resources/read")
    assert [_decide(rules, READ, method=method)[1] for method in methods] == ["t", "p", "default"]


def test_a_resource_is_judged_by_its_plain_uri_alone() -> None:
    rules = compile_rules([FakeRule("etc", resources=("file:///etc/*",))], "allow")

    def read(uri: str) -> tuple[str, str]:
        return _decide(rules, Tool("files", uri, uri, Effect.READ), method="resources/read")

    assert read("file:///etc/passwd") == ("deny", "etc")
    assert read("file:///data/../etc/passwd") == ("deny", "canonical-uri")
    assert read("file:///data/%2e%2e/etc/passwd") == ("deny", "canonical-uri")
    assert read(" file:///etc/passwd") == ("deny", "canonical-uri")
    assert read("fi\nle:///etc/passwd") == ("deny", "canonical-uri")
    assert read("file:///data/x") == ("allow", "default")


@pytest.mark.parametrize("uri", ["file:///größe.md", "file:///gr%C3%B6%C3%9Fe.md", "https://x/größe?q=ü", "a:ü"])
def test_a_rule_about_tools_leaves_resources_readable_however_they_are_spelt(uri: str) -> None:
    rules = compile_rules([FakeRule("no-deploys", tools=("ci__*",))], "allow")
    assert _decide(rules, Tool("files", uri, uri, Effect.READ), method="resources/read") == ("allow", "default")


@pytest.mark.parametrize("written", ["file:///geheim/ü*", "file:///geheim/%C3%BC*", "*/ü*", "*/%C3%BC*"])
@pytest.mark.parametrize("asked", ["file:///geheim/übung", "file:///geheim/%C3%BCbung"])
@pytest.mark.parametrize("decide", ["allow", "ask", "deny"])
def test_a_rule_and_a_caller_may_spell_a_resource_either_way(written: str, asked: str, decide: Any) -> None:
    rules = compile_rules([FakeRule("r", decide, resources=(written,))], "deny" if decide == "allow" else "allow")

    def read(uri: str) -> str:
        return _decide(rules, Tool("files", uri, uri, Effect.READ), method="resources/read")[0]

    assert read(asked) == decide
    assert read("file:///frei/x") != decide


@pytest.mark.parametrize("asked", ["file:///geheim/übung", "file:///geheim/%C3%BCbung"])
@pytest.mark.parametrize("written", ["übung", "%C3%BCbung"])
def test_a_forbid_in_cedar_holds_for_the_spelling_that_it_names(asked: str, written: str) -> None:
    source = 'permit (principal, action, resource);\n@id("r") forbid (principal, action == Action::"read", resource)'
    rules = compile_rules([], "deny", [("x.cedar", f'{source} when {{ resource.name like "*{written}" }};')])
    denied = _decide(rules, Tool("files", asked, asked, Effect.READ), method="resources/read")[0] == "deny"
    assert denied is (written == "%C3%BCbung" or not asked.isascii())


def test_a_crooked_uri_stays_unreadable_in_other_letters_too() -> None:
    rules = compile_rules([FakeRule("r", tools=("x",))], "allow")
    for uri in ("file:///a/../ü", "file:///ü/%2e%2e/b", "file:///ü\n", "file:///%61ü"):
        said = _decide(rules, Tool("files", uri, uri, Effect.READ), method="resources/read")
        assert said == ("deny", "canonical-uri")


@pytest.mark.parametrize(
    ("default", "rules", "listed"),
    [
        pytest.param("allow", (), True, id="by default"),
        pytest.param("deny", (), False, id="not by default"),
        pytest.param("ask", (), True, id="a person may let it"),
        pytest.param("allow", (FakeRule(tools=("files__*",)),), False, id="denied outright"),
        pytest.param("allow", (FakeRule(when="context.args has path"),), True, id="denied for some arguments"),
        pytest.param("deny", (FakeRule(decide="allow", when="context.args has path"),), True, id="allowed for some"),
        pytest.param("deny", (FakeRule(decide="ask"),), True, id="a person may let it, by rule"),
        pytest.param("deny", (FakeRule(decide="allow", principals=("bob",)),), False, id="allowed for another"),
    ],
)
def test_listed_is_what_some_call_could_reach(default: Decide, rules: tuple[FakeRule, ...], listed: bool) -> None:
    ruling = compile_rules(rules, default).slice(ANA, "tools/call", READ).listed()
    assert (ruling.decide == "allow") is listed


def test_the_text_is_cedar_that_a_person_can_review() -> None:
    text = compile_rules(EXAMPLE, "allow", [("extra.cedar", "permit (principal, action, resource);")]).text
    assert "// no-secret-files: Secret files are out of bounds." in text
    assert "// from extra.cedar\n" in text
    assert text.endswith(
        '// default: allow, for a call that no rule matches\n@id("default")\n@decide("allow")\n'
        "permit (principal, action, resource);\n"
    )


def test_every_fatal_finding_is_told_at_once() -> None:
    with pytest.raises(RuleError) as raised:
        compile_rules([FakeRule("a", when="(("), FakeRule("b", when="))")], "allow", [("x.cedar", "nonsense")])
    assert [finding.rule for finding in raised.value.findings] == ["a", "b", "x.cedar"]


def test_warnings_stay_with_the_rules() -> None:
    (finding,) = compile_rules([FakeRule(when='context.args.path like "x"')], "allow").findings
    assert not finding.fatal


def test_without_rules_no_engine_is_loaded() -> None:
    code = (
        "import sys; from fuseboard.cedar.rules import compile_rules; from fuseboard.events import Caller, Tool\n"
        "compile_rules([], 'allow').slice(Caller('a'), 'tools/call', Tool('u', 't', 't')).decide({})\n"
        "raise SystemExit('cedarpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the model -------------------------------------------------------------------------------------------------------


class Broken(Exception):
    """The condition cannot be evaluated."""


@dataclass(frozen=True)
class World:
    caller: Caller
    tool: Tool
    args: Mapping[str, Any]
    labels: frozenset[str]
    approved: bool


@dataclass(frozen=True)
class Condition:
    """A condition as Cedar text and as what it means."""

    text: str
    holds: Callable[[World], bool]


def _like(pattern: str, text: Any) -> bool:
    if not isinstance(text, str):
        raise Broken
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _read(world: World, name: str) -> Any:
    if world.args.get(name) is None:
        raise Broken
    return world.args[name]


def _more(world: World, name: str, limit: int) -> bool:
    value = _read(world, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Broken
    return value > limit


_NAMES = st.sampled_from(["path", "n"])
_PATTERNS = st.sampled_from(["*", "/data/*", "*/.ssh/*", "/data/x", "*x"])
_ATOMS = st.one_of(
    st.builds(lambda n: Condition(f"context.args has {n}", lambda w: w.args.get(n) is not None), _NAMES),
    st.builds(
        lambda n, p: Condition(f'context.args.{n} like "{p}"', lambda w: _like(p, _read(w, n))), _NAMES, _PATTERNS
    ),
    st.builds(lambda n, i: Condition(f"context.args.{n} > {i}", lambda w: _more(w, n, i)), _NAMES, st.integers(-2, 2)),
    st.builds(lambda x: Condition(f'context.labels.contains("{x}")', lambda w: x in w.labels), st.sampled_from("ab")),
    st.builds(lambda e: Condition(f'resource.effect == "{e}"', lambda w: w.tool.effect == e), st.sampled_from(Effect)),
    st.builds(
        lambda r: Condition(f'principal in Role::"{r}"', lambda w: r in w.caller.roles), st.sampled_from(["ops", "x"])
    ),
    st.just(Condition("context.approved", lambda w: w.approved)),
)
_CONDITIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda a: Condition(f"!({a.text})", lambda w: not a.holds(w)), inner),
        st.builds(
            lambda a, b: Condition(f"({a.text}) && ({b.text})", lambda w: a.holds(w) and b.holds(w)), inner, inner
        ),
        st.builds(
            lambda a, b: Condition(f"({a.text}) || ({b.text})", lambda w: a.holds(w) or b.holds(w)), inner, inner
        ),
    ),
    max_leaves=4,
)


@dataclass(frozen=True)
class ModelRule:
    rule: FakeRule
    condition: Condition | None

    def holds(self, world: World) -> bool:
        rule, tool = self.rule, world.tool
        in_scope = (
            (not rule.tools or any(_like(g, n) for g in rule.tools for n in (tool.qualified, tool.exposed)))
            and (not rule.upstream or any(_like(g, tool.upstream) for g in rule.upstream))
            and (not rule.effect or tool.effect in rule.effect)
            and (not rule.principals or world.caller.principal in rule.principals)
        )
        return in_scope and (self.condition is None or self.condition.holds(world))


def _model(rules: Collection[ModelRule], default: Decide, world: World) -> str:
    """Deny > unjudgeable > ask > allow > default, with an ask being a denial that an approval lifts."""

    def settle(world: World) -> str:
        held: set[str] = set()
        for rule in rules:
            try:
                held |= {rule.rule.decide} if rule.holds(world) else set()
            except Broken:
                held |= {ERROR_RULE}
        if "deny" in held:
            return "deny"
        if ERROR_RULE in held:
            return ERROR_RULE
        if "ask" in held:
            return "allow" if world.approved else "ask"
        if "allow" in held:
            return "allow"
        if default == "deny":
            return "no rule"
        return "allow" if default == "ask" and world.approved else default

    now = settle(world)
    if now == "allow" or world.approved:
        return "deny" if now == "no rule" else now
    approved = settle(World(world.caller, world.tool, world.args, world.labels, True))
    if approved == "deny":
        return "deny"
    if ERROR_RULE in (now, approved):
        return ERROR_RULE
    return "ask" if approved == "allow" else "deny"


def _some(*options: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(options), max_size=2, unique=True).map(tuple)


@st.composite
def _rule_sets(draw: st.DrawFn) -> list[ModelRule]:
    rules = []
    for number in range(draw(st.integers(1, 4))):
        condition = draw(st.none() | _CONDITIONS)
        rule = FakeRule(
            f"r{number}",
            draw(st.sampled_from(["allow", "ask", "deny"])),
            tools=draw(_some("files__*", "*read*", "ci__deploy", "deploy")),
            upstream=draw(_some("files", "c*")),
            effect=draw(_some("read", "write")),
            principals=draw(_some("ana", "bob")),
            when=condition.text if condition else None,
        )
        rules.append(ModelRule(rule, condition))
    return rules


_WORLDS = st.builds(
    World,
    caller=st.sampled_from([Caller("ana", ("ops",)), Caller("bob"), Caller("eve", ("x", "ops"))]),
    tool=st.sampled_from([READ, WRITE, DEPLOY, Tool("ci", "deploy", "deploy", Effect.WRITE)]),
    args=st.dictionaries(
        _NAMES, st.sampled_from(["/data/x", "/a/.ssh/x", "", None, 0, 2, True, ["x"], {"y": 1}]), max_size=2
    ),
    labels=st.frozensets(st.sampled_from("ab")),
    approved=st.booleans(),
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rules=_rule_sets(),
    default=st.sampled_from(["allow", "ask", "deny"]),
    worlds=st.lists(_WORLDS, min_size=20, max_size=30),
    given_as=st.sampled_from(["rules", "rules backwards", "the text that is shown"]),
)
def test_cedar_decides_as_the_model_does(
    rules: list[ModelRule], default: Decide, worlds: list[World], given_as: str
) -> None:
    plain = [model.rule for model in rules]
    compiled = compile_rules(plain[::-1] if given_as == "rules backwards" else plain, default)
    if given_as == "the text that is shown":
        compiled = compile_rules([], "deny", [("shown.cedar", compiled.text)])
    for world in worlds:
        decide, rule = _decide(
            compiled, world.tool, world.args, world.labels, caller=world.caller, approved=world.approved
        )
        said = ERROR_RULE if rule == ERROR_RULE else decide
        assert said == _model(rules, default, world), (compiled.text, world)


@settings(max_examples=100, deadline=None)
@given(rules=_rule_sets(), more=_rule_sets(), worlds=st.lists(_WORLDS, min_size=5, max_size=10))
def test_another_forbid_never_allows_more(rules: list[ModelRule], more: list[ModelRule], worlds: list[World]) -> None:
    denial = FakeRule("more", "deny", tools=more[0].rule.tools, when=more[0].rule.when)
    before = compile_rules([model.rule for model in rules], "allow")
    after = compile_rules([*(model.rule for model in rules), denial], "allow")
    for world in worlds:
        if _decide(after, world.tool, world.args, world.labels, caller=world.caller)[0] == "allow":
            assert _decide(before, world.tool, world.args, world.labels, caller=world.caller)[0] == "allow"
