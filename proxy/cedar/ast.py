"""Reading a policy in Cedar's JSON form: what it looks at, and how much of it is settled before a call comes.

https://docs.cedarpolicy.com/policies/json-format.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Node: TypeAlias = Any
"""An expression or a policy in Cedar's JSON form."""

_CONTEXT: Final = {"Var": "context"}
_ARGS: Final = {".": {"left": _CONTEXT, "attr": "args"}}
_ANYTHING: Final = {"op": "All"}


@dataclass(frozen=True, slots=True)
class Wants:
    """What a policy reads of a call. ``args`` are names of arguments, ``None`` stands for the whole record."""

    args: frozenset[str] | None = frozenset()
    labels: bool = False
    approved: bool = False
    copied: bool = False

    def __or__(self, other: Wants) -> Wants:
        args = None if self.args is None or other.args is None else self.args | other.args
        approved = self.approved or other.approved
        return Wants(args, self.labels or other.labels, approved, self.copied or other.copied)

    @property
    def of_the_call(self) -> bool:
        """Whether two calls of one tool by one caller can differ in it."""
        return self.labels or self.copied or self.args is None or bool(self.args)


def wants(node: Node) -> Wants:
    """What the expression or policy ``node`` reads of the call's context."""
    if node == _CONTEXT:
        return Wants(None, True, True, True)
    if isinstance(node, Mapping):
        for operator in (".", "has"):
            if operator in node and isinstance(node[operator], Mapping) and "attr" in node[operator]:
                return _of_attribute(node[operator]["left"], node[operator]["attr"], operator)
        return _all(wants(child) for child in node.values())
    if isinstance(node, list):
        return _all(wants(child) for child in node)
    return Wants()


def _of_attribute(left: Node, attribute: str, operator: str) -> Wants:
    if left == _CONTEXT:
        # `context has labels` is true whatever the call: only reading depends on it.
        named = attribute if operator == "." else ""
        args: frozenset[str] | None = None if named == "args" else frozenset()
        return Wants(args, named == "labels", named == "approved", named == "copied_from")
    if left == _ARGS:
        return Wants(frozenset({attribute}))
    return wants(left)


def _all(parts: Iterator[Wants]) -> Wants:
    total = Wants()
    for part in parts:
        total |= part
    return total


def names_principal(policy: Node) -> bool:
    """Whether ``policy`` can tell one caller from another."""
    return policy["principal"] != _ANYTHING or _contains(policy["conditions"], {"Var": "principal"})


def _contains(node: Node, wanted: Node) -> bool:
    if node == wanted:
        return True
    children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    return any(_contains(child, wanted) for child in children)


def split(policy: Node) -> tuple[Node, Node | None]:
    """``policy`` as two: its head, settled by caller, action and tool, and the rest, which needs the call.

    The head is the scope with the leading conditions (and the leading terms of ``&&``) that read nothing of the
    context; Cedar evaluates in that order and stops at the first false, so head and rest together mean the policy,
    errors included. The rest is ``None`` where the head is all.
    """
    conditions = [part for condition in policy["conditions"] for part in _terms(condition)]
    settled = 0
    while settled < len(conditions) and not _reads_context(conditions[settled]):
        settled += 1
    head = {**policy, "effect": "permit", "conditions": conditions[:settled], "annotations": {}}
    if settled == len(conditions):
        return head, None
    free = {"principal": _ANYTHING, "action": _ANYTHING, "resource": _ANYTHING}
    return head, {**policy, **free, "conditions": conditions[settled:], "annotations": {}}


def _terms(condition: Node) -> Iterator[Node]:
    body = condition["body"]
    if condition["kind"] == "when" and "&&" in body:
        for side in ("left", "right"):
            yield from _terms({"kind": "when", "body": body["&&"][side]})
    else:
        yield condition


def _reads_context(node: Node) -> bool:
    return _contains(node, _CONTEXT)


def unconditional(policy: Node) -> Node:
    """``policy`` without scope and conditions: what a head without a rest leaves to be decided."""
    return {
        **policy,
        **dict.fromkeys(("principal", "action", "resource"), _ANYTHING),
        "conditions": [],
        "annotations": {},
    }
