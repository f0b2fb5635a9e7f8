"""The rules: compiled to Cedar, sliced by caller and tool, and decided.

Cedar decides *allow* or *deny*; *ask* is a denial that an approval would lift, so a denied call is decided a second
time with the approval assumed. Errors never pass: a ``forbid`` that cannot be evaluated is skipped by Cedar, so any
error in the diagnostics denies, as does the lack of a decision.

A decision of ``cedarpy`` costs some 30 us, so as much as possible is settled once. The head of each policy (see
:func:`fuseboard.cedar.ast.split`) is decided, by Cedar itself, at the first call of a tool by a caller; the slice keeps
the policies whose head holds. Cedar then gets only the arguments that they read, and the same reading has the same
ruling, which is remembered: where nothing reads the call, there is one ruling for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fuseboard.cedar.ast import names_principal, unconditional
from fuseboard.cedar.paths import canonical_uri, spelt_out, veiled
from fuseboard.cedar.slice import ERROR_RULE, Held, Respelled, Ruling, Settled, Slice
from fuseboard.cedar.text import DEFAULT_ID, Decide, RuleLike, comment, default_policy, rule_policies
from fuseboard.events import Caller, CallProposed, Tool

if TYPE_CHECKING:
    import cedarpy

    from fuseboard.cedar.check import CheckedPolicy, Finding

__all__ = ["DEFAULT_ID", "ERROR_RULE", "Decide", "RuleLike", "RuleSet", "Ruling", "compile_rules"]

URI_RULE: Final = "canonical-uri"

_SLICES: Final = 2_048
_POLICY_SETS: Final = 256
_RULINGS: Final = 4_096
_ACTIONS: Final = {"tools/call": "call", "prompts/get": "get", "resources/read": "read"}
_TYPES: Final = {"call": "Tool", "get": "Prompt", "read": "Resource"}


def compile_rules(rules: Sequence[RuleLike], default: Decide, sources: Sequence[tuple[str, str]] = ()) -> RuleSet:
    """The rules of the configuration and of Cedar files (pairs of name and text) as one set; their order is nothing.

    Raises:
        fuseboard.cedar.check.RuleError: one of them cannot be used; it holds every finding.
    """
    base = default_policy(default)
    closing = comment(f"default: {default}, for a call that no rule matches") + base
    if not rules and not sources:
        return RuleSet([], default, closing)
    # Imported here, so that a proxy without rules starts without loading an engine.
    from fuseboard.cedar.check import RuleError, check_rule, check_source, checked, parsed, repeated

    policies: list[CheckedPolicy] = []
    findings: list[Finding] = repeated([rule.id for rule in rules])
    texts: list[str] = []
    for rule in rules:
        found, said = check_rule(rule, default)
        policies += found
        findings += said
        head = comment(f"{rule.id}: {rule.say}" if rule.say else rule.id)
        texts.append(head + "\n".join(rule_policies(rule, default, rule.when)))
    for name, source in sources:
        found, said, text = check_source(name, source, default)
        policies += found
        findings += said
        texts.append(comment(f"from {name}") + text)
    if any(finding.fatal for finding in findings):
        raise RuleError(findings)
    policies += [checked(DEFAULT_ID, default, None, node) for node in parsed(base)]
    return RuleSet(policies, default, "\n".join([*texts, closing]), findings)


class RuleSet:
    """Compiled rules. ``text`` is the Cedar that is decided; ``findings`` are the warnings that remain."""

    def __init__(
        self, policies: Sequence[CheckedPolicy], default: Decide, text: str, findings: Sequence[Finding] = ()
    ) -> None:
        self.text = text
        self.findings = tuple(findings)
        self._policies = {f"p{number}": policy for number, policy in enumerate(policies)}
        self._names_principal = any(names_principal(policy.node) for policy in policies)
        self._asks_origin = any(policy.wants.labels or policy.wants.copied for policy in policies)
        self._unruled = None if policies else Settled(Ruling(default, DEFAULT_ID))
        # Pure functions of what is immutable: remembering them keeps no state between calls.
        self._heads = lru_cache(1)(self._head_set)
        self._sliced = lru_cache(_SLICES)(self._slice)
        self._rests = lru_cache(_POLICY_SETS)(self._rest_set)
        self._remembered = lru_cache(_RULINGS)(Slice.rule)

    @property
    def empty(self) -> bool:
        """Whether there is nothing but the default."""
        return self._unruled is not None

    def traces(self, event: CallProposed) -> bool:
        """Whether a rule asks where this call comes from. Others pay nothing for those that do."""
        return self._asks_origin and self.slice(event.caller, event.method, event.tool).traces

    @property
    def tells_callers_apart(self) -> bool:
        """Whether two callers may be ruled differently."""
        return self._names_principal

    def slice(self, caller: Caller, method: str, tool: Tool) -> Held:
        """What the rules hold for ``caller`` who sends ``method`` for ``tool``, whatever the arguments."""
        if self._unruled is not None:
            return self._unruled
        who = (caller.principal, caller.roles) if self._names_principal else ("", ())
        facts = (tool.upstream, tool.name, tool.exposed, tool.effect, tool.trust, tool.idempotent)
        return self._sliced(who, _ACTIONS.get(method, method), facts)

    def _slice(self, who: tuple[str, tuple[str, ...]], action: str, facts: tuple[Any, ...]) -> Held:
        return self._readable(who, facts) if action == "read" else self._plainly(who, action, facts)

    def _readable(self, who: tuple[str, tuple[str, ...]], facts: tuple[Any, ...]) -> Held:
        """Rules judge a resource by its URI, and a read cannot be rewritten: only the one spelling is read.

        One that leaves to its reader what has to be percent-encoded names the same resource by the same letters.
        """
        upstream, uri, exposed, *others = facts
        if veiled("uri", uri):
            told = "resources are read by their plain URI, without control characters and leading spaces"
            return Settled(Ruling("deny", URI_RULE, detail=told))
        if (plain := canonical_uri(uri)) == uri:
            return self._plainly(who, "read", facts)
        if spelt_out(plain) != spelt_out(uri):
            return Settled(Ruling("deny", URI_RULE, detail=f"resources are read by their plain URI: {plain}"))
        asked = self._plainly(who, "read", facts)
        return Respelled(self._plainly(who, "read", (upstream, plain, exposed, *others)), asked)

    def _plainly(self, who: tuple[str, tuple[str, ...]], action: str, facts: tuple[Any, ...]) -> Slice | Settled:
        import cedarpy

        request, entities = _request(who, action, facts)
        answer = cedarpy.is_authorized({**request, "context": {}}, self._heads(), entities)
        if answer.diagnostics.errors:
            return Settled(Ruling("deny", ERROR_RULE, detail="; ".join(answer.diagnostics.errors)))
        held = set(answer.diagnostics.reasons)
        ids = tuple(id for id in self._policies if id in held)
        rests = self._rests(ids)

        def ask(context: str) -> cedarpy.AuthzResult:
            return cedarpy.is_authorized({**request, "context": context}, rests, entities)

        return Slice({id: self._policies[id] for id in ids}, ask, self._remembered)

    def _head_set(self) -> cedarpy.PolicySet:
        return _policy_set({id: policy.head for id, policy in self._policies.items()})

    def _rest_set(self, ids: tuple[str, ...]) -> cedarpy.PolicySet:
        chosen = {id: self._policies[id] for id in ids}
        return _policy_set({id: policy.rest or unconditional(policy.node) for id, policy in chosen.items()})


def _policy_set(nodes: Mapping[str, Any]) -> cedarpy.PolicySet:
    import cedarpy

    document = {"staticPolicies": nodes, "templates": {}, "templateLinks": []}
    return cedarpy.PolicySet.from_json_str(json.dumps(document))


def _request(
    who: tuple[str, tuple[str, ...]], action: str, facts: tuple[Any, ...]
) -> tuple[dict[str, Any], cedarpy.Entities]:
    """The request without its context, and the entities that it names."""
    import cedarpy

    principal, roles = who
    upstream, name, exposed, effect, trust, idempotent = facts
    qualified = f"{upstream}__{name}"
    caller = {"type": "Principal", "id": principal}
    resource = {"type": _TYPES.get(action, "Resource"), "id": qualified if action != "read" else name}
    attributes = {
        "name": name,
        "qualified": qualified,
        "exposed": exposed,
        "upstream": upstream,
        "effect": str(effect),
        "trust": str(trust),
        "idempotent": idempotent,
    }
    entities = [
        {
            "uid": caller,
            "attrs": {"name": principal, "roles": sorted(set(roles))},
            "parents": [{"type": "Role", "id": role} for role in sorted(set(roles))],
        },
        {"uid": resource, "attrs": attributes, "parents": [{"type": "Upstream", "id": upstream}]},
    ]
    request = {"principal": caller, "action": {"type": "Action", "id": action}, "resource": resource}
    return request, cedarpy.Entities.from_json_str(json.dumps(entities))
