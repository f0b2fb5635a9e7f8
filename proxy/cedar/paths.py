"""One spelling for each path: what the rules judge is what the upstream gets.

``like "/data/*"`` matches ``/data/../etc/passwd``, so a path-like argument is brought into one form before a rule looks
at it: no ``.`` or ``..`` or empty segments, no trailing slash, no percent-encoded letters, dots or slashes, forward
slashes only. ``..`` stays where it climbs out of a relative path or out of ``~``, which only the upstream can resolve.
URL parsers drop tabs and line ends wherever they stand, so a URI that holds any has no such form: see :func:`veiled`.
Symbolic links and letter case are beyond a text; a server that must be confined needs a confinement of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from string import hexdigits
from typing import Any, Final
from urllib.parse import quote

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//[^/?#\\]*)?([^?#]*)(.*)", re.DOTALL)
_OCTETS: Final = {a + b: chr(int(a + b, 16)) for a in hexdigits for b in hexdigits}
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_UNPRINTABLE: Final = re.compile(r"[^!-~]+")
_HOSTED: Final = frozenset({"http", "https", "ws", "wss", "ftp"})
# What URL parsers drop: tabs and line ends anywhere, other control characters and spaces in front.
_DROPPED: Final = re.compile(r"[\x00-\x1f\x7f]|^ +")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
# A backslash separates, unless it escapes what a shell would trip over.
_SEPARATOR: Final = re.compile(r"\\(?![ '\"()&;\[\]{}*?!#<>|`$])")
_DOTTED: Final = re.compile(r"(^|[\\/])\.{1,2}([\\/]|$)")
_ROOTED: Final = re.compile(r"[/\\]|\.{1,2}[/\\]|~[^\s/\\]*[/\\]|[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]+://|file:", re.I)

_FROM_SOMEWHERE: Final = re.compile(r"[/~]|\.{1,2}(/|$)|[A-Za-z][A-Za-z0-9+.-]*:")

_PATH_KEYS: Final = frozenset(
    {"cwd", "dest", "destination", "dst", "filename", "filenames", "root", "roots", "source", "src"}
)
_PATH_ENDINGS: Final = (
    "path",
    "paths",
    "file",
    "files",
    "dir",
    "dirs",
    "directory",
    "directories",
    "folder",
    "folders",
)
_URI_ENDINGS: Final = ("uri", "uris", "url", "urls", "href")
_TEXT_KEYS: Final = frozenset(
    (
        "body",
        "cmd",
        "code",
        "command",
        "content",
        "contents",
        "data",
        "description",
        "diff",
        "html",
        "markdown",
        "message",
        "messages",
        "newstring",
        "newtext",
        "oldstring",
        "oldtext",
        "patch",
        "pattern",
        "prompt",
        "query",
        "regex",
        "regexp",
        "replacement",
        "script",
        "sql",
        "stdin",
        "summary",
        "text",
        "title",
    )
)


def canonical_arguments(arguments: Mapping[str, Any], names: Collection[str] | None) -> Mapping[str, Any]:
    """``arguments`` with the path-like strings below ``names`` (``None``: below all) in canonical form.

    Returns the same object where nothing changes.
    """
    wanted = arguments if names is None else [name for name in names if name in arguments]
    changed = {name: new for name in wanted if (new := _canonical(name, arguments[name])) is not arguments[name]}
    return {**arguments, **changed} if changed else arguments


def anchored_arguments(arguments: Mapping[str, Any], names: Collection[str] | None) -> Mapping[str, Any]:
    """``arguments`` with each relative path below ``names`` written from where it starts: ``.ssh/id`` as ``./.ssh/id``.

    ``like "*/.ssh/*"`` is meant for both. Returns the same object where there is no relative path.
    """
    wanted = arguments if names is None else [name for name in names if name in arguments]
    changed = {name: new for name in wanted if (new := _anchored(name, arguments[name])) is not arguments[name]}
    return {**arguments, **changed} if changed else arguments


def _anchored(key: str, value: Any) -> Any:
    if isinstance(value, str):
        relative = value and is_path_like(key, value) and not _FROM_SOMEWHERE.match(value)
        return f"./{value}" if relative else value
    if isinstance(value, list):
        items = [_anchored(key, item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        members = {name: _anchored(name, member) for name, member in value.items()}
        return members if any(members[name] is not value[name] for name in value) else value
    return value


def _canonical(key: str, value: Any) -> Any:
    if isinstance(value, str):
        if not is_path_like(key, value) or veiled(key, value):
            return value
        new = canonical(value)
        return value if new == value else new
    if isinstance(value, list):
        items = [_canonical(key, item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        members = {name: _canonical(name, member) for name, member in value.items()}
        return members if any(members[name] is not value[name] for name in value) else value
    return value


def is_path_like(key: str, value: str) -> bool:
    """Whether ``value`` under the argument ``key`` names a place, by its key or by its look."""
    plain = _plain(key)
    if plain in _TEXT_KEYS:
        return False
    if plain.endswith(_PATH_ENDINGS):
        return True
    if plain in _PATH_KEYS or plain.endswith(_URI_ENDINGS):
        return "\n" not in value
    return "\n" not in value and (_ROOTED.match(value) is not None or _DOTTED.search(value) is not None)


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def veiled(key: str, value: str) -> bool:
    """Whether ``value`` names another place to a URL parser than to a reader, by characters that the parser drops.

    ``file:///data/.<newline>./etc`` is one. A path under a key of paths is taken as it is by a file system.
    """
    plain = _plain(key)
    if plain in _TEXT_KEYS or _DROPPED.search(value) is None:
        return False
    bare = _DROPPED.sub("", value).lstrip(" ")
    if plain.endswith(_URI_ENDINGS) or _is_uri(bare):
        return True
    if plain.endswith(_PATH_ENDINGS):
        return False
    # A source may be a program, which has lines and names no place.
    named = plain in _PATH_KEYS and plain != "source"
    return named or (_ROOTED.match(bare) is not None and _DOTTED.search(_decoded(bare, "/\\")) is not None)


def veiled_argument(arguments: Mapping[str, Any], names: Collection[str] | None) -> str | None:
    """The first of the arguments ``names`` (``None``: of all) that holds a :func:`veiled` value."""
    wanted = arguments if names is None else [name for name in names if name in arguments]
    return next((name for name in wanted if _veiled_within(name, arguments[name])), None)


def _veiled_within(key: str, value: Any) -> bool:
    if isinstance(value, str):
        return veiled(key, value)
    if isinstance(value, list):
        return any(_veiled_within(key, item) for item in value)
    if isinstance(value, dict):
        return any(_veiled_within(name, member) for name, member in value.items())
    return False


def canonical(text: str) -> str:
    """The one spelling of a path or URI. Idempotent."""
    return canonical_uri(text) if _is_uri(text) else _canonical_path(text)


def canonical_uri(text: str) -> str:
    """The one spelling of a URI with an authority, or of scheme ``file``; any other text as it is.

    Letters that need no percent-encoding are decoded, all others are encoded, and dot segments are resolved (RFC 3986,
    6.2.2). What follows ``?`` or ``#`` stays, unless the URI names a file and dots follow.
    """
    if not _is_uri(text) or (uri := _URI.fullmatch(text)) is None:
        return text
    scheme, authority, path, rest = uri[1].lower(), uri[2], uri[3], uri[4]
    if scheme == "file":
        return _file_uri(authority or "//", path, rest)
    user, at, host = (authority or "").rpartition("@")
    path = _encoded(_decoded(path, "").replace("\\", "/"))  # as browsers read it
    if _DOTTED.search(path):
        segments = path.split("/")[1:]
        closing = [""] if segments[-1] in (".", "..") else []
        path = "/" + _resolved(segments + closing, climbs=False, empties=True)
    return f"{scheme}:{user}{at}{host.lower() if scheme in _HOSTED else host}{path}{rest}"


def spelt_out(text: str) -> str:
    """``text`` with each character percent-encoded that a URI does not hold, which names the same (RFC 3987, 3.1)."""
    return _encoded(text)


def _file_uri(authority: str, path: str, rest: str) -> str:
    if _DOTTED.search(_decoded(rest, "/\\")):  # a server that only strips the scheme walks through it
        path, rest = path + rest.replace("?", "%3F").replace("#", "%23"), ""
    place = _resolved(_decoded(path, "/\\").replace("\\", "/").split("/"), climbs=False)
    host = authority.lower()
    return f"file:{'//' if host == '//localhost' else host}/{_encoded(place)}{rest}"


def _is_uri(text: str) -> bool:
    uri = _URI.fullmatch(text)
    return uri is not None and (uri[2] is not None or uri[1].lower() == "file")


def _canonical_path(text: str) -> str:
    if not text:
        return text
    written = text
    text = _slashed(_decoded(text, "/\\"))
    if text.startswith("/"):
        return "/" + _resolved(text.split("/"), climbs=False)
    head, slash, tail = text.partition("/")
    if _DRIVE.match(text) or head.startswith("~"):
        place = _resolved(tail.split("/"), climbs=head.startswith("~"))
        return f"{head}/{place}" if place or (slash and _DRIVE.fullmatch(head)) else head
    place = _resolved(text.split("/"), climbs=True)
    # "./~" is a folder, "~" a home: the dot must not get lost where it keeps the rest a plain name.
    first = place.partition("/")[0]
    turned = ":" in first and not (first == head and written.startswith(first))
    return f"./{place}" if first.startswith("~") or turned else place or "."


def _slashed(text: str) -> str:
    return _SEPARATOR.sub("/", text) if "\\" in text else text


def _resolved(segments: list[str], *, climbs: bool, empties: bool = False) -> str:
    """The segments without ``.`` and ``..``; with ``climbs``, a leading ``..`` stays."""
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept and kept[-1] != "..":
                kept.pop()
            elif climbs:
                kept.append(segment)
        elif segment != "." and (segment or empties):
            kept.append(segment)
    return "/".join(kept)


def _decoded(text: str, also: str) -> str:
    """``text`` with those percent-encoded characters decoded that need no encoding (RFC 3986, 6.2.2), and ``also``.

    What decoding itself yields is decoded as well: ``%2%65`` is ``%2e``, a dot. An escape depends on what follows it
    only, so one walk from the right settles all of them.
    """
    head, *pieces = text.split("%")
    if not pieces:
        return text
    settled: list[str] = []  # the characters to the right, the next one last
    for piece in reversed(pieces):
        settled.extend(reversed(piece))
        octet = "".join(settled[-1:-3:-1])
        char = _OCTETS.get(octet)
        if char is None:
            settled.append("%")
        elif char in _UNRESERVED or char in also:
            settled[-2:] = char
        else:
            settled[-2:] = [*reversed(octet.upper()), "%"]
    settled.extend(reversed(head))
    return "".join(reversed(settled))


def _encoded(path: str) -> str:
    return _UNPRINTABLE.sub(lambda match: quote(match[0], errors="surrogatepass"), path)
