"""What validation found, in the operator's words: what was found; what is expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fuseboard.config.document import Path
from fuseboard.config.findings import did_you_mean
from fuseboard.config.outline import fields, section_at
from fuseboard.config.secrets import is_sensitive
from fuseboard.config.servers import IGNORED, HttpServer, StdioServer
from fuseboard.config.units import quoted

_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "dict": "keys and values",
    "model": "keys and values",
    "tuple": "a list",
    "list": "a list",
    "path": "a path",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding before it has a place: ``rename`` is the key that was probably meant in place of an ``unknown`` one."""

    path: Path
    message: str
    on_key: bool = False
    rename: str | None = None
    unknown: bool = False


def explain(error: ValidationError, tree: Any) -> list[Problem]:
    """The problems in the tree that was validated, as it stood in the file (references unresolved)."""
    return [_problem(dict(detail), tree) for detail in error.errors(include_url=False) if not _follows(detail)]


def _follows(detail: Any) -> bool:
    """A list whose items are all wrong is also called too short: that is no second mistake."""
    return bool(detail["type"] == "too_short" and detail["input"])


def _problem(detail: Mapping[str, Any], tree: Any) -> Problem:
    path, on_key = _place(detail["loc"], tree, detail["type"])
    if detail["type"] == "extra_forbidden":
        return _unknown(path, tree)
    return Problem(path, _message(detail, path, tree), on_key)


def _place(loc: tuple[str | int, ...], tree: Any, kind: str) -> tuple[Path, bool]:
    """The path in the file: pydantic's own steps (union tags, ``[key]``) are left out."""
    path: list[str | int] = []
    here: Any = tree
    step: Any
    for step in loc:
        if _has(here, step):
            here = here[step]
        elif step == "[key]":
            return tuple(path), True
        elif kind != "missing" or step != loc[-1]:
            continue
        path.append(step)
    return tuple(path), kind == "missing"


def _has(here: Any, step: Any) -> bool:
    if isinstance(here, list):
        return isinstance(step, int) and step < len(here)
    return isinstance(here, dict) and step in here


def _unknown(path: Path, tree: Any) -> Problem:
    key, section = str(path[-1]), section_at(path[:-1], tree)
    known = fields(section) if section else {}
    if section is StdioServer and key == "url":
        return Problem(path, "found a `command` and a `url`; a server has one of them", on_key=True)
    if section is StdioServer and key in fields(HttpServer):
        return Problem(path, f"found '{key}', which goes with a `url`; this server has a `command`", on_key=True)
    if section is HttpServer and key in fields(StdioServer):
        return Problem(path, f"found '{key}', which goes with a `command`; this server has a `url`", on_key=True)
    # What stands there already cannot have been meant a second time.
    taken = _at(path[:-1], tree)
    near = did_you_mean(key, [name for name in known if name not in taken])
    hint = f" - did you mean '{near}'?" if near else ""
    expected = "" if near else f"; expected one of {', '.join(name for name in known if name not in IGNORED)}"
    return Problem(path, f"unknown key '{key}'{expected}{hint}", on_key=True, rename=near, unknown=True)


def _message(detail: Mapping[str, Any], path: Path, tree: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    value = _at(path, tree)
    found = f"found {'a value' if is_sensitive(path) and value is not None else quoted(value)}"
    if kind == "fuseboard":
        return str(detail["msg"])
    if kind == "missing":
        return "nothing found; this key is needed"
    if kind == "literal_error":
        near = did_you_mean(value, re.findall(r"'(\w+)'", context["expected"])) if isinstance(value, str) else None
        return f"{found}; expected {context['expected']}" + (f" - did you mean '{near}'?" if near else "")
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{found}; expected {words} {context[name]:g}"
    if kind in ("too_short", "string_too_short"):
        return f"{found if value else 'found nothing in it'}; expected at least {context.get('min_length', 1)}"
    if kind == "string_pattern_mismatch":
        return f"{found}; expected it to match {context['pattern']}"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"{found}; expected text: put it in quotes"
    expected = _KINDS.get(re.sub(r"_(type|parsing|from_float|attributes_type|sub_type)$|_type$", "", kind))
    return f"{found}; expected {expected}" if expected else f"{found}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _at(path: Path, tree: Any) -> Any:
    for step in path:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree
