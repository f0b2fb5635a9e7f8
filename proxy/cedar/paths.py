"""One spelling for each path: what the rules judge is what the upstream gets.

``like "/data/*"`` matches ``/data/../etc/passwd``, so a path-like argument is brought into one form before a rule looks
at it: no ``.`` or ``..`` or empty segments, no trailing slash, no percent-encoded letters, dots or slashes, forward
slashes only. ``..`` stays where it climbs out of a relative path or out of ``~``, which only the upstream can resolve.
Symbolic links and letter case are beyond a text; a server that must be confined needs a confinement of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import quote

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//[^/?#\\]*)?([^?#]*)(.*)", re.DOTALL)
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_UNPRINTABLE: Final = re.compile(r"[^!-~]+")
_HOSTED: Final = frozenset({"http", "https", "ws", "wss", "ftp"})
_DRIVE: Final = re.compile(r"[A-Za-z]:")
# A backslash separates, unless it escapes what a shell would trip over.
_SEPARATOR: Final = re.compile(r"\\(?![ '\"()&;\[\]{}*?!#<>|`$])")
_DOTTED: Final = re.compile(r"(^|[\\/])\.{1,2}([\\/]|$)")
_ROOTED: Final = re.compile(r"[/\\]|\.{1,2}[/\\]|~[^\s/\\]*[/\\]|[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]+://|file:", re.I)

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


def _canonical(key: str, value: Any) -> Any:
    if isinstance(value, str):
        if not is_path_like(key, value):
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
    plain = key.lower().replace("_", "").replace("-", "")
    if plain in _TEXT_KEYS:
        return False
    if plain.endswith(_PATH_ENDINGS):
        return True
    if plain in _PATH_KEYS or plain.endswith(_URI_ENDINGS):
        return "\n" not in value
    return "\n" not in value and (_ROOTED.match(value) is not None or _DOTTED.search(value) is not None)


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
    text = _decoded(text, "/\\")
    text = _slashed(text)
    if text.startswith("/"):
        return "/" + _resolved(text.split("/"), climbs=False)
    head, slash, tail = text.partition("/")
    if _DRIVE.match(text) or head.startswith("~"):
        place = _resolved(tail.split("/"), climbs=head.startswith("~"))
        return f"{head}/{place}" if place or (slash and _DRIVE.fullmatch(head)) else head
    place = _resolved(text.split("/"), climbs=True)
    # "./~" is a folder, "~" a home: the dot must not get lost where it keeps the rest a plain name.
    first = place.partition("/")[0]
    return f"./{place}" if first.startswith("~") or (":" in first and ":" not in head) else place or "."


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
    """``text`` with those percent-encoded characters decoded that need no encoding (RFC 3986, 6.2.2), and ``also``."""

    def character(match: re.Match[str]) -> str:
        char = chr(int(match[1], 16))
        return char if char in _UNRESERVED or char in also else match[0].upper()

    while (new := _ENCODED.sub(character, text)) != text:  # "%2%65" decodes to "%2e"
        text = new
    return text


def _encoded(path: str) -> str:
    return _UNPRINTABLE.sub(lambda match: quote(match[0], errors="surrogatepass"), path)
