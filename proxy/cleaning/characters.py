"""Characters that nobody sees but a model reads, or that steer a terminal: taken out. Pure, linear, idempotent.

Gone: terminal sequences (ECMA-48: CSI, OSC, DCS, ...), C0 and C1 but for TAB, LF and CRLF, the twelve Bidi_Control
characters (UAX 9; "Trojan Source", CVE-2021-42574), Default_Ignorable_Code_Point (UAX 44), tags, noncharacters (Unicode
23.7), lone surrogates.
They stay only where writing needs them: between the parts of an emoji (UTS 51), the joiners of Arabic and Indic scripts
(Unicode 23.2), variation selectors after what varies, zero-width spaces in scripts that write none.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec

_ESC_STRING: Final = "(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x80-\x9f]*+(?:\x07|\x1b\\\\|\x9c)"
_CSI: Final = "(?:\x1b\\[|\x9b(?=[0-?]))[0-?]*+[ -/]*+[@-~]"
_TERMINAL: Final = f"{_ESC_STRING}|{_CSI}|\x1b[()*+#%][0-~]|\x1b[78=>]"
_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROL: Final = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_PLANES: Final = range(0x10000, 0x110000, 0x10000)
_INVISIBLE: Final = (
    "\xad\u17b4\u17b5\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff"
    "\ufdd0-\ufdef\ufffe\uffff" + "".join(f"{chr(plane | 0xFFFE)}{chr(plane | 0xFFFF)}" for plane in _PLANES)
)
_DEPENDS: Final = "\u034f\u115f\u1160\u180b-\u180f\u200b-\u200d\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef"
"""What writing needs in places."""

_ALWAYS: Final = re.compile(
    f"(?P<terminal>{_TERMINAL})|(?P<control>[{_CONTROL}]|\r(?!\n))|(?P<bidi>[{_BIDI}])"
    f"|(?P<invisible>[{_INVISIBLE}])|(?P<surrogate>[\ud800-\udfff])"
)
_RUN: Final = re.compile(f"[{_DEPENDS}]+")
SUSPECT: Final = re.compile(f"[{_CONTROL}{_BIDI}{_INVISIBLE}{_DEPENDS}\ud800-\udfff]|\r(?!\n)")
"""Finds any character that may have to go; a text without one is clean."""

_ZWSP, _ZWNJ, _ZWJ, _CGJ = "\u200b", "\u200c", "\u200d", "\u034f"
_KEYCAP: Final = "\u20e3"
_PICTURES_THAT_ARE_NO_SYMBOLS: Final = frozenset("‼⁉〰〽ℹ")
_BLACK_FLAG: Final = "\U0001f3f4"
_CANCEL: Final = "\U000e007f"
_US: Final = (
    "al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa "
    "ri sc sd tn tx ut vt va wa wv wi wy"
)
_SUBDIVISIONS: Final = frozenset({"gbeng", "gbsct", "gbwls", "gbnir", *(f"us{state}" for state in _US.split())})
"""The flags by tag sequence that are recommended for interchange (UTS 51, ED-14a), and those that some draw too."""

_CURSIVE: Final = re.compile(
    "[\u0600-\u07ff\u0840-\u08ff\u1800-\u18af\ua840-\ua87f\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010ac0-\U00010aff\U00010d00-\U00010d3f\U00010f30-\U00010f6f\U0001e900-\U0001e95f]"
)
_SPACELESS: Final = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf]"
)
_JAMO: Final = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_MONGOLIAN: Final = re.compile("[\u1800-\u18af]")
_IDEOGRAPH: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HAS_VARIANTS: Final = re.compile(
    "[\u1000-\u109f\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\ua840-\ua87f\uaa60-\uaa7f\uf900-\ufaff\uff00-\uff65"
    "\U00010ac0-\U00010aff\U00013000-\U000143ff\U0001d49c-\U0001d4cf\U00020000-\U0003ffff]"
)
_VIRAMA: Final = 9


PLACES: Final = 32
"""So many are told one by one; the counts are of all."""


class Removed(msgspec.Struct):
    """What was taken out, by kind, and where: offsets in the text as the round found it that took it out."""

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    places: list[tuple[str, int]] = msgspec.field(default_factory=list)

    def add(self, what: str, offset: int, count: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + count
        if len(self.places) < PLACES:
            self.places.append((what, offset))


def cleaned(text: str) -> tuple[str, Removed]:
    """The text without what nobody sees; the very same text where there is nothing of it."""
    removed = Removed()
    if SUSPECT.search(text) is None:
        return text, removed

    def always(found: re.Match[str]) -> str:
        removed.add(found.lastgroup or "", found.start(), found.end() - found.start())
        return "\n" if found[0] == "\r" else ""

    def depends(found: re.Match[str]) -> str:
        whole, run = found.string, found[0]
        before = whole[found.start() - 1] if found.start() else ""
        after = whole[found.end()] if found.end() < len(whole) else ""
        kept = _needed(before, run, after)
        if kept != run:
            what = "tag" if "\U000e0020" <= run[len(kept)] <= _CANCEL else "invisible"
            removed.add(what, found.start(), len(run) - len(kept))
        return kept

    clean = _RUN.sub(depends, _ALWAYS.sub(always, text))
    return (clean if removed.counts else text), removed


def _needed(before: str, run: str, after: str) -> str:
    """How much of a run, from its beginning, the characters on both sides give a reason for.

    It must give the same for what it kept, so that cleaning twice is cleaning once.
    """
    kept = run[0] if _varies(before, run[0], after) else ""
    if run[len(kept) :] == _ZWJ and _is_picture(before) and _is_picture(after):
        return run
    if kept and (len(run) == 1 or kept in "\ufe0e\ufe0f"):
        return kept
    if len(run) == 1:
        return run if _joins(before, run, after) else ""
    return run if before == _BLACK_FLAG and run[-1] == _CANCEL and _as_ascii(run[:-1]) in _SUBDIVISIONS else ""


def _varies(before: str, selector: str, after: str) -> bool:
    """Whether the selector chooses among forms of the character before it (UTS 51, StandardizedVariants, UTS 37)."""
    if not before:
        return False
    if selector in "\ufe0e\ufe0f":
        return after == _KEYCAP if before in "0123456789#*" else _is_picture(before)
    if "\ufe00" <= selector <= "\ufe0d":
        return unicodedata.category(before) in ("Sm", "So") or _HAS_VARIANTS.match(before) is not None
    return "\U000e0100" <= selector <= "\U000e011f" and _IDEOGRAPH.match(before) is not None


def _joins(before: str, character: str, after: str) -> bool:
    sides = (before, after)
    if character in (_ZWNJ, _ZWJ):
        # either side: legacy chillus end a word, and Persian abbreviations end in a joined form
        return any(side and (_CURSIVE.match(side) or unicodedata.combining(side) == _VIRAMA) for side in sides)
    if character == _ZWSP:
        return all(side and _SPACELESS.match(side) for side in sides)
    if character == _CGJ:
        return all(side and unicodedata.combining(side) for side in sides)
    if character in "\u115f\u1160":
        return any(side and _JAMO.match(side) for side in sides)
    return "\u180b" <= character <= "\u180f" and bool(before and _MONGOLIAN.match(before))


def _is_picture(character: str) -> bool:
    if not character or character.isascii():
        return False
    if character in _PICTURES_THAT_ARE_NO_SYMBOLS:
        return True
    category = unicodedata.category(character)
    return category in ("So", "Sm") or "\U0001f3fb" <= character <= "\U0001f3ff" or _unassigned_picture(character)


def _unassigned_picture(character: str) -> bool:
    """Emoji that are newer than our tables: the planes' blocks are reserved for them (Extended_Pictographic)."""
    return "\U0001f000" <= character <= "\U0001faff" and unicodedata.category(character) == "Cn"


def _as_ascii(tags: str) -> str:
    return "".join(chr(ord(tag) - 0xE0000) if "\U000e0020" <= tag < _CANCEL else "?" for tag in tags)
