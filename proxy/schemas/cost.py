"""How much work a JSON Schema can cause, counted before anything is validated.

A validator runs inside the event loop and cannot be interrupted, so its time has to be bounded from outside. 1.8 kB of
``anyOf``/``$ref`` ladder cost 0.86 s for one value and doubled with each further 70 bytes; a recursive schema whose
branches overlap does the same with the depth of the value. Both are visible in the schema: :meth:`Cost.at` says how
many schema evaluations one node can meet at each depth, and the sum over the value's own nodes bounds the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from fuseboard.errors import FuseboardError

SchemaNode: TypeAlias = Any
"""A JSON Schema at some place of the document: an object or a boolean."""

CAP: Final = 10**12
"""Counts saturate here, so that exponential schemas cost no big integers."""

MOST_STEPS: Final = 100_000
"""Schemas that are looked at for the count itself, at some 2 us each, before the schema is refused."""

LONGEST_CHAIN: Final = 200
"""In-place steps (``$ref``, combinators) from one schema to the next before the schema is refused."""

BACKTRACKING_COST: Final = 100
"""What one match of a pattern with look-around or back-references counts, in schema evaluations."""

COMPARED_COST: Final = 12
"""What comparing one part of an array or object with that of an ``enum`` or ``const`` counts, in schema evaluations."""

_IN_PLACE_ONE: Final = ("not", "if", "then", "else")
_IN_PLACE_MANY: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE_MAPS: Final = ("dependentSchemas", "dependencies")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_SHOWN_CHARS: Final = 100
_METASCHEMAS: Final = ("https://json-schema.org/draft/", "http://json-schema.org/draft-")


class Unusable(FuseboardError):
    """The schema must not be used; the message says why."""


class References:
    """Resolves the references of one document inside that document, and nowhere else."""

    def __init__(self, root: SchemaNode) -> None:
        self._resources: dict[str, SchemaNode] = {"": root}
        self._anchors: dict[tuple[str, str], SchemaNode] = {}
        self._bases: dict[int, str] = {}
        self._resolved: dict[tuple[int, str], SchemaNode | None] = {}
        self._index(root)

    def resolve(self, reference: str, node: SchemaNode) -> SchemaNode | None:
        """The schema that ``reference`` names when it stands in ``node``; ``None`` for a well-known meta-schema.

        Raises:
            Unusable: it leads out of the document, or nowhere.
        """
        key = (id(node), reference)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(reference, node)
        return self._resolved[key]

    def in_place(self, node: Mapping[str, Any]) -> Iterator[SchemaNode]:
        """The schemas that judge the same value as ``node`` does."""
        for keyword in _REFERENCES:
            if isinstance(reference := node.get(keyword), str):
                yield self.resolve(reference, node)
        for keyword in _IN_PLACE_ONE:
            if keyword in node:
                yield node[keyword]
        for keyword in _IN_PLACE_MANY:
            yield from _list(node.get(keyword))
        for keyword in _IN_PLACE_MAPS:
            yield from _map(node.get(keyword)).values()

    def _resolve(self, reference: str, node: SchemaNode) -> SchemaNode | None:
        shown = repr(reference[:_SHOWN_CHARS])
        uri, fragment = urldefrag(urljoin(self._bases.get(id(node), ""), reference))
        resource = self._resources.get(uri)
        if resource is None:
            if uri.startswith(_METASCHEMAS):
                return None
            raise Unusable(f"$ref {shown} leads out of the schema, and references are never fetched")
        if fragment.startswith("/") or not fragment:
            return _pointed(resource, fragment, shown)
        if (uri, fragment) not in self._anchors:
            raise Unusable(f"$ref {shown} names nothing in the schema")
        return self._anchors[uri, fragment]

    def _index(self, root: SchemaNode) -> None:
        pending: list[tuple[Any, str]] = [(root, "")]
        while pending:
            node, base = pending.pop()
            if isinstance(node, dict):
                base = self._name(node, base)
                pending.extend((child, base) for child in node.values())
            elif isinstance(node, list):
                pending.extend((child, base) for child in node)

    def _name(self, node: dict[str, Any], base: str) -> str:
        identifier = node.get("$id", node.get("id"))
        # Up to draft 7 an identifier that is only a fragment is an anchor.
        if isinstance(identifier, str) and not identifier.startswith("#"):
            base = urldefrag(urljoin(base, identifier)).url
            self._resources.setdefault(base, node)
        elif isinstance(identifier, str):
            self._anchors.setdefault((base, identifier[1:]), node)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := node.get(keyword), str):
                self._anchors.setdefault((base, anchor), node)
        self._bases[id(node)] = base
        return base


def _pointed(resource: SchemaNode, pointer: str, shown: str) -> SchemaNode:
    node: Any = resource
    for token in pointer.split("/")[1:]:
        key = unquote(token).replace("~1", "/").replace("~0", "~")
        try:
            node = node[int(key)] if isinstance(node, list) else node[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Unusable(f"$ref {shown} names nothing in the schema") from None
    return node


class Cost:
    """The work of one schema, by depth of the value. ``backtracks`` tells whether a pattern backtracks."""

    def __init__(self, root: SchemaNode, backtracks: Callable[[str], bool]) -> None:
        self._root = root
        self.references = References(root)
        self._steps = 0
        self._backtracks = backtracks
        self._costs: dict[tuple[int, int, bool], int] = {}
        self._patterns: dict[str, int] = {}
        self._lists: dict[int, int] = {}

    def at(self, depth: int) -> int:
        """Schema evaluations that one node of a value can cause, ``depth`` levels below the value's root.

        Raises:
            Unusable: a reference leads out of the document or nowhere, a schema refers to itself without end, or the
                count takes more than ``MOST_STEPS`` steps.
        """
        return self._most(self._root, depth, 0)

    def _most(self, node: SchemaNode, depth: int, chain: int) -> int:
        # A node lies below an array or below an object, so branches for the one and for the other do not add up.
        arrays = self._cost(node, depth, False, chain)
        return max(arrays, self._cost(node, depth, True, chain)) if depth else arrays

    def _cost(self, node: SchemaNode, depth: int, member: bool, chain: int) -> int:
        """What ``node`` costs ``depth`` levels below, by way of a ``member`` of an object or of an item."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Unusable(
                f"it is too large and too entangled to be checked: over {MOST_STEPS} steps to count its work"
            )
        if not isinstance(node, dict):
            return 1 if depth == 0 else 0
        key = (id(node), depth, member)
        if (known := self._costs.get(key)) is not None:
            if known < 0:
                raise Unusable("it refers to itself without end")
            return known
        if chain > LONGEST_CHAIN:
            raise Unusable(f"it refers on and on, over more than {LONGEST_CHAIN} steps")
        self._costs[key] = -1
        total = sum(self._cost(part, depth, member, chain + 1) for part in self.references.in_place(node))
        total += self._own(node) if depth == 0 else self._below(node, depth - 1, member, chain + 1)
        if "unevaluatedProperties" in node or "unevaluatedItems" in node:
            total *= 2  # what was evaluated has to be found out a second time
        self._costs[key] = total = min(total, CAP)
        return total

    def _own(self, node: Mapping[str, Any]) -> int:
        pattern = node.get("pattern")
        total = 1 + len(node) // 8 + (self._pattern(pattern) if isinstance(pattern, str) else 0)
        return total + self._listed(node)

    def _listed(self, node: Mapping[str, Any]) -> int:
        """What the lists of ``node`` cost one value: each name is looked up, each option compared."""
        if id(node) not in self._lists:
            names = [node.get("required"), *_map(node.get("dependentRequired")).values()]
            compared = _compared(_list(node.get("enum"))) + _compared([node["const"]] if "const" in node else [])
            self._lists[id(node)] = sum(len(_list(part)) for part in names) + compared
        return self._lists[id(node)]

    def _below(self, node: Mapping[str, Any], depth: int, member: bool, chain: int) -> int:
        """What one child of the value can cause: a member of an object, or an item of an array."""

        def cost(part: SchemaNode) -> int:
            return self._most(part, depth, chain)

        def own(keyword: str) -> int:
            return cost(node[keyword]) if keyword in node else 0

        if not member:
            items = node.get("items")
            prefix = max(map(cost, _list(node.get("prefixItems")) or _list(items)), default=0)
            rest = own("additionalItems") if isinstance(items, list) else own("items")
            return max(prefix, rest) + own("contains") + own("unevaluatedItems")
        # A member meets one of the named properties at most, but every pattern that fits its name.
        patterns = _map(node.get("patternProperties"))
        named = max(map(cost, _map(node.get("properties")).values()), default=0)
        matching = sum(map(self._pattern, patterns)) if depth == 0 else 0
        return (
            max(named, own("additionalProperties"))
            + own("unevaluatedProperties")
            + own("propertyNames")
            + sum(map(cost, patterns.values()))
            + matching
        )

    def _pattern(self, pattern: str) -> int:
        if pattern not in self._patterns:
            self._patterns[pattern] = BACKTRACKING_COST if self._backtracks(pattern) else 1
        return self._patterns[pattern]


def _compared(options: list[Any]) -> int:
    """What it costs to compare a value with ``options``. Strings alone, or integers alone, are looked up by hash."""
    kinds = {type(option) for option in options}
    if len(kinds) == 1 and kinds <= {str, int}:
        return 0
    parts = sum(_parts(option) for option in options if isinstance(option, list | dict))
    return len(options) + COMPARED_COST * parts


def _parts(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_parts, children))


def _list(value: Any) -> list[SchemaNode]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> dict[str, SchemaNode]:
    return value if isinstance(value, dict) else {}


def weights(value: Any, *, depth: int) -> list[int] | None:
    """The nodes of a JSON value, counted level by level; each further 1,024 characters of a string count as a node.

    Returns ``None`` where the value is nested deeper than ``depth`` levels.
    """
    counts: list[int] = []
    level: list[Any] = [value]
    while level:
        if len(counts) > depth:
            return None
        count, below = len(level), []
        for node in level:
            kind = type(node)
            if kind is str:
                count += len(node) >> 10
            elif kind is dict:
                below.extend(node.values())
            elif kind is list:
                below.extend(node)
        counts.append(count)
        level = below
    return counts
