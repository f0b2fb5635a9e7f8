"""A rule of the configuration as Cedar text that a person can review.

A deny is a ``forbid``. An ask is a ``forbid`` that an approval lifts: ``unless { context.approved }``. An allow is a
``permit``. What no rule matches meets the default, a ``permit`` of everything, of everything that is approved, or
none. So deny > ask > allow is Cedar's own "forbid overrides permit", and no order enters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias

from fuseboard.cedar.paths import spelt_out

Decide: TypeAlias = Literal["allow", "ask", "deny"]

APPROVED: Final = "context.approved"
DEFAULT_ID: Final = "default"


class RuleLike(Protocol):
    """A rule of the configuration. The tuples hold globs, in which ``*`` is the wildcard; empty does not constrain."""

    @property
    def id(self) -> str: ...
    @property
    def tools(self) -> tuple[str, ...]: ...
    @property
    def resources(self) -> tuple[str, ...]: ...
    @property
    def prompts(self) -> tuple[str, ...]: ...
    @property
    def upstream(self) -> tuple[str, ...]: ...
    @property
    def principals(self) -> tuple[str, ...]: ...
    @property
    def effect(self) -> tuple[str, ...]: ...
    @property
    def when(self) -> str | None: ...
    @property
    def decide(self) -> Decide: ...
    @property
    def say(self) -> str | None: ...


def rule_policies(rule: RuleLike, default: Decide, when: str | None) -> list[str]:
    """The Cedar policies of ``rule`` when ``when`` holds: two for an ask without a default permit behind it."""
    scope = f"(principal, {_action(rule)}, resource)"
    clauses = [f"when {{ {text} }}" for text in _conditions(rule)]
    if when is not None:
        clauses.append(when_clause(when))
    effect = "permit" if rule.decide == "allow" else "forbid"
    lifted = [f"unless {{ {APPROVED} }}"] if rule.decide == "ask" else []
    policies = [_policy(rule.id, rule.decide, effect, scope, [*clauses, *lifted])]
    if rule.decide == "ask" and default == "deny":
        # An approval lifts the forbid, but under `default: deny` something has to permit the call as well.
        policies.append(_policy(f"{rule.id}.approved", "ask", "permit", scope, [*clauses, f"when {{ {APPROVED} }}"]))
    return policies


def default_policy(default: Decide) -> str:
    """The policy of a call that no rule matches; empty for ``deny``, which is Cedar's own default."""
    if default == "deny":
        return ""
    clauses = [f"when {{ {APPROVED} }}"] if default == "ask" else []
    return _policy(DEFAULT_ID, default, "permit", "(principal, action, resource)", clauses)


def when_clause(text: str) -> str:
    """``text`` as a clause; a comment in it must not swallow the closing brace."""
    text = text.strip()
    return f"when {{\n{text}\n}}" if "//" in text or "\n" in text else f"when {{ {text} }}"


def comment(text: str) -> str:
    """``text`` as comment lines, whatever counts as a line break."""
    return "".join(f"// {line}\n" for line in re.split(r"[\r\n\v\f\x85\u2028\u2029]+", text.strip()))


def quoted(text: str) -> str:
    """A Cedar string literal. As a pattern of ``like``, a ``*`` in it is the wildcard."""
    body = "".join(_CHARS.get(char) or (char if char.isprintable() else f"\\u{{{ord(char):x}}}") for char in text)
    return f'"{body}"'


_CHARS: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _policy(id: str, decide: str, effect: str, scope: str, clauses: Sequence[str]) -> str:
    lines = [f"@id({quoted(id)})", f"@decide({quoted(decide)})", f"{effect} {scope}", *clauses]
    return "\n".join(lines) + ";\n"


_KINDS: Final = (("tools", "call"), ("prompts", "get"), ("resources", "read"))


def _action(rule: RuleLike) -> str:
    actions = [f'Action::"{action}"' for field, action in _KINDS if getattr(rule, field)]
    match actions:
        case []:
            return "action"
        case [only]:
            return f"action == {only}"
        case _:
            return f"action in [{', '.join(actions)}]"


def _conditions(rule: RuleLike) -> list[str]:
    conditions = [_kinds(rule), _either(_matches("resource.upstream", rule.upstream))]
    conditions.append(_either([f"resource.effect == {quoted(effect)}" for effect in rule.effect]))
    conditions.append(_either([term for name in rule.principals for term in _principal(name)]))
    return [condition for condition in conditions if condition]


def _kinds(rule: RuleLike) -> str:
    terms = {
        "call": _matches("resource.qualified", rule.tools, "resource.exposed"),
        "get": _matches("resource.qualified", rule.prompts, "resource.exposed"),
        "read": _matches("resource.name", _in_both_spellings(rule.resources)),
    }
    used = {action: terms[action] for field, action in _KINDS if getattr(rule, field)}
    if len(used) == 1:
        return _either(*used.values())
    return _either([f'action == Action::"{action}" && ({_either(some) or "true"})' for action, some in used.items()])


def _in_both_spellings(globs: Sequence[str]) -> Sequence[str]:
    """Resources are judged by their plain URI, in which ``ü`` is ``%C3%BC``; a reader may write either."""
    return list(dict.fromkeys(spelling for glob in globs for spelling in (glob, spelt_out(glob))))


def _principal(name: str) -> list[str]:
    if name.startswith("role:"):
        return [f"principal in Role::{quoted(name.removeprefix('role:'))}"]
    return _matches("principal.name", (name,)) or ["true"]


def _matches(attribute: str, globs: Sequence[str], other: str | None = None) -> list[str]:
    """The alternatives under which ``attribute`` (or ``other``) fits one of ``globs``; none where everything fits."""
    if "*" in globs:
        return []
    attributes = [attribute, other] if other else [attribute]
    return [f"{name} {'like' if '*' in glob else '=='} {quoted(glob)}" for glob in globs for name in attributes]


def _either(terms: Sequence[str]) -> str:
    return " || ".join(terms)
