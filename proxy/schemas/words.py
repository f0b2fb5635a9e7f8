"""The words of a mismatch: for each keyword what was found and what was expected, for a reader who has to mend it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final, TypeAlias

FOUND_CHARS: Final = 80
_HINT_CHARS: Final = 160
_ENUM_SHOWN: Final = 20
_NAMES_SHOWN: Final = 20
_UNKNOWN_SHOWN: Final = 10
_COMPARED: Final = 8_000
"""Characters of one word times those of all others, up to which near misses are looked for: 0.2 us each."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken keyword: its ``details`` as the engine names them, the ``schema`` object that holds it, the value."""

    details: Mapping[str, Any]
    schema: Mapping[str, Any]
    value: Any
    place: Any
    """The value at the error's path: an object where ``value`` is only the member that it complains of."""
    message: str


Told: TypeAlias = list[tuple[str, str]]
"""Pairs of what was found and what was expected."""


def tell(kind: str, broken: Broken) -> Told:
    """What was found and expected where a keyword of ``kind`` (the engine's name) is broken."""
    return _TELLERS.get(kind, _plain)(broken)


def render(value: Any, *, chars: int = FOUND_CHARS) -> str:
    """``value`` as JSON, shortened to ``chars`` characters."""
    try:
        text = json.dumps(_trimmed(value, 3), ensure_ascii=False)
    except (ValueError, TypeError):
        text = repr(value)
    return cut(text.encode("utf-8", "backslashreplace").decode(), chars)


def typed(value: Any) -> str:
    """``value`` and the name of its JSON type."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    kind = kinds.get(type(value))
    return f"{render(value)} ({kind})" if kind else render(value)


def cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _required(broken: Broken) -> Told:
    name = broken.details["property"]
    has = f"only {_names(broken.place)}" if isinstance(broken.place, dict) and broken.place else "nothing"
    schema = _mapping(_mapping(broken.schema.get("properties")).get(name))
    kind = schema.get("type")
    kinds = " or ".join(map(str, kind)) if isinstance(kind, list) else kind
    wanted = f"{render(name)}: {kinds}" if kinds else render(name)
    return [(f"{render(name)} is missing (it has {has})", _hinted(f"the required property {wanted}", schema))]


def _additional(broken: Broken) -> Told:
    known = list(_mapping(broken.schema.get("properties")))
    allowed = f"only {_names(known)}" if known else "no further properties"
    # Without `properties` the engine names only the member's value.
    unknown = broken.details.get("unexpected", list(_mapping(broken.place)))
    told = []
    for name in unknown[:_UNKNOWN_SHOWN]:
        close = _close(name, known)
        hint = f"did you mean {render(close)}? " if close else ""
        told.append((f"unknown property {render(name)}", hint + allowed))
    return told or _plain(broken)


def _type(broken: Broken) -> Told:
    return [(typed(broken.value), _hinted(" or ".join(broken.details["types"]), broken.schema))]


def _enum(broken: Broken) -> Told:
    options: Sequence[Any] = broken.details["options"]
    listed = ", ".join(map(render, options[:_ENUM_SHOWN]))
    more = f", … ({len(options)} in all)" if len(options) > _ENUM_SHOWN else ""
    folded = {option.lower(): option for option in options if isinstance(option, str)}
    close = _close(broken.value.lower(), folded) if isinstance(broken.value, str) else None
    hint = f"; did you mean {render(folded[close])}?" if close is not None else ""
    return [(render(broken.value), f"one of {listed}{more}{hint}")]


def _close(word: str, words: Iterable[str]) -> str | None:
    """The one of ``words`` that ``word`` may have been meant for, if they are few and short enough to compare."""
    others = list(words)
    if len(word) * sum(map(len, others)) > _COMPARED:
        return None
    return next(iter(get_close_matches(word, others, n=1)), None)


def _const(broken: Broken) -> Told:
    return [(render(broken.value), f"exactly {render(broken.details['expected_value'])}")]


def _limit(words: str, unit: str = "") -> Callable[[Broken], Told]:
    def told(broken: Broken) -> Told:
        return [(_sized(broken.value, unit), _hinted(words.format(broken.details["limit"]), broken.schema))]

    return told


def _sized(value: Any, unit: str) -> str:
    if not unit or not isinstance(value, str | list | dict):
        return render(value)
    return f"{len(value)} {unit}: {render(value, chars=FOUND_CHARS // 2)}"


def _pattern(broken: Broken) -> Told:
    if "error" in broken.details:  # the limit on backtracking
        return [(render(broken.value), "a simpler string: the schema's pattern takes too long on this one")]
    return [(render(broken.value), _hinted(f"a match of the pattern {broken.schema.get('pattern')}", broken.schema))]


def _property_names(broken: Broken) -> Told:
    inner = broken.details["error"]
    return [(f"a property named {render(inner.instance)}", f"property names that fit: {inner.message}")]


def _multiple(broken: Broken) -> Told:
    return [(render(broken.value), _hinted(f"a multiple of {broken.details['multiple_of']}", broken.schema))]


def _unique(broken: Broken) -> Told:
    return [(render(broken.value), "items that differ from each other")]


def _false(broken: Broken) -> Told:
    if isinstance(broken.place, dict) and broken.schema.get("additionalProperties") is False:
        return _additional(broken)
    return [(render(broken.value), "no value here")]


def _not(broken: Broken) -> Told:
    return [(render(broken.value), f"any value but one that fits {render(broken.details['schema'])}")]


def _contains(broken: Broken) -> Told:
    counts = [f"at least {broken.schema.get('minContains', 1)}"]
    counts += [f"at most {broken.schema['maxContains']}"] if "maxContains" in broken.schema else []
    fits = render(broken.schema.get("contains"))
    return [(render(broken.value), f"{' and '.join(counts)} items that fit {fits}")]


def _further(broken: Broken) -> Told:
    return [(_sized(broken.value, "items"), "no further items")]


def _plain(broken: Broken) -> Told:
    return [(render(broken.value), _hinted(cut(broken.message, _HINT_CHARS), broken.schema))]


_TELLERS: Final[Mapping[str, Callable[[Broken], Told]]] = {
    "required": _required,
    "additionalProperties": _additional,
    "unevaluatedProperties": _additional,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _limit("a number of at least {}"),
    "maximum": _limit("a number of at most {}"),
    "exclusiveMinimum": _limit("a number above {}"),
    "exclusiveMaximum": _limit("a number below {}"),
    "minLength": _limit("{} characters or more", "characters"),
    "maxLength": _limit("{} characters or fewer", "characters"),
    "minItems": _limit("{} items or more", "items"),
    "maxItems": _limit("{} items or fewer", "items"),
    "minProperties": _limit("{} properties or more", "properties"),
    "maxProperties": _limit("{} properties or fewer", "properties"),
    "pattern": _pattern,
    "propertyNames": _property_names,
    "multipleOf": _multiple,
    "uniqueItems": _unique,
    "falseSchema": _false,
    "not": _not,
    "contains": _contains,
    "additionalItems": _further,
    "unevaluatedItems": _further,
}


def _hinted(expected: str, schema: Mapping[str, Any]) -> str:
    hint = schema.get("description") or schema.get("title")
    return f"{expected} ({cut(hint, _HINT_CHARS)})" if isinstance(hint, str) else expected


def _names(names: Iterable[str]) -> str:
    listed = list(islice(names, _NAMES_SHOWN + 1))
    return ", ".join(map(render, listed[:_NAMES_SHOWN])) + (", …" if len(listed) > _NAMES_SHOWN else "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _trimmed(value: Any, levels: int) -> Any:
    """The head of a value: what is shown of megabytes is not worth encoding the rest."""
    if isinstance(value, str):
        return value[: FOUND_CHARS + 1]
    if isinstance(value, list | dict) and not levels:
        return "…"
    if isinstance(value, dict):
        return {name: _trimmed(member, levels - 1) for name, member in list(value.items())[:FOUND_CHARS]}
    if isinstance(value, list):
        return [_trimmed(item, levels - 1) for item in value[:FOUND_CHARS]]
    return value
