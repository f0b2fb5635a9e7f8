"""Whether bytes are what they are said to be, by their first few (WHATWG MIME Sniffing, section 6). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_HEAD_CHARS: Final = 64
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/_-]")

_MAGIC: Final = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("image/bmp", re.compile(rb"BM.{4}\x00\x00\x00\x00", re.DOTALL)),
    ("image/tiff", re.compile(rb"II\*\x00|MM\x00\*")),
    ("image/x-icon", re.compile(rb"\x00\x00\x01\x00")),
    ("image/avif", re.compile(rb".{4}ftyp(?:avif|avis)", re.DOTALL)),
    ("image/heic", re.compile(rb".{4}ftyp(?:hei[cxms]|mif1)", re.DOTALL)),
    ("audio/wav", re.compile(rb"RIFF.{4}WAVE", re.DOTALL)),
    ("audio/ogg", re.compile(rb"OggS\x00")),
    ("audio/flac", re.compile(rb"fLaC")),
    ("audio/mpeg", re.compile(rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")),
    ("audio/aac", re.compile(rb"\xff[\xf0\xf1\xf8\xf9]|ADIF")),
    ("audio/mp4", re.compile(rb".{4}ftyp(?:M4A |M4B |mp4[12]|isom|iso2|dash)", re.DOTALL)),
    ("audio/webm", re.compile(rb"\x1aE\xdf\xa3")),
    ("audio/aiff", re.compile(rb"FORM.{4}AIF[FC]", re.DOTALL)),
    ("application/pdf", re.compile(rb"%PDF-")),
    ("application/zip", re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)")),
    ("application/gzip", re.compile(rb"\x1f\x8b")),
)
_SAME: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/apng": "image/png",
    "image/vnd.microsoft.icon": "image/x-icon",
    "image/x-ms-bmp": "image/bmp",
    "image/heif": "image/heic",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/opus": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    "audio/x-flac": "audio/flac",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "video/webm": "audio/webm",
    "video/mp4": "audio/mp4",
    "audio/x-aiff": "audio/aiff",
    "application/x-gzip": "application/gzip",
}
_KNOWN: Final = frozenset(name for name, _ in _MAGIC)


def kind_of(data: str) -> str | None:
    """The media type that Base64 text begins like; ``None`` where that says nothing, ``invalid`` where it is none."""
    head = data[:_HEAD_CHARS]
    if _NOT_BASE64.search(head.rstrip("=")) is not None:
        return "invalid"
    whole = head[: len(head.rstrip("=")) // 4 * 4]
    try:
        first = base64.b64decode(whole.translate(str.maketrans("-_", "+/")))
    except binascii.Error:
        return "invalid"
    return next((name for name, magic in _MAGIC if magic.match(first)), None)


def fits(declared: str, data: str) -> bool:
    """Whether ``data`` may be what it is ``declared`` as. Of a type that nobody here knows, anything may be."""
    said = declared.partition(";")[0].strip().lower()
    said = _SAME.get(said, said)
    found = kind_of(data)
    if found == "invalid":
        return False
    if said in _KNOWN:
        return found == said or (found is None and said == "audio/mpeg")  # a frame may begin in many ways
    # of other images and audio (SVG, raw samples) nothing is known but what they are not
    return found is None or not said.startswith(("image/", "audio/"))
