"""Arguments that an upstream wants in HTTP headers as well: declared by ``x-mcp-header``, named ``Mcp-Param-…``.

A middleman routes on the header and the server acts on the body, so the two must agree (2026-07-28, streamable-http,
"Custom headers"). The proxy passes no such header on: it derives each from the arguments that were judged.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from fuseboard.events import Mirrored
from fuseboard.ports import Request

PREFIX: Final = "Mcp-Param-"
KEY: Final = "x-mcp-header"

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SENTINEL: Final = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN: Final = re.compile(r"[\x20-\x7E]*")
_DECIMAL: Final = re.compile(r"(-?[0-9]+)(?:\.0*)?")
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_TYPES: Final = frozenset({"string", "integer", "boolean"})

# The keywords of JSON Schema 2020-12 with schemas below them, by the shape of what is below.
_MAPS: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


class Misdeclared(ValueError):
    """A declaration that breaks the specification, which makes the whole tool one that HTTP clients must not show."""


def declared(schema: Any) -> Mapping[tuple[str, ...], Mirrored] | None:
    """The declarations of an ``inputSchema`` by the path of the argument; ``None`` where there are none.

    Raises:
        Misdeclared: one of them is invalid, with what is wrong with it.
    """
    found: dict[tuple[str, ...], Mirrored] = {}
    owners: dict[str, tuple[str, ...]] = {}
    for path, position in _positions(schema):
        if KEY not in position:
            continue
        if not path:
            raise Misdeclared(f"{KEY} stands where no chain of properties alone leads to")
        token, kind, where = position[KEY], position.get("type"), ".".join(path)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise Misdeclared(f"the {KEY} of {where!r} is no name that a header can have")
        if not isinstance(kind, str) or kind not in _TYPES:
            raise Misdeclared(f"{where!r} has an {KEY} but is no string, integer or boolean")
        if (owner := owners.setdefault(token.lower(), path)) != path:
            raise Misdeclared(f"{'.'.join(owner)!r} and {where!r} have the same {KEY}")
        found[path] = Mirrored(token, kind)
    return found or None


def derived(mirrored: Mapping[tuple[str, ...], Mirrored] | None, arguments: Mapping[str, Any]) -> Mapping[str, str]:
    """The headers that say what the arguments say. An argument that is absent or ``null`` has none."""
    if mirrored is None:
        return _NONE
    headers = {}
    for path, one in mirrored.items():
        text = _text(_at(arguments, path))
        if text is not None:
            headers[PREFIX + one.token] = encode(text)
    return headers


def mismatch(mirrored: Mapping[tuple[str, ...], Mirrored], request: Request) -> str | None:
    """Where the request's headers and arguments disagree, in words; ``None`` where they agree.

    A request that did not come over HTTP in the stateless era has no headers at all, and nothing to disagree with.
    """
    if not request.over_http:
        return None
    arguments = (request.value or {}).get("arguments")
    for path, one in mirrored.items():
        header = PREFIX + one.token
        sent = request.headers.get(header.lower())
        value = _at(arguments, path)
        text = _text(value)
        name = ".".join(path)
        if sent is None and text is not None:
            return f"{header} header is missing but the argument {name!r} is present"
        if sent is not None and text is None:
            return f"{header} header is present but the argument {name!r} is absent"
        if sent is not None and text is not None and not _agree(one.type, value, text, decode(sent)):
            return f"{header} header does not match the argument {name!r}"
    return None


def encode(text: str) -> str:
    """A header value for any text: printable ASCII as it is, anything else in the base64 sentinel."""
    if _PLAIN.fullmatch(text) and text == text.strip() and not _SENTINEL.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def decode(value: str) -> str | None:
    """The inverse; ``None`` for a sentinel that holds no canonical base64 of UTF-8."""
    if (match := _SENTINEL.fullmatch(value)) is None:
        return value
    try:
        raw = base64.b64decode(match[1], validate=True)
        return raw.decode() if base64.b64encode(raw).decode() == match[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _agree(kind: str, value: Any, text: str, sent: str | None) -> bool:
    if sent is None:
        return False
    whole = _DECIMAL.fullmatch(sent) if kind == "integer" and _is_whole(value) else None
    return int(whole[1]) == int(value) if whole is not None else sent == text


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _at(arguments: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(arguments, Mapping):
            return None
        arguments = arguments.get(key)
    return arguments


def _positions(schema: Any) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, Any]]]:
    """Every place of a schema where a schema stands, with its path.

    The path is ``None`` where something else than a chain of ``properties`` leads to: nowhere there is a declaration
    valid. What is data (``default``, ``enum``) is no schema, whatever it looks like, and references are not followed.
    """
    stack: list[tuple[tuple[str, ...] | None, Any]] = [((), schema)]
    while stack:
        path, node = stack.pop()
        if not isinstance(node, Mapping):
            continue
        yield path, node
        for keyword, below in node.items():
            if keyword == "properties" and isinstance(below, Mapping):
                stack.extend((None if path is None else (*path, name), inner) for name, inner in below.items())
            elif keyword in _MAPS and isinstance(below, Mapping):
                stack.extend((None, inner) for inner in below.values())
            elif keyword in _LISTS and isinstance(below, list):
                stack.extend((None, inner) for inner in below)
            elif keyword in _SINGLE:
                stack.append((None, below))
