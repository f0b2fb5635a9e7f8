"""The JSON Schema of the configuration file, for editors: every spelling that a file may use."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from fuseboard.config.models import Config
from fuseboard.config.outline import fields
from fuseboard.config.section import Section
from fuseboard.config.servers import IGNORED, HttpServer, StdioServer
from fuseboard.config.units import Rate, format_duration, format_share, format_size

_FORMATS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "fuseboard-duration": ("A duration: 500ms, 30s, 5m, 1h30m, 14d.", format_duration),
    "fuseboard-size": ("A size: 64KB, 10MB (decimal), 4MiB (binary), or bytes.", format_size),
    "fuseboard-count": ("A count: 200, 250k, 1.5M.", lambda count: count),
    "fuseboard-share": ("A percentage: 50%.", format_share),
    "fuseboard-rate": ("A rate: 60/min, 60/min burst 20.", lambda rate: str(Rate(**rate))),
}


def json_schema() -> dict[str, Any]:
    """Draft 2020-12. Descriptions are the docstrings of the models, defaults are spelt as a file spells them."""
    schema = Config.model_json_schema(by_alias=True)
    sections = {"Config": schema, **schema["$defs"]}
    for section in _subclasses(Section):
        if section.__name__ in sections:
            _describe(section, sections[section.__name__])
    _spell_units(schema)
    _accept_clients(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fuseboard configuration",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _subclasses(section: type[Section]) -> Iterator[type[Section]]:
    for subclass in section.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _describe(section: type[Section], node: dict[str, Any]) -> None:
    node.pop("title", None)
    texts = field_docs(section)
    for key, (name, _) in fields(section).items():
        described = node["properties"][key]
        described.pop("title", None)
        if "$ref" in described or "description" not in described:
            described["description"] = texts[name]


def field_docs(section: type[Section]) -> dict[str, str]:
    """The docstring under each field, by the field's name.

    Read from the source only here: pydantic can do it for every class at import, which costs each start 15 ms.
    """
    docs: dict[str, str] = {}
    for base in reversed([base for base in section.__mro__ if issubclass(base, Section)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            match statement, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    docs[name] = inspect.cleandoc(text)
    return docs


def _spell_units(node: Any, default_of: dict[str, Any] | None = None) -> None:
    """Give numbers with a unit their description and spell their defaults like a file does."""
    if isinstance(node, list):
        for item in node:
            _spell_units(item, default_of)
    if not isinstance(node, dict):
        return
    holder = node if "default" in node else default_of
    if node.get("format") in _FORMATS:
        text, spell = _FORMATS[node.pop("format")]
        node.setdefault("description", text)
        if node["description"] != text:
            node["description"] += " " + text
        if holder and holder.get("default") is not None and not isinstance(holder["default"], str):
            holder["default"] = spell(holder["default"])
    for key, value in node.items():
        _spell_units(value, holder if key == "anyOf" else None)


def _accept_clients(schema: dict[str, Any]) -> None:
    """What files of other clients write differently, and what is read over in them."""
    for kind in (StdioServer, HttpServer):
        properties = schema["$defs"][kind.__name__]["properties"]
        properties |= {key: {"description": "Read over; `disabled: true` leaves the server out."} for key in IGNORED}
    stdio, http = (schema["$defs"][kind.__name__] for kind in (StdioServer, HttpServer))
    for name in ("command", "cwd"):
        stdio["properties"][name].pop("format", None)
    for holder in ("args", "env"):
        inner = stdio["properties"][holder]
        # A server's environment and arguments are text, and 8080 is as good a text as "8080".
        inner["items" if holder == "args" else "additionalProperties"] = {"type": ["string", "number", "boolean"]}
    http["properties"]["type"]["enum"] = ["http", "sse", "streamable-http", "streamableHttp"]
    stdio["properties"]["transport"] = stdio["properties"]["type"]
    http["properties"]["transport"] = http["properties"]["type"]
    bearer = schema["$defs"]["Auth"]["properties"]["bearer"]
    bearer["additionalProperties"] = {"anyOf": [{"type": "string"}, bearer["additionalProperties"]]}
    schema["properties"]["mcpServers"] = {
        **schema["properties"]["servers"],
        "description": "Another name for `servers`.",
    }
    del schema["required"]
    schema["oneOf"] = [{"required": ["servers"]}, {"required": ["mcpServers"]}]
