"""What the name of a tool, or a line for a shell, says about the part that a call plays. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NOTES: Final = _set(
    "todo todos note notes think thinking thought thoughts plan planning memory memo reflect reason scratchpad journal"
)
_RUNS: Final = _set(
    "run runs test tests pytest build compile lint linter check checks exec execute shell bash terminal command cmd "
    "make npm cargo typecheck validate verify diagnostics evaluate eval deploy"
)
_READS: Final = _set(
    "get list ls read search find grep fetch query view show describe status lookup look cat head tail tree stat stats "
    "inspect analyze analyse summarize explain count diff compare glob scan browse snapshot screenshot download export "
    "poll watch ping health whoami help info details retrieve load ask recall history log logs print dump resolve "
    "select crawl scrape extract observe monitor translate calculate calc"
)
_CHANGES: Final = _set(
    "edit write create update delete remove insert append prepend move rename patch apply set put post add replace "
    "commit push save upload send install uninstall modify change overwrite copy cp mv rm mkdir touch format fix "
    "refactor toggle navigate goto checkout switch merge rebase reset revert restart start stop enable disable approve "
    "close reopen assign label publish upsert store sync migrate import configure rollback cancel submit drop truncate "
    "clear click dblclick tap press type fill drag hover swipe"
)
_WAITS: Final = _set("wait waits sleep delay")
_POLLS: Final = _set("status state progress poll check health ping watch ready job")
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_CHANGING: Final = re.compile(
    r"(?<![-=<0-9&])>{1,2}\s*(?!/dev/null|&)\S|\btee\b|\b(?:sed|perl)\b[^|;]*\s-[a-z]*i|"
    r"(?:^|[|;&]\s*|\bsudo\s+)(?:mv|cp|rm|mkdir|rmdir|touch|ln|chmod|chown|patch|dd|truncate|kill|pkill)\b|"
    r"\bgit\s+(?:add|am|apply|checkout|cherry-pick|clean|commit|merge|mv|pull|push|rebase|reset|restore|revert|rm|"
    r"stash|switch)\b|\b(?:pip|npm|yarn|pnpm|apt|apt-get|brew|cargo|uv|poetry)\s+(?:add|ci|i|install|remove|uninstall|"
    r"update|upgrade)\b|<<\s*['\"]?\w"
)


@lru_cache(2048)
def part_of_name(name: str) -> str:
    """``note``, ``wait``, ``run``, ``read`` or ``change`` by the first word that says so, empty where none does."""
    words = [word.lower() for word in _WORDS.findall(name[:128])]
    part = next((part for word in words if (part := part_of_word(word))), "")
    return "note" if part != "read" and not _NOTES.isdisjoint(words) else part


def part_of_word(word: str) -> str:
    """The same of one word."""
    word = word.strip().lower()
    if word in _WAITS:
        return "wait"
    if word in _READS:
        return "read"
    if word in _CHANGES:
        return "change"
    if word in _RUNS:
        return "run"
    return ""


@lru_cache(2048)
def is_asked_after(name: str) -> bool:
    """Whether a tool by its name tells how something stands: it is asked again more readily than others."""
    return not _POLLS.isdisjoint(word.lower() for word in _WORDS.findall(name[:128]))


_SQL: Final = re.compile(
    r"\s*(?:(insert|update|delete|alter|create|drop|truncate|merge|replace|upsert)|select|with)\b", re.IGNORECASE
)
_TABLES: Final = re.compile(r"\b(?:from|into|update|join|table)\s+[\"`\[]?([\w.]+)", re.IGNORECASE)


class Statement(NamedTuple):
    changes: bool
    tables: tuple[str, ...]


def statement(text: str) -> Statement | None:
    """What a line of SQL is about, ``None`` where it is none."""
    if (met := _SQL.match(text)) is None or not (tables := _TABLES.findall(text)):
        return None
    return Statement(met[1] is not None, tuple(dict.fromkeys(table.lower() for table in tables[:4])))


_PATCHED: Final = re.compile(r"^(?:\+\+\+ (?:b/)?|\*\*\* (?:Update|Add|Delete) File: )(\S+)", re.MULTILINE)


def patched(text: str) -> tuple[str, ...]:
    """The files that a patch names."""
    return tuple(_PATCHED.findall(text)[:4])


def says_change(line: str) -> bool:
    """Whether a line for a shell changes something, as far as one can see."""
    return _CHANGING.search(line) is not None
