"""Rules and Cedar files as checked policies: what can be found wrong is found at load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import cedarpy

from fuseboard.cedar.ast import Node, Wants, split, wants
from fuseboard.cedar.text import DEFAULT_ID, Decide, RuleLike, rule_policies
from fuseboard.cedar.types import problems, usage
from fuseboard.errors import ConfigError
from fuseboard.events import Effect

_SCANNED_CHARS: Final = 4_000
_TOKEN: Final = re.compile(r"[`']([^`']+)[`']")
_RESERVED: Final = frozenset({DEFAULT_ID, "cedar.error"})
_VARIABLES: Final = frozenset({"principal", "action", "resource", "context"})
_BEFORE: Final = "permit (principal, action, resource) when { "
_APPROVED: Final = {".": {"left": {"Var": "context"}, "attr": "approved"}}
_ONCE_APPROVED: Final = {"kind": "when", "body": _APPROVED}
_UNLESS_APPROVED: Final = {"kind": "unless", "body": _APPROVED}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a rule, or with a Cedar file. ``column`` counts from 1, within ``when`` or ``line``."""

    rule: str
    message: str
    line: int | None = None
    column: int | None = None
    fatal: bool = True

    def __str__(self) -> str:
        place = f", line {self.line}" if self.line else ""
        place += f", column {self.column}" if self.column else ""
        return f"{self.rule}{place}: {self.message}"


class RuleError(ConfigError):
    """Rules that cannot be used; ``findings`` says each place."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class CheckedPolicy:
    """One Cedar policy and the rule that it belongs to, split as :func:`fuseboard.cedar.ast.split` says."""

    rule: str
    decide: Decide
    say: str | None
    node: Node
    head: Node
    rest: Node | None
    wants: Wants
    types: Mapping[tuple[str, ...], str | None]
    """The Cedar type that each argument's use implies, by its path; ``None`` where it implies none."""
    decimals: frozenset[str]

    @property
    def permits(self) -> bool:
        return bool(self.node["effect"] == "permit")


def checked(rule: str, decide: Decide, say: str | None, node: Node) -> CheckedPolicy:
    head, rest = split(node)
    used = usage(node)
    return CheckedPolicy(rule, decide, say, node, head, rest, wants(rest or []), used.types, used.decimals())


def parsed(text: str) -> list[Node]:
    """The policies of a Cedar text in its JSON form, in their order.

    Raises:
        ValueError: it is not Cedar, or holds a template.
    """
    document = json.loads(cedarpy.policies_to_json_str(text))
    if document["templates"]:
        raise ValueError("templates (?principal, ?resource) cannot be used: nothing links them")
    policies: dict[str, Node] = document["staticPolicies"]
    return [policies[id] for id in sorted(policies, key=lambda id: int(id.removeprefix("policy")))]


def rendered(node: Node) -> str:
    """``node`` as Cedar text."""
    document = {"staticPolicies": {"policy0": node}, "templates": {}, "templateLinks": []}
    return cedarpy.format_policies(cedarpy.policies_from_json_str(json.dumps(document)), line_width=100)


def repeated(ids: Sequence[str]) -> list[Finding]:
    """The ids that stand for two rules, or for something of ours."""
    found = [Finding(id, "another rule has the same id") for id in dict.fromkeys(ids) if ids.count(id) > 1]
    return found + [Finding(id, "this id is reserved") for id in ids if id in _RESERVED]


def check_rule(rule: RuleLike, default: Decide) -> tuple[list[CheckedPolicy], list[Finding]]:
    """The policies of one rule of the configuration, and what is to be said about it."""
    findings = list(_misnamed(rule))
    texts = rule_policies(rule, default, rule.when)
    try:
        nodes = _whole(texts, rule_policies(rule, default, rule.when and "true"))
    except ValueError as fault:
        return [], [*findings, Finding(rule.id, str(fault), column=_column(rule.when or "", str(fault)))]
    for message, fatal in problems(texts[0], nodes[0]):
        findings.append(Finding(rule.id, message, column=_mention(rule.when or "", message), fatal=fatal))
    return [checked(rule.id, rule.decide, rule.say, node) for node in nodes], findings


def check_source(name: str, text: str, default: Decide) -> tuple[list[CheckedPolicy], list[Finding], str]:
    """The policies of one Cedar file, what is to be said about it, and its text as it is meant."""
    try:
        nodes = parsed(text)
    except ValueError as fault:
        line, column = _line(text, _column(text, str(fault), before=""))
        return [], [Finding(name, str(fault), line, column)], ""
    policies: list[CheckedPolicy] = []
    findings: list[Finding] = []
    asks = False
    for number, node in enumerate(nodes, 1):
        annotations = node.get("annotations") or {}
        id = annotations.get("id") or f"{name}#{number}"
        decide, wrong = _decide(node, annotations.get("decide"))
        if wrong:
            findings.append(Finding(id, wrong))
            continue
        asks |= decide == "ask"
        for meant in _meant(node, decide, default):
            policies.append(checked(id, decide, annotations.get("say"), meant))
        findings += [Finding(id, message, fatal=fatal) for message, fatal in problems(rendered(node), node)]
    return policies, findings, "\n".join(rendered(policy.node) for policy in policies) if asks else text


def _decide(node: Node, annotation: str | None) -> tuple[Decide, str | None]:
    plain: Decide = "allow" if node["effect"] == "permit" else "deny"
    if annotation == "ask" and (plain == "deny" or wants(node).approved):
        return "ask", None
    if annotation in (None, plain):
        return plain, None
    told = 'a forbid is "deny" or "ask", a permit "allow", or "ask" if it reads context.approved'
    return plain, f'@decide("{annotation}") cannot stand here: {told}'


def _meant(node: Node, decide: Decide, default: Decide) -> list[Node]:
    """A forbid that is annotated as an ask gives way to an approval, as the ask of a rule does."""
    if decide != "ask" or node["effect"] == "permit":
        return [node]
    asking = {**node, "conditions": [*node["conditions"], _UNLESS_APPROVED]}
    if default != "deny":
        return [asking]
    return [asking, {**node, "effect": "permit", "conditions": [*node["conditions"], _ONCE_APPROVED]}]


def _whole(texts: Sequence[str], plain: Sequence[str]) -> list[Node]:
    """The policies of ``texts``. Braces in ``when`` must not smuggle in a policy or a clause that ``plain`` has not."""
    nodes = [node for text in texts for node in parsed(text)]
    model = [node for text in plain for node in parsed(text)]
    if [len(node["conditions"]) for node in nodes] != [len(node["conditions"]) for node in model]:
        raise ValueError("it has to be one expression, and braces end this one early")
    return nodes


def _misnamed(rule: RuleLike) -> Iterator[Finding]:
    for field in ("tools", "prompts", "upstream", "principals"):
        for glob in getattr(rule, field):
            if any(char in glob for char in "?[]"):
                yield Finding(rule.id, f"{field}: {glob!r}: only * is a wildcard, and no name holds ? or [")
            if glob.startswith("role:") and "*" in glob:
                yield Finding(rule.id, f"{field}: {glob!r}: a role is named in full")
    for effect in rule.effect:
        if effect not in set(Effect):
            close = get_close_matches(effect, map(str, Effect), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield Finding(rule.id, f"effect: {effect!r} is none of {', '.join(Effect)}{hint}")


def _column(text: str, message: str, before: str = _BEFORE) -> int | None:
    """Where ``message`` arose in ``text``, counted from 1. Cedar's binding names the token, but not its place."""
    if len(text) > _SCANNED_CHARS:
        return None
    if message == "invalid token":
        starts: Iterator[int] = (i for i in range(len(text), -1, -1) if _fault(before + text[:i]) != message)
        return next(starts, 0) + 1
    if (token := _TOKEN.search(message)) is None or "unexpected token" not in message:
        return _mention(text, message)
    # The parser stops at the first wrong token: all before it can still become a policy.
    places = [match.start() for match in re.finditer(re.escape(token[1]), text)]
    viable = [place for place in places if "unexpected end" in (_fault(before + text[:place]) or "unexpected end")]
    return viable[-1] + 1 if viable else len(text) + 1


def _fault(text: str) -> str | None:
    try:
        cedarpy.PolicySet.from_str(text)
    except ValueError as fault:
        return str(fault)
    return None


def _mention(text: str, message: str) -> int | None:
    """Where something that ``message`` quotes or ends with stands in ``text``, counted from 1."""
    for token in [*_TOKEN.findall(message), message.rpartition(": ")[2]]:
        for wanted in (token, token.split(".")[-1]):
            place = text.find(wanted)
            if place >= 0 and wanted not in _VARIABLES:
                return place + 1
    return None


def _line(text: str, column: int | None) -> tuple[int | None, int | None]:
    if column is None:
        return None, None
    before = text[: column - 1]
    return before.count("\n") + 1, len(before) - before.rfind("\n")
