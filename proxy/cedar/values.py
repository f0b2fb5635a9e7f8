"""JSON values as Cedar values.

Cedar knows booleans, strings, 64-bit integers, sets, records and decimals of four digits; it knows no floats, no nulls
and no larger integers. Null means absent. What cannot be told in Cedar raises :class:`Unsayable`, and the decision is
a denial: left out instead, ``has amount`` would be false for the very amounts that a rule is there to stop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from fuseboard.errors import FuseboardError

LONG_MIN: Final = -(2**63)
LONG_MAX: Final = 2**63 - 1
DEEPEST: Final = 32

# Cedar's JSON reads an object with one of these keys as an entity or a call: a client could forge one.
_ESCAPES: Final = frozenset({"__entity", "__extn", "__expr"})

_NEEDED: Final = {"Bool": "boolean", "String": "string", "Long": "whole number", "decimal": "decimal number"}


class Unsayable(FuseboardError):
    """A value that Cedar has no word for. The message names the argument and the reason."""


def project(arguments: Mapping[str, Any], names: Collection[str] | None, decimals: Collection[str]) -> dict[str, Any]:
    """The Cedar record (in Cedar's JSON) of the arguments called ``names``; ``None`` takes all.

    ``decimals`` are the arguments that rules compare as decimals: their numbers become decimals, whole ones too.

    Raises:
        Unsayable: one of them cannot be told in Cedar.
    """
    wanted = arguments if names is None else [name for name in names if name in arguments]
    if names is None and not _ESCAPES.isdisjoint(arguments):
        raise Unsayable("the arguments have a name that Cedar reserves")
    record = {}
    for name in wanted:
        value = arguments[name]
        if type(value) is str:
            record[name] = value
        elif value is not None:
            record[name] = _value(name, value, name in decimals, 1)
    return record


def misfit(args: Mapping[str, Any], types: Mapping[tuple[str, ...], str | None]) -> str | None:
    """Which of the projected ``args`` has another type than a rule's use of it implies, and which the rule needs."""
    for path, kind in types.items():
        value: Any = args
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        needed = "list" if kind and kind.startswith("Set<") else _NEEDED.get(kind or "")
        if needed and value is not None and (found := _kind(value)) != needed:
            return f"argument {'.'.join(path)!r} is a {found}, and the rule needs a {needed}"
    return None


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "decimal number" if _ESCAPES & value.keys() else "record"
    kinds = {bool: "boolean", str: "string", int: "whole number", list: "list"}
    return kinds[type(value)]


def _value(name: str, value: Any, decimal: bool, depth: int) -> Any:
    match value:
        case bool() | str():
            return value
        case int():
            return _decimal(name, Decimal(value)) if decimal else _long(name, value)
        case float():
            whole = not decimal and value.is_integer()
            return _long(name, int(value)) if whole else _decimal(name, Decimal(repr(value)))
        case None:
            raise Unsayable(f"argument {name!r} holds a null inside a list")
        case _ if depth >= DEEPEST:
            raise Unsayable(f"argument {name!r} is nested deeper than {DEEPEST} levels")
        case list():
            return [_value(name, item, decimal, depth + 1) for item in value]
        case dict() if not _ESCAPES.isdisjoint(value):
            raise Unsayable(f"argument {name!r} holds a name that Cedar reserves")
        case dict():
            return {k: _value(name, v, decimal, depth + 1) for k, v in value.items() if v is not None}
        case _:
            raise Unsayable(f"argument {name!r} is no JSON value")


def _long(name: str, value: int) -> int:
    if LONG_MIN <= value <= LONG_MAX:
        return value
    raise Unsayable(f"argument {name!r} holds a whole number beyond 64 bits")


def _decimal(name: str, value: Decimal) -> dict[str, Any]:
    """Cedar's ``decimal``: a 64-bit integer of ten-thousandths."""
    if value.is_finite():
        scaled = value.scaleb(4)
        if scaled == scaled.to_integral_value() and LONG_MIN <= scaled <= LONG_MAX:
            return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}}
    raise Unsayable(f"argument {name!r} holds a number with more than four decimals, or too large for the rules")
