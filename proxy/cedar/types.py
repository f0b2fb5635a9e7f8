"""Typed validation of policies, so that a typo is a finding at load and not a denial at night.

Cedar validates against a schema; the shape of the arguments is unknown at load, so each policy is given the record
that its own use implies: ``like`` takes a string, ``>`` an integer, and so on. All else the request model fixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

import cedarpy

from fuseboard.cedar.ast import Node
from fuseboard.cedar.text import quoted

RESOURCE: Final = {
    "name": "String",
    "qualified": "String",
    "exposed": "String",
    "upstream": "String",
    "effect": "String",
    "trust": "String",
    "idempotent": "Bool",
}
PRINCIPAL: Final = {"name": "String", "roles": "Set<String>"}
CONTEXT: Final = {"labels": "Set<String>", "copied_from": "Set<String>", "approved": "Bool"}

_ATTRIBUTES: Final = {"resource": RESOURCE, "principal": PRINCIPAL, "context": {**CONTEXT, "args": "Record"}}
_DECIMAL_METHODS: Final = ("lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual")
_COMPARISONS: Final = ("<", "<=", ">", ">=", "+", "-", "*")
_SETS: Final = ("containsAll", "containsAny")
_UNGUARDED: Final = re.compile(r"access to optional attribute `args\.([^`]*)`")


@dataclass(slots=True)
class Usage:
    """How one policy uses the arguments: the Cedar type of each path, ``None`` while nothing implies one."""

    types: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)

    def note(self, path: tuple[str, ...], kind: str | None) -> None:
        known = self.types.get(path)
        if known is not None and kind is not None and known != kind:
            self.conflicts.add(f"it takes the argument {'.'.join(path)!r} for {known} and for {kind}")
        self.types[path] = known or kind

    def decimals(self) -> frozenset[str]:
        """The arguments that are compared as decimals."""
        return frozenset(path[0] for path, kind in self.types.items() if kind == "decimal")


def usage(policy: Node) -> Usage:
    """How ``policy`` (in Cedar's JSON form) uses the arguments."""
    found = Usage()
    for _ in range(2):  # a second look, since `a == b` learns from what stands further right
        for condition in policy["conditions"]:
            _learn(condition["body"], "Bool", found)
    return found


def problems(source: str, policy: Node) -> Iterator[tuple[str, bool]]:
    """What is wrong with ``policy``, whose Cedar text is ``source``: a message, and whether it forbids using it.

    An argument that is read without ``has`` is only a warning: where it is absent the call is denied.
    """
    unknown = list(_unknown(policy["conditions"]))
    yield from ((message, True) for message in unknown)
    found = usage(policy)
    yield from ((message, False) for message in sorted(found.conflicts))
    if unknown or found.conflicts:
        return
    told = set()
    for error in cedarpy.validate_policies(source, _schema(found)).errors:
        message = re.sub(r"^for policy `[^`]*`, ", "", error.error)
        if unguarded := _UNGUARDED.search(message):
            name = unguarded[1].split(".")[0]
            message = (
                f"it reads the argument {name!r} without `context.args has {name} &&`: a call without it is denied"
            )
        # Cedar's strictness wants literals here; at run time a text that is no address is an error, and denies.
        if message not in told and not message.startswith("extension constructors"):
            told.add(message)
            yield message, unguarded is None


def _unknown(node: Node) -> Iterator[str]:
    if isinstance(node, Mapping):
        for operator in (".", "has"):
            part = node.get(operator)
            if isinstance(part, Mapping) and isinstance(part.get("left"), Mapping):
                yield from _unknown_attribute(part["left"].get("Var"), part.get("attr"))
        children = list(node.values())
    else:
        children = node if isinstance(node, list) else []
    for child in children:
        yield from _unknown(child)


def _unknown_attribute(variable: Any, attribute: Any) -> Iterator[str]:
    known = _ATTRIBUTES.get(variable)
    if known is None or attribute in known:
        return
    close = get_close_matches(str(attribute), known, n=1)
    hint = f"did you mean `{variable}.{close[0]}`?" if close else f"it has {', '.join(sorted(known))}"
    yield f"`{variable}` has no `{attribute}`; {hint}"


def _path(node: Node) -> tuple[str, ...] | None:
    """``context.args.a.b`` as ``("a", "b")``; ``None`` for anything else, ``()`` for ``context.args`` itself."""
    if not (isinstance(node, Mapping) and isinstance(part := node.get("."), Mapping)):
        return None
    if part["left"] == {"Var": "context"}:
        return () if part["attr"] == "args" else None
    base = _path(part["left"])
    return None if base is None else (*base, part["attr"])


def _learn(node: Node, kind: str | None, found: Usage) -> None:
    """Note what ``node``, standing where ``kind`` is expected, implies for the arguments in it."""
    if path := _path(node):
        found.note(path, kind)
        return
    if not isinstance(node, Mapping) or len(node) != 1:
        return
    ((operator, operands),) = node.items()
    for operand, expected in _operands(operator, operands, kind, found):
        _learn(operand, expected, found)


def _operands(operator: str, operands: Any, kind: str | None, found: Usage) -> Iterator[tuple[Node, str | None]]:
    """The operands of an expression, each with the type that its place implies."""
    if operator == "has" and (base := _path(operands["left"])) is not None:
        found.note((*base, operands["attr"]), None)
        return
    if operator in _DECIMAL_METHODS:
        yield from ((operand, "decimal") for operand in operands)
    elif operator in ("ip", "decimal", "datetime", "duration"):
        yield from ((operand, "String") for operand in operands)
    elif operator == "if-then-else":
        yield from ((operands["if"], "Bool"), (operands["then"], kind), (operands["else"], kind))
    elif operator == "Set":
        yield from ((operand, _element(kind)) for operand in operands)
    elif operator == "Record":
        yield from ((operand, None) for operand in operands.values())
    elif isinstance(operands, list):
        yield from ((operand, None) for operand in operands)
    elif isinstance(operands, Mapping) and "right" in operands:
        left, right = operands["left"], operands["right"]
        expected = _sides(operator, _type(left, found), _type(right, found))
        yield from ((left, expected[0]), (right, expected[1]))
    elif isinstance(operands, Mapping):
        places = {"like": "String", "isEmpty": "Set<String>", "!": "Bool", "neg": "Long"}
        yield from ((operands[name], places.get(operator)) for name in ("left", "arg") if name in operands)


def _sides(operator: str, left: str | None, right: str | None) -> tuple[str | None, str | None]:
    if operator in ("&&", "||"):
        return "Bool", "Bool"
    if operator in _COMPARISONS:
        other = left or right
        kind = other if other in ("datetime", "duration") else "Long"
        return kind, kind
    if operator == "contains":
        element = _element(left) or right
        return f"Set<{element}>" if element else None, element
    if operator in _SETS:
        return left or right, left or right
    return (left or right, left or right) if operator in ("==", "!=") else (None, None)


def _type(node: Node, found: Usage) -> str | None:
    if path := _path(node):
        return found.types.get(path)
    match node:
        case {"Value": bool()}:
            return "Bool"
        case {"Value": int()}:
            return "Long"
        case {"Value": str()}:
            return "String"
        case {".": {"left": {"Var": str(variable)}, "attr": str(attribute)}}:
            kinds: Mapping[str, str] = _ATTRIBUTES.get(variable, {})
            return kinds.get(attribute)
        case {"Set": [*items]}:
            element = next((kind for item in items if (kind := _type(item, found))), None)
            return f"Set<{element}>" if element else None
        case {"neg": _} | {"+": _} | {"-": _} | {"*": _}:
            return "Long"
        case {"decimal": _}:
            return "decimal"
        case {"datetime": _} | {"duration": _}:
            return str(next(iter(node)))
        case _:
            return None


def _element(kind: str | None) -> str | None:
    return kind[4:-1] if kind and kind.startswith("Set<") else None


def _schema(found: Usage) -> str:
    tree: dict[str, Any] = {}
    for path, kind in sorted(found.types.items(), key=lambda item: len(item[0])):
        node = tree
        for step in path[:-1]:
            if not isinstance(node.get(step), dict):
                node[step] = {}
            node = node[step]
        node.setdefault(path[-1], kind or "String")
    resource = ", ".join(f"{name}: {kind}" for name, kind in RESOURCE.items())
    principal = ", ".join(f"{name}: {kind}" for name, kind in PRINCIPAL.items())
    context = ", ".join(f"{name}: {kind}" for name, kind in CONTEXT.items())
    lines = ["entity Role, Upstream;", f"entity Principal in [Role] {{ {principal} }};"]
    for entity, action in (("Tool", "call"), ("Prompt", "get"), ("Resource", "read")):
        lines.append(f"entity {entity} in [Upstream] {{ {resource} }};")
        lines.append(
            f"action {quoted(action)} appliesTo {{ principal: Principal, resource: {entity}, "
            f"context: {{ args: {_record(tree)}, {context} }} }};"
        )
    return "\n".join(lines)


def _record(tree: Mapping[str, Any]) -> str:
    fields = (f"{quoted(name)}?: {_record(kind) if isinstance(kind, dict) else kind}" for name, kind in tree.items())
    return f"{{ {', '.join(fields)} }}"
