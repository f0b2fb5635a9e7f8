"""Validation errors as mismatches, ordered and chosen so that a model mends its call in one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import jsonschema_rs

from fuseboard.events import Mismatch
from fuseboard.schemas.words import FOUND_CHARS, Broken, cut, render, tell, typed

Error: TypeAlias = jsonschema_rs.ValidationError

_EXPECTED_CHARS: Final = 300
_FOUND_ENOUGH: Final = 16


def explain(errors: Sequence[Error], document: Any, value: Any) -> tuple[Mismatch, ...]:
    """The mismatches behind ``errors``, nearest the root first and without repetition. Never empty."""
    found: list[tuple[int, Mismatch]] = []
    for number, error in sorted(enumerate(errors), key=lambda numbered: len(numbered[1].instance_path)):
        if len(found) >= _FOUND_ENOUGH:
            break
        found += [(number, mismatch) for mismatch in _explained(error, document, value)]
    found.sort(key=lambda numbered: (numbered[1].path.count("/"), numbered[0]))
    return tuple(dict.fromkeys(mismatch for _, mismatch in found)) or (
        Mismatch("", render(value), "a value that fits the schema", "schema"),
    )


def pointer(path: Iterable[str | int]) -> str:
    """A JSON Pointer (RFC 6901) of ``path``."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _explained(error: Error, document: Any, value: Any) -> list[Mismatch]:
    kind = error.kind.name
    if kind in ("anyOf", "oneOf"):
        return _closest(error, document, value)
    path = pointer(error.instance_path)
    schema = _at(document, error.schema_path[:-1])
    broken = Broken(
        error.kind.as_dict(),
        schema if isinstance(schema, Mapping) else {},
        error.instance,
        _at(value, error.instance_path),
        error.message,
    )
    keyword = _keyword(error, kind)
    return [
        Mismatch(path, cut(found, 2 * FOUND_CHARS), cut(expected, _EXPECTED_CHARS), keyword)
        for found, expected in tell(kind, broken)
    ]


def _keyword(error: Error, kind: str) -> str:
    """The keyword as the schema has it: a ``false`` schema fails under the keyword that it stands in."""
    last = error.schema_path[-1] if kind == "falseSchema" and error.schema_path else kind
    return str(last)


def _closest(error: Error, document: Any, value: Any) -> list[Mismatch]:
    """The mismatches of the branch that fits best: the right kind of value, with the fewest and deepest errors."""
    here = error.instance_path
    branches: list[list[Error]] = error.kind.as_dict()["context"]
    if not all(branches):
        overlap = "exactly one of the alternatives, and it fits several"
        return [Mismatch(pointer(here), render(error.instance), overlap, error.kind.name)]
    wanted = [branch[0].kind.as_dict()["types"] for branch in branches if _is_kind(branch[0], here)]
    if len(wanted) == len(branches):
        types = dict.fromkeys(name for types in wanted for name in types)
        return [Mismatch(pointer(here), typed(error.instance), " or ".join(types), "type")]

    def distance(branch: Sequence[Error]) -> tuple[bool, bool, int, int]:
        # A wrong `kind` or `type` member means another branch, however few its other errors.
        wrong_tag = any(e.kind.name in ("const", "enum") and e.instance_path != here for e in branch)
        return _is_kind(branch[0], here), wrong_tag, len(branch), -max(len(e.instance_path) for e in branch)

    return [mismatch for e in min(branches, key=distance) for mismatch in _explained(e, document, value)]


def _is_kind(error: Error, here: Sequence[str | int]) -> bool:
    return error.kind.name == "type" and error.instance_path == here


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
