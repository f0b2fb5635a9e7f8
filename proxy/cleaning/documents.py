"""Texts that come as Base64: a resource's ``blob`` is read by whoever reads its ``text``, so it hides nothing. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_TEXTUAL: Final = re.compile(r"\s*(?:text/|application/(?:[\w.-]+\+)?(?:json|xml|yaml|javascript|x-sh)\b)", re.I)
_URLSAFE: Final = str.maketrans("-_", "+/")


def is_text(media_type: str) -> bool:
    """Whether what is declared so is read as text. What says nothing of itself is not."""
    return _TEXTUAL.match(media_type) is not None


def decoded(data: str) -> str | None:
    """The text behind Base64; ``None`` where there is none."""
    try:
        return base64.b64decode(data.translate(_URLSAFE) + "=" * (-len(data) % 4)).decode()
    except (binascii.Error, ValueError):
        return None


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
