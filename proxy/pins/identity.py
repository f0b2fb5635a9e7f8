"""Which upstream a pin is of: how it is reached, as far as that is no secret. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from fuseboard.cleaning import known

_TELLING: Final = re.compile(r"(?i)(key|token|secret|passw|auth|credential|bearer)")
_MASK: Final = "…"
_DIGITS: Final = 8


def target(server: Any) -> str:
    """The command or the address of a configured server. References stand as they are written; what looks like a
    secret, a query and a password are left out: the file may be committed.
    """
    shown = server.model_dump()
    if "url" in shown:
        return _address(str(shown["url"]))
    return " ".join(_words([str(shown["command"]), *map(str, shown["args"])]))


def key_of(alias: str, where: str, *, shared: bool) -> str:
    """How the file names an upstream. ``shared``: other configurations use the file too, with aliases of their own."""
    return f"{alias}@{hashlib.sha256(where.encode()).hexdigest()[:_DIGITS]}" if shared else alias


def alias_of(key: str) -> str:
    return key.partition("@")[0]


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return _MASK
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _words(words: list[str]) -> list[str]:
    shown: list[str] = []
    hide = False
    for word in words:
        if hide and not word.startswith("-"):
            shown.append(_MASK)
            hide = False
            continue
        name, equals, _ = word.partition("=")
        hide = name.startswith("-") and not equals and _TELLING.search(name) is not None
        if equals and _TELLING.search(name):
            shown.append(f"{name}={_MASK}")
        else:
            shown.append(_MASK if known.spans(word) else word)
    return shown
