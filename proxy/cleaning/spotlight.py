"""Texts of untrusted upstreams are set apart from what others say: between marks, or by one between their words. Pure.

Hines et al., "Defending Against Indirect Prompt Injection Attacks With Spotlighting" (2024). What a model makes of it
is the model's affair: nothing else here rests on it. The marks are the run's own, and follow from a key that no
upstream has; one that finds out all the same, for an agent may repeat what it read, finds them gone from its texts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from fuseboard.cleaning.fields import Kind, Root
from fuseboard.cleaning.result import Cleaned
from fuseboard.cleaning.tokens import document, written

WHAT: Final = "text set apart"
_NONCE_BYTES: Final = 6
_PRIVATE_USE: Final = (0xE000, 0x1900)
_BETWEEN: Final = re.compile(r"[ \t]+")


class Spotlight:
    """``ways`` are ``delimit`` or ``datamark`` by upstream; of any other upstream texts stay as they are."""

    def __init__(self, key: bytes, ways: Mapping[str, str]) -> None:
        self._key = hashlib.blake2b(b"spotlight", key=key[:64]).digest()
        self._ways = ways

    def __bool__(self) -> bool:
        return bool(self._ways)

    def facts(self, upstream: str) -> dict[str, Any] | None:
        """For the record, ``None`` where nothing is set apart."""
        return {"way": self._ways[upstream]} if upstream in self._ways else None

    def lit(self, upstream: str, run: str, raw: bytes) -> Cleaned:
        """A result with its texts set apart. What programs read, structured content, keeps its bytes."""
        way = self._ways.get(upstream)
        if way is None:
            return Cleaned(raw)
        digest = hashlib.blake2b(run.encode(), key=self._key, digest_size=_NONCE_BYTES)
        found = document(raw, Root.RESULT)
        texts = [one for one in found.texts if one.name == "text" and one.kind is Kind.TEXT and one.was]
        change = _delimited if way == "delimit" else _marked
        for text in texts:
            text.now = change(text.was, digest, upstream)
        return Cleaned(written(raw, texts, {}), {WHAT: len(texts)}) if texts else Cleaned(raw)


def _delimited(text: str, digest: hashlib.blake2b, upstream: str) -> str:
    nonce = digest.hexdigest()
    return f"[fuseboard: data of {upstream}, up to {nonce}]\n{text.replace(nonce, '')}\n[{nonce}]"


def _marked(text: str, digest: hashlib.blake2b, upstream: str) -> str:
    first, count = _PRIVATE_USE
    mark = chr(first + int.from_bytes(digest.digest()) % count)
    marked = _BETWEEN.sub(mark, text.replace(mark, ""))
    return f"[fuseboard: data of {upstream}, its words joined by {mark}]\n{marked}"
