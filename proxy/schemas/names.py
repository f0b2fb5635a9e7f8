"""Keys that only a lenient reader takes for a declared property.

Further properties are allowed unless a schema says otherwise, so ``{"path": …, "Path": …}`` fits one that declares
``path``. Go's ``encoding/json`` and its kin read both into the same field, though, and the last one wins: what was
checked is not what is used. Such a key is a mismatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fuseboard.events import Mismatch
from fuseboard.schemas.cost import References, SchemaNode
from fuseboard.schemas.words import render
from fuseboard.wire.strict import fold

_STEPS: Final = 20_000
"""What is walked of value and schema together, some 1 us each; a value that needs more is refused."""

_ITEMS: Final = ("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems")
_MEMBERS: Final = ("additionalProperties", "unevaluatedProperties")


@dataclass(frozen=True, slots=True)
class _Site:
    """The schemas that judge one value, with the properties that they declare, by their fold."""

    schemas: tuple[Mapping[str, Any], ...]
    declared: frozenset[str]
    folds: Mapping[str, str]


class DeclaredNames:
    """The properties that a schema declares, wherever it does."""

    def __init__(self, document: SchemaNode, references: References) -> None:
        self._document = document
        self._references = references
        self._folds: dict[str, set[str]] = {}
        for name in _declared(document):
            self._folds.setdefault(fold(name), set()).add(name)
        self._plain = frozenset(name for names in self._folds.values() if len(names) == 1 for name in names)
        """The declared names that no other is taken for: nearly all keys that ever come."""

    def mismatch(self, value: Any) -> Mismatch | None:
        """The first key in ``value`` that is no declared property of its object but folds to one."""
        others = _keys(value) - self._plain
        suspects = {key for key in others if self._folds.get(fold(key), set()) - {key}}
        return _Walk(self._references, suspects).find([self._document], value, "") if suspects else None


class _Walk:
    def __init__(self, references: References, suspects: set[str]) -> None:
        self._references = references
        self._suspects = suspects
        self._sites: dict[tuple[int, ...], _Site] = {}
        self._steps = 0

    def find(self, schemas: list[SchemaNode], value: Any, path: str) -> Mismatch | None:
        if not schemas or not isinstance(value, dict | list):
            return None
        site = self._site(schemas)
        items = [part for schema in site.schemas for part in _parts(schema, _ITEMS)] if isinstance(value, list) else []
        self._steps += 1 + len(value) * len(items if isinstance(value, list) else site.schemas)
        if self._steps > _STEPS:
            keys = ", ".join(render(key) for key in sorted(self._suspects)[:3])
            told = "keys exactly as the schema declares them, or a value small enough to be searched"
            return Mismatch(
                "", f"a key like {keys}, which differs from a declared one in letters only", told, "properties"
            )
        if isinstance(value, list):
            return self._first((items, item, f"{path}/{index}") for index, item in enumerate(value))
        for key in value:
            if key in self._suspects and key not in site.declared and (meant := site.folds.get(fold(key))) is not None:
                found = f"the property {render(key)}, which some readers take for {render(meant)}"
                return Mismatch(path, found, f"this property exactly as {render(meant)}", "properties")
        return self._first((_of_member(site, key), member, f"{path}/{_step(key)}") for key, member in value.items())

    def _first(self, children: Iterable[tuple[list[SchemaNode], Any, str]]) -> Mismatch | None:
        return next((found for child in children if (found := self.find(*child)) is not None), None)

    def _site(self, schemas: list[SchemaNode]) -> _Site:
        key = tuple(map(id, schemas))
        if key not in self._sites:
            judges = self._judges(schemas)
            declared = [name for judge in judges for name in _mapping(judge.get("properties"))]
            self._steps += len(judges) + len(declared)
            self._sites[key] = _Site(judges, frozenset(declared), {fold(name): name for name in declared})
        return self._sites[key]

    def _judges(self, schemas: list[SchemaNode]) -> tuple[Mapping[str, Any], ...]:
        """``schemas`` with all that judge the same value as they do."""
        seen: dict[int, Mapping[str, Any]] = {}
        pending = list(schemas)
        while pending:
            schema = pending.pop()
            if isinstance(schema, dict) and id(schema) not in seen:
                seen[id(schema)] = schema
                pending += self._references.in_place(schema)
        return tuple(seen.values())


def _of_member(site: _Site, key: str) -> list[SchemaNode]:
    parts: list[SchemaNode] = []
    for schema in site.schemas:
        if key in (named := _mapping(schema.get("properties"))):
            parts.append(named[key])
        # Whether a pattern fits the key is not asked: a name that is declared too much only denies.
        parts += _mapping(schema.get("patternProperties")).values()
        parts += _parts(schema, _MEMBERS)
    return parts


def _parts(schema: Mapping[str, Any], keywords: Iterable[str]) -> Iterator[SchemaNode]:
    for keyword in keywords:
        part = schema.get(keyword)
        yield from part if isinstance(part, list) else () if part is None else (part,)


def _declared(document: SchemaNode) -> Iterator[str]:
    for node in objects(document):
        yield from _mapping(node.get("properties"))


def _keys(value: Any) -> set[str]:
    return {key for node in objects(value) for key in node if isinstance(key, str)}


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a JSON value, itself included."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _step(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
