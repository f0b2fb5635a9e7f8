"""``lock:`` templates: the names of what a call works upon, made of its arguments. Pure.

Two spellings of one thing must give one name, or two callers hold it at once: paths are brought into their canonical
form, texts into NFC and, where the operator says that case means nothing, into lower case. Where a field is missing
there is no name, and without a name no lock: that is said, and nothing is sent.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fuseboard.cedar.paths import canonical, is_path_like, veiled

MOST: Final = 64
"""Locks that one call may need: a list of a thousand files is no unit of work that one can wait for."""

LONGEST: Final = 200
"""Characters of a name; of a longer one the digest stands for the rest."""

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_PATHS: Final = ("file:", "dir:", "path:")
"""How a template begins whose fields are paths, whatever their names."""
_PLACE: Final = re.compile(r"args(\.[^.{}\s]+)+|principal|run")


class LockLike(Protocol):
    """One entry of a tool's ``lock``."""

    @property
    def name(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def hold(self) -> str: ...
    @property
    def ttl_s(self) -> float | None: ...
    @property
    def wait_s(self) -> float | None: ...
    @property
    def ignore_case(self) -> bool: ...


class Rule(NamedTuple):
    """One kind of lock that the calls of a tool need. ``hold_s`` is its lease, ``wait_s`` how long it is waited for."""

    template: str
    exclusive: bool
    by_run: bool
    hold_s: float
    wait_s: float
    ignore_case: bool = False


class Missing(Exception):
    """A field of a template that the call does not fill. The message says which, for the model."""


class Wanted(NamedTuple):
    """One lock that a call needs."""

    name: str
    rule: Rule


def rules_of(entries: Sequence[LockLike], *, ttl_s: float, wait_s: float) -> tuple[Rule, ...]:
    """What a tool's section says, with what is left out there filled in."""
    return tuple(
        Rule(
            one.name,
            one.mode == "exclusive",
            one.hold == "run",
            ttl_s if one.ttl_s is None else one.ttl_s,
            wait_s if one.wait_s is None else one.wait_s,
            one.ignore_case,
        )
        for one in entries
    )


def fault_of(template: str) -> str | None:
    """What is wrong with a template, ``None`` where nothing is."""
    rest = _FIELD.sub("", template)
    if "{" in rest or "}" in rest:
        return "a brace without its other half"
    for field in _FIELD.findall(template):
        if _PLACE.fullmatch(field) is None:
            return f"the field {{{field}}}; expected {{args.NAME}}, {{principal}} or {{run}}"
    return None


def wanted(rules: Sequence[Rule], arguments: Mapping[str, Any], *, principal: str, run: str) -> tuple[Wanted, ...]:
    """The locks that a call needs, each name once and in order. Where two rules give one name the stricter counts.

    Raises:
        Missing: a template cannot be filled.
    """
    found: dict[str, Rule] = {}
    for rule in rules:
        for name in _names(rule, arguments, {"principal": principal, "run": run}):
            before = found.get(name)
            found[name] = rule if before is None else _stricter(before, rule)
    if len(found) > MOST:
        raise Missing(f"it names {len(found)} things at once, and {MOST} is the most; work on fewer at a time")
    return tuple(Wanted(name, found[name]) for name in sorted(found))


def _stricter(one: Rule, other: Rule) -> Rule:
    return one._replace(
        exclusive=one.exclusive or other.exclusive,
        by_run=one.by_run or other.by_run,
        hold_s=max(one.hold_s, other.hold_s),
        wait_s=min(one.wait_s, other.wait_s),
    )


def _names(rule: Rule, arguments: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[str]:
    """One name, or several where a field is a list."""
    filled = [""]
    at = 0
    for match in _FIELD.finditer(rule.template):
        values = _values(match[1], arguments, known, paths=rule.template.startswith(_PATHS))
        filled = [f"{head}{rule.template[at : match.start()]}{value}" for head in filled for value in values]
        if len(filled) > MOST:
            raise Missing(f"{match[1]} names more than {MOST} things at once; work on fewer at a time")
        at = match.end()
    for text in filled:
        yield _shortened(_folded(text + rule.template[at:], rule))


def _folded(name: str, rule: Rule) -> str:
    name = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", name.casefold()) if rule.ignore_case else name


def _shortened(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 70]}…sha256:{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()}"


def _values(field: str, arguments: Mapping[str, Any], known: Mapping[str, str], *, paths: bool) -> list[str]:
    if field in known:
        return [known[field]]
    keys = field.split(".")[1:]
    value: Any = arguments
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    each = value if isinstance(value, list) else [value]
    if not each:
        raise Missing(f"its argument {'.'.join(keys)!r} is empty")
    return [_text(".".join(keys), keys[-1], one, path=paths) for one in each]


def _text(place: str, key: str, value: Any, *, path: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if not isinstance(value, str) or not value:
        raise Missing(f"its argument {place!r} has to say on what; give it as a text or a number")
    if veiled(key, value):
        raise Missing(f"its argument {place!r} holds characters that no name has")
    return canonical(value) if path or is_path_like(key, value) else value
