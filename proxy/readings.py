"""What the arguments of a call show to somebody who knows nothing of the tool: whom they name, how far they reach.

Names of arguments are free, so all of this is a guess by names and looks. It earns points, and decides nothing alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fuseboard.cedar.paths import is_path_like

MANY: Final = 20
"""A list longer than this is a batch."""

MUCH: Final = 1000
"""An amount larger than this is a large one."""

LOOKED_THROUGH: Final = 2000
"""Values that are looked at in one call. What has more says nothing about the rest, which has to count as the worst."""

IDENTITIES: Final = frozenset(
    [
        "account",
        "accounts",
        "accountid",
        "address",
        "addresses",
        "bcc",
        "bucket",
        "cc",
        "channel",
        "channelid",
        "chat",
        "chatid",
        "dest",
        "destination",
        "domain",
        "email",
        "emails",
        "endpoint",
        "host",
        "hostname",
        "iban",
        "org",
        "organisation",
        "organization",
        "owner",
        "phone",
        "phonenumber",
        "receiver",
        "receivers",
        "recipient",
        "recipients",
        "remote",
        "repo",
        "repos",
        "repository",
        "server",
        "target",
        "targets",
        "to",
        "uri",
        "uris",
        "url",
        "urls",
        "user",
        "userid",
        "username",
        "webhook",
        "webhookurl",
    ]
)
"""Arguments that say who or what is dealt with, in lower case and without ``_`` and ``-``."""

_GLOBS: Final = frozenset(["glob", "globs", "exclude", "include", "includes", "match", "matches", "selector"])
_SWITCHES: Final = frozenset(
    ["all", "cascade", "everyone", "everything", "force", "forced", "overwrite", "purge", "recurse", "recursive"]
)
_AMOUNTS: Final = frozenset(["amount", "amounts", "payment", "price", "qty", "quantity", "sum", "total"])
_NEGATIONS: Final = frozenset(["avoid", "disable", "dont", "never", "no", "not", "skip", "without"])
_URIS: Final = ("uri", "uris", "url", "urls", "href")
_TRUE: Final = frozenset(("true", "yes", "on", "1"))
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ANCHORED: Final = re.compile(r"[/\\~]|[A-Za-z][A-Za-z0-9+.-]*:")
_LONGEST_NAME: Final = 128


@dataclass(slots=True)
class Reading:
    """``shape`` is a digest of the top-level names; ``identities`` are digests of values, each with its argument.

    All the others are names of arguments, in the order in which they were met.
    """

    shape: str
    empty: bool
    whole: bool = True
    """Whether all of it was looked through."""
    identities: dict[str, str] = field(default_factory=dict)
    wildcards: dict[str, None] = field(default_factory=dict)
    switches: dict[str, None] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    amounts: dict[str, None] = field(default_factory=dict)
    vague: dict[str, None] = field(default_factory=dict)
    """Paths that do not say from where."""


def read(arguments: Mapping[str, Any]) -> Reading:
    """Look through the arguments."""
    reading = Reading(_digest(sorted(arguments)), not arguments)
    left = LOOKED_THROUGH
    ahead: list[tuple[str, Any, bool]] = [(name, value, False) for name, value in arguments.items()]
    ahead.reverse()
    while ahead:
        if not left:
            reading.whole = False
            break
        left -= 1
        name, value, within = ahead.pop()
        sort = _sort(name) if len(name) <= _LONGEST_NAME else _sort_of(name)
        within = within or sort.identity
        if isinstance(value, Mapping):
            ahead += [(member, inner, within) for member, inner in list(value.items())[:left]]
            reading.whole &= len(value) <= left
        elif isinstance(value, list | tuple):
            if len(value) > MANY:
                reading.batches[name] = max(len(value), reading.batches.get(name, 0))
            ahead += [(name, item, within) for item in value[:left]]
            reading.whole &= len(value) <= left
        else:
            _read_one(reading, name, value, sort, identity=within)
    return reading


def _read_one(reading: Reading, name: str, value: Any, sort: _Sort, *, identity: bool) -> None:
    if identity and value not in ("", None):
        reading.identities.setdefault(_digest((sort.plain, repr(value))), name)
    if sort.switch and _is_true(value):
        reading.switches[name] = None
    if sort.amount and abs(_number(value)) > MUCH:
        reading.amounts[name] = None
    if isinstance(value, str):
        if ("*" in value or "?" in value) and _reaches(name, value, sort):
            reading.wildcards[name] = None
        if sort.path and not _ANCHORED.match(value):
            reading.vague[name] = None


def _reaches(name: str, value: str, sort: _Sort) -> bool:
    """Whether a wildcard stands where it widens what is meant: in a path or alone, not in a text or a query."""
    if value.strip() == "*" or sort.glob:
        return True
    if not is_path_like(name, value):
        return value.startswith("*.") and value.isprintable() and " " not in value
    # In a URL "?" begins the query, where nothing is a wildcard.
    return "://" not in value or "*" in value.partition("?")[0]


def _is_true(value: Any) -> bool:
    return value.strip().lower() in _TRUE if isinstance(value, str) else value is True or value == 1


def _number(value: Any) -> float:
    """The number that is meant, 0 where none is."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0.0
    try:
        return float(value.replace(",", "")[:_LONGEST_NAME] if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return float("inf") if isinstance(value, int) else 0.0


class _Sort(NamedTuple):
    """What the name of an argument says by itself. ``plain`` is the name without its spelling."""

    plain: str
    identity: bool
    glob: bool
    switch: bool
    amount: bool
    path: bool
    """Only what is called a path: a text that merely looks like one says from where."""


def _sort_of(name: str) -> _Sort:
    plain = name.lower().replace("_", "").replace("-", "")
    # ``forcePush``, ``force_push`` and ``--force-push`` alike.
    words = {word.lower() for word in _WORDS.findall(name[:_LONGEST_NAME])}
    return _Sort(
        plain,
        plain in IDENTITIES,
        plain in _GLOBS,
        not words.isdisjoint(_SWITCHES) and words.isdisjoint(_NEGATIONS),
        not words.isdisjoint(_AMOUNTS),
        is_path_like(name, "") and not plain.endswith(_URIS),
    )


# A pure function of few names that come again and again.
_sort = lru_cache(1024)(_sort_of)


def _digest(parts: Iterable[str]) -> str:
    """128 bits: nobody finds a value that passes for a familiar one. What no UTF-8 can say is a value, too."""
    told = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=16).hexdigest()
