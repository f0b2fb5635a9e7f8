"""Links and images that would reach out to hosts that are not allowed: each becomes text that no renderer follows.

An image's address is fetched without a click, so it is the way by which data leaves a chat. What matters is the
address, not what stands around it: each is disarmed where it stands, so that nesting hides nothing (CommonMark 4.7,
6.3-6.6). A bare address is text already. Pure, linear, idempotent.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

_INLINE: Final = re.compile(r"\]\((\s{0,64}+)(<[^<>\n\]]*+>?|[^\s()<>\]]++(?:\([^\s()<>\]]*+\)[^\s()<>\]]*+)*+)")
_REFERENCE: Final = re.compile(
    r"^([ >\t*+.)0-9-]{0,64}+\[(?:[^\[\]\\]|\\.){1,999}+\]):([ \t]*+\n?[ >\t]*+)(<[^<>\n]*+>?|[^\s<>]++)", re.M
)
"""A definition may stand in a quotation or a list, and its label may go over lines."""
_AUTOLINK: Final = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}+:[^\s<>`]*+)>")
_ATTRIBUTE: Final = re.compile(
    r"\b(src|href|srcset|poster|background|action|formaction|ping|xlink:href|data|lowsrc|dynsrc|longdesc|cite|codebase"
    r"|manifest)(\s{0,64}+)="
    r"(?=\s{0,64}+[\"']?([^\s\"'<>=]*+))",  # looked at, not taken: one may stand in the value of another
    re.I,
)
_CSS: Final = re.compile(r"\b(url|image-set)\((\s{0,64}+[\"']?)(?=([^\s\"'()<>]++))", re.I)
_IMPORT: Final = re.compile(r"@import(?=\s{0,64}+[\"']([^\"'\n]*+))", re.I)
_REFRESH: Final = re.compile(r"<(?=meta\b([^<>]{0,1000}+))", re.I)
_HOST: Final = re.compile(
    r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+:[\\/]++([^\\/?#\s]*+)|[\\/]{2,}+([^\\/?#\s]*+)"
    r"|(?<![a-z0-9+.-])(?:https?|wss?|ftp):([^\\/?#\s]++)",  # browsers need no slash after these
    re.I,
)
_BEFORE_SLASH: Final = re.compile(r"://([^/?#\s]*+)")
_MAIL: Final = re.compile(r"mailto:([^?#]*+)\?", re.I)
"""A letter that is written already carries data away; an address alone carries none."""
_SCRIPT: Final = re.compile(r"(javascript|vbscript|data(?!:image/(?:png|jpeg|jpg|gif|webp|avif|bmp)[;,])):", re.I)
"""Whatever runs can reach any host, and a document carried along can run; a picture carried along cannot."""
_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_NO_NAME: Final = re.compile(r"[^\w.\-\[\]:]")
_INSIDE: Final = re.compile(r"[\x00-\x20]")

_PASSES: Final = 8

Allowed: TypeAlias = Callable[[str], bool]

MARKS: Final = (":/", ":\\", "//", "/\\", "\\\\", "\\/", "&", "](", "]:", "<", "@import", '"resource_link"')
"""A text without any of them holds no address of a host, nor anything else that a renderer would follow."""


def allowing(globs: Sequence[str]) -> Allowed | None:
    """Whether a host may be linked to; ``None`` where all may."""
    if "*" in globs:
        return None
    lowered = tuple(glob.lower().rstrip(".") for glob in globs)
    return lambda host: any(fnmatchcase(host, glob) for glob in lowered)


def disarmed(text: str, allowed: Allowed) -> tuple[str, list[int]]:
    """The text with its foreign links turned to text, and where they stood.

    What one of them is turned into may complete another, so it is looked through again until nothing is found.
    """
    places: list[int] = []
    for _ in range(_PASSES):
        text, found = _once(text, allowed)
        if not found:
            break
        places += found
    return text, places


def _once(text: str, allowed: Allowed) -> tuple[str, list[int]]:
    places: list[int] = []

    def foreign(found: re.Match[str], address: str) -> bool:
        if all(allowed(host) for host in hosts(address)):
            return False
        places.append(found.start())
        return True

    def inline(found: re.Match[str]) -> str:
        return f"] ({found[1]}{_code(found[2])}" if foreign(found, found[2]) else found[0]

    def reference(found: re.Match[str]) -> str:
        return f"{found[1]} : {_code(found[3])}" if foreign(found, found[3]) else found[0]

    def autolink(found: re.Match[str]) -> str:
        return _code(found[1]) if foreign(found, found[1]) else found[0]

    def attribute(found: re.Match[str]) -> str:
        # of several addresses in one attribute only the first is looked at: such a list is never left alone
        if not foreign(found, found[3]):
            if found[1].lower() not in ("srcset", "ping"):
                return found[0]
            places.append(found.start())
        return f"{found[1]}{found[2]} :"

    def css(found: re.Match[str]) -> str:
        return f"{found[1]} ({found[2]}" if foreign(found, found[3]) else found[0]

    def imported(found: re.Match[str]) -> str:
        return "@ import" if foreign(found, found[1]) else found[0]

    def refresh(found: re.Match[str]) -> str:
        return "&lt;" if "refresh" in found[1].lower() and foreign(found, found[1]) else found[0]

    if "](" in text:
        text = _INLINE.sub(inline, text)
    if "]:" in text:
        text = _REFERENCE.sub(reference, text)
    if "@" in text:
        text = _IMPORT.sub(imported, text)
    if "=" in text:
        text = _ATTRIBUTE.sub(attribute, text)
    if "(" in text:
        text = _CSS.sub(css, text)
    if "<" in text:
        text = _REFRESH.sub(refresh, _AUTOLINK.sub(autolink, text))
    return text, places


def hosts(address: str) -> list[str]:
    """The hosts that an address, or a list of some (``srcset``), would reach; none where it is a path or no URL.

    As lenient as browsers are: entities, white space within, backslashes, any number of slashes. Markdown takes its
    escapes away first (CommonMark 2.4), so that a backslash may be none; it is read in each way. What could run, or is
    no name, is a host that nobody allows.
    """
    plain = _INSIDE.sub("", html.unescape(address).replace("&colon;", ":"))
    if "\\" not in plain:
        return _reached(plain)
    return [*_reached(plain.replace("\\/", "/")), *_reached(_ESCAPED.sub(r"\1", plain)), *_past(plain)]


def _reached(plain: str) -> list[str]:
    found = [_host(one[1] or one[2] or one[3] or "") for one in _HOST.finditer(plain)]
    start = plain.lstrip("<\"'`")
    if (script := _SCRIPT.match(start)) is not None:
        found.append(f"{script[1].lower()}:")
    if (mail := _MAIL.match(start)) is not None:
        found += [_host(one) for one in re.split("[,;]", mail[1])]
    return found


def _past(plain: str) -> list[str]:
    """As RFC 3986 has it, where a backslash ends nothing."""
    return [_host(found) for found in _BEFORE_SLASH.findall(plain)]


def _host(authority: str) -> str:
    name = authority.rpartition("@")[2].lower().strip("<>\"'`,;)")
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    name = name.partition(":")[0].rstrip(".,")
    return "?" if _NO_NAME.search(name) is not None else name


def _code(address: str) -> str:
    return f"`{address.strip('<>').replace('`', '%60')}`"
