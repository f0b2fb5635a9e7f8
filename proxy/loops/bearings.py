"""What a call is about, and what part it plays: whether what it changed speaks to what another one asked. Pure.

Tools are free to be called anything, so this is a guess by names and looks. It may only spare a repetition that has a
reason (tests after an edit, a file read anew after it was written); it never accuses one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zlib import crc32

from fuseboard.cedar.paths import is_path_like
from fuseboard.events import Effect, Tool
from fuseboard.loops.verbs import part_of_name, patched, says_change, statement
from fuseboard.readings import IDENTITIES


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MOST: Final = 24
"""Names that are kept of one call. What names more is about too much to tell."""

LOOKED_THROUGH: Final = 64
"""Values that are looked at in one call."""

THING: Final = "="
FOLDER: Final = "/"
ABOVE: Final = "^"
LAST: Final = "~"
TEXT: Final = '"'
ASKS: Final = "?"
"""By the first letter of a name: a thing itself, the folder it is in, one further up, its own last part; that the
call says something in words, and that it asks by them."""

_FOLDERS: Final = 8
_LONGEST: Final = 512
_HERE: Final = "."
_COMMANDS: Final = frozenset(("cmd", "command", "commands", "script", "shell"))
_MODES: Final = frozenset(("action", "command", "method", "mode", "op", "operation", "verb"))
_PAYLOADS: Final = _set(
    "append blob body changes code content contents data diff edits fields filetext insert insertline newcontent "
    "newstr newstring newtext newvalue oldstr oldstring oldtext patch payload properties replacement text updates "
    "value values"
)
_QUESTIONS: Final = _set(
    "filter jql keyword keywords pattern phrase q query question regex search searchterm term terms topic"
)
_WORDY: Final = _set("expression input message prompt subject text title")
_PATCHES: Final = _set("diff patch")
_STATEMENTS: Final = _set("query sql statement")
_ID_ENDINGS: Final = (
    "id",
    "ids",
    "uuid",
    "slug",
    "key",
    "name",
    "number",
    "branch",
    "table",
    "sha",
    "ref",
    "tag",
    "selector",
    "element",
    "locator",
    "xpath",
)
_NO_IDS: Final = ("line", "page", "max", "min", "tool", "display")


class Bearing(NamedTuple):
    names: tuple[str, ...]
    part: str
    """``read``, ``run`` (asks about everything, as tests do), ``change``, ``note``, ``wait`` or, where nobody can tell,
    ``act``."""


def of_call(tool: Tool, arguments: Mapping[str, Any]) -> Bearing:
    """What the call names, and what part it plays."""
    seen = _Seen()
    for key, value, plain, depth in _values(arguments):
        seen.look(key, value, plain, depth)
    return Bearing(tuple(seen.names)[:MOST], _part(tool, seen))


def relation(changed: Collection[str], asked: Collection[str]) -> float:
    """How much a change of ``changed`` says about ``asked``: 1 where one lies in the other, a half beside it."""
    things, wanted = _of(changed, THING), _of(asked, THING)
    if not things or not wanted:
        return 0.0
    around, wide = things | _of(changed, FOLDER, ABOVE), wanted | _of(asked, FOLDER, ABOVE)
    if wanted <= around or things <= wide or _of(changed, LAST) & _of(asked, LAST):
        return 1.0
    return 0.5 if things & wanted or _of(changed, FOLDER) & _of(asked, FOLDER) else 0.0


def names_things(names: Iterable[str]) -> bool:
    return any(name[0] == THING for name in names)


def _of(names: Iterable[str], *marks: str) -> set[str]:
    return {name[1:] for name in names if name[0] in marks}


class _Seen:
    """What was met in the arguments so far."""

    __slots__ = ("changes", "commands", "mode", "names", "pays")

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.mode = ""
        self.commands = False
        self.changes = False
        self.pays = False

    def look(self, key: str, value: Any, plain: str, depth: int) -> None:
        self.pays |= plain in _PAYLOADS
        if not isinstance(value, str):
            if isinstance(value, int) and not isinstance(value, bool) and _is_id(plain) and depth < 3:
                self.names[_mark(THING, str(value))] = None
            return
        if plain in _PATCHES:
            self.names.update((name, None) for path in patched(value) or (_HERE,) for name in _places(path))
        text = value[:_LONGEST].strip()
        if not text:
            return
        if plain in _STATEMENTS and (said := statement(text)) is not None:
            self.mode = "change" if said.changes else "read"
            self.names.update((_mark(THING, table), None) for table in said.tables)
            return
        if plain in _MODES and " " not in text and (part := part_of_name(text)):
            self.mode = part
        elif plain in _COMMANDS:
            self.commands = True
            if says_change(text):
                self.changes = True
                self.names.update(dict.fromkeys(_touched(text)))
        elif is_path_like(key, text):
            self.names.update(dict.fromkeys(_places(text)))
        elif plain in IDENTITIES or _is_id(plain):
            if depth < 3:
                self.names[_mark(THING, text)] = None
        elif plain in _QUESTIONS:
            self.names[TEXT] = self.names[ASKS] = None
        elif plain in _WORDY or " " in text:
            self.names[TEXT] = None


def _values(arguments: Mapping[str, Any]) -> Iterable[tuple[str, Any, str, int]]:
    """The single values, each with the name it stands under, that name without its spelling, and how deep it stands."""
    left = LOOKED_THROUGH
    ahead: list[tuple[str, Any, int]] = [(name, value, 0) for name, value in arguments.items()]
    ahead.reverse()
    while ahead and left:
        left -= 1
        name, value, depth = ahead.pop()
        if isinstance(value, Mapping):
            ahead += [(str(member), inner, depth + 1) for member, inner in list(value.items())[:left]]
        elif isinstance(value, list | tuple):
            ahead += [(name, item, depth + 1) for item in value[:left]]
        yield name, value, _plain(name), depth


@lru_cache(1024)
def _plain(name: str) -> str:
    return name[:64].lower().replace("_", "").replace("-", "")


@lru_cache(1024)
def _is_id(plain: str) -> bool:
    return plain.endswith(_ID_ENDINGS) and not plain.startswith(_NO_IDS)


def _part(tool: Tool, seen: _Seen) -> str:
    part = seen.mode or part_of_name(tool.name)
    if seen.commands and not seen.mode:
        return "change" if seen.changes else "run"
    if part in ("run", "note", "wait"):
        return part
    if tool.effect is Effect.READ or tool.read_hint:
        return "read"
    if tool.effect is Effect.WRITE:
        return "change"
    # The specification's default for a tool of which nothing is known is "destructive", which tells nothing here.
    return part or ("change" if seen.pays and names_things(seen.names) else "act")


def _touched(line: str) -> Iterable[str]:
    """What a line for a shell names, and something in any case: it changes what nobody can see."""
    words = [word.strip("'\"") for word in line.split()]
    places = [word for word in words if not word.startswith("-") and ("/" in word or _FILE.search(word))]
    for place in places[:4] or [_HERE]:
        yield from _places(place)


_FILE: Final = re.compile(r"\w\.\w{1,5}$")
_SLASHES: Final = re.compile(r"[\\/]+")


@lru_cache(1024)
def _places(text: str) -> tuple[str, ...]:
    """A path or an address with the folders that it lies in, the nearest first. A folder goes by what leads to it."""
    scheme, sep, rest = text.partition("://")
    if sep:
        rest = rest.partition("#")[0]
        segments, root = [part for part in rest.split("/") if part], f"{scheme}://"
    else:
        root = "/" if text[0] in "/\\" else ""
        segments = [part for part in _SLASHES.split(text) if part not in ("", _HERE)]
    if not segments:
        return (THING + _crc(root or _HERE),)
    crcs = [crc32(root.encode())]
    for segment in segments:
        crcs.append(crc32(segment.encode("utf-8", "surrogatepass"), crcs[-1] ^ 1))
    names = [f"{THING}{crcs[-1]:x}"]
    if not sep and "." in segments[-1]:
        names.append(LAST + _crc(segments[-1]))
    folders = [f"{crc:x}" for crc in crcs[-2:0:-1]][:_FOLDERS]
    if not sep:
        # Where a relative path starts is not known, so what lies anywhere may lie there.
        folders += [_crc("/"), _crc(_HERE)] if root else [_crc(_HERE)]
    names += [(ABOVE if n else FOLDER) + folder for n, folder in enumerate(folders)]
    return tuple(names)


def _mark(mark: str, text: str) -> str:
    return mark + _crc(text)


def _crc(text: str) -> str:
    return f"{crc32(text.encode('utf-8', 'surrogatepass')):x}"
