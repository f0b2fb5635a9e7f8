"""Whether there is anything in an answer: no items, no text, or a sentence that says so. Pure."""

from __future__ import annotations

import re
from typing import Any, Final


def _words(text: str) -> list[str]:
    return text.split()


_LONGEST: Final = 200
_ITEMS: Final = frozenset(
    _words(
        "content contents data documents edges elements entries events files hits issues items list lines matches "
        "messages nodes objects output pages records response resources result results rows values"
    )
)
_THINGS: Final = (
    r"(?:results?|match(?:es)?|files?|items?|entr(?:y|ies)|records?|rows?|data|hits?|documents?|messages?|objects?|"
    r"pages?|events?|users?|elements?|content|output|director(?:y|ies)|folders?|resources?|answers?|(?:such )?\w{2,20})"
)
_SAYS_NOTHING: Final = re.compile(
    rf"\W*(?:(?:there (?:are|were|is)|found|returned|i found)\s+)?(?:no|0|zero)\s+(?:[\w-]+\s+){{0,3}}?{_THINGS}"
    r"\s+(?:were |was |could be |is |are )?(?:found|matched|available|returned|match(?:es|ing|ed)?|exists?|"
    r"to show)\b.*|"
    r"\W*(?:found |returned )?(?:no|0|zero)\s+(?:matching |matched |search )?"
    r"(?:results?|match(?:es)?|files?|items?|entries|records?|rows?|data|hits?|documents?|content|output)"
    r"(?:\s+(?:for|in|at|with|under)\b.*)?\W*|"
    r"\W*nothing (?:was )?(?:found|matched|matches|to show)\b.*|"
    r"\W*(?:empty|none|null|nil|n/a|undefined|\(empty\)|empty (?:result|response|list|directory|folder))\W*",
    re.IGNORECASE,
)
_GOOD_NEWS: Final = re.compile(
    r"\b(?:errors?|problems?|issues?|failures?|warnings?|vulnerabilit\w+|conflicts?|differences|changes|violations?)\b",
    re.IGNORECASE,
)
"""That none of these was found is what was to be found out."""


def is_empty(value: Any) -> bool:
    """Whether JSON holds nothing: no value, or a frame around none. What was asked for may be told again in it."""
    if type(value) is dict:
        if not value:
            return True
        items = [name for name in value if name.lower() in _ITEMS]
        if items:
            return all(_hollow(value[name]) for name in items) and not any(
                type(inner) in (list, dict) and not _hollow(inner) for inner in value.values()
            )
        return all(_hollow(inner) for inner in value.values()) and any(_is_frame(inner) for inner in value.values())
    return _hollow(value) and type(value) not in (bool, int, float)


def says_nothing(text: str) -> bool:
    """Whether the whole text is one sentence that says that there is nothing."""
    if len(text) > _LONGEST:
        return False
    text = text.strip()
    return "\n" not in text and _SAYS_NOTHING.fullmatch(text) is not None and _GOOD_NEWS.search(text) is None


def _hollow(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return not value.strip()
    if kind is list or kind is dict:
        return not value
    return value is None or value is False or (kind in (int, float) and value == 0)


def _is_frame(value: Any) -> bool:
    return value is None or type(value) in (list, dict, str)
