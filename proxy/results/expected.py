"""Whether what looks like an error was asked for: a program that failed, a file of errors, a page to be read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fuseboard.events import CallProposed
from fuseboard.loops import bearings
from fuseboard.results.profile import mostly
from fuseboard.results.shapes import Shape

_MOST: Final = 32
_FILE: Final = re.compile(r"[^\n]{0,400}[\w)\]-]\.(?!com\b|org\b|net\b|io\b|dev\b)[A-Za-z]\w{0,7}")
_URL: Final = re.compile(r"\s*(?:https?://|www\.)|[^\n]{0,400}\.x?html?\s*$", re.IGNORECASE)
_PAGES: Final = re.compile(r"html|web|page|url|crawl|scrap|brows|fetch|download|http", re.IGNORECASE)
_NO_FILE: Final = re.compile(
    r"\b(?:enoent|eacces|eisdir|no such file|permission denied|not found|does not exist|"
    r"(?:read|open|load|access)\w* (?:the )?(?:file|path))\b",
    re.IGNORECASE,
)


def is_expected(shape: Shape, call: CallProposed, text: str, tail: Sequence[Any]) -> bool:
    """Whether an answer of such a shape may well be the right one to this call."""
    if shape.page:
        return not shape.status and _asks_for_a_page(call, tail)
    if not shape.program:
        return False
    if bearings.of_call(call.tool, call.arguments).part == "run":
        return True
    return _names_a_file(call.arguments) and _NO_FILE.search(text) is None


def _asks_for_a_page(call: CallProposed, tail: Sequence[Any]) -> bool:
    return (
        _PAGES.search(call.tool.name) is not None
        or any(_URL.match(text) for text in _texts(call.arguments))
        or mostly(tail, "html")
    )


def _names_a_file(arguments: Mapping[str, Any]) -> bool:
    return any(_FILE.fullmatch(text.strip()) is not None for text in _texts(arguments))


def _texts(arguments: Mapping[str, Any]) -> Iterator[str]:
    for value in list(arguments.values())[:_MOST]:
        if isinstance(value, str):
            yield value[:500]
        elif isinstance(value, list):
            yield from (inner[:500] for inner in value[:_MOST] if isinstance(inner, str))
