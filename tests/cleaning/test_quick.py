"""The quick look lets nothing by that the long one would change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseboard.cleaning.fields import Root
from fuseboard.cleaning.quick import Quick, pieces
from fuseboard.cleaning.result import Cleaner, _Told
from fuseboard.cleaning.secrets import Secrets
from fuseboard.cleaning.tokens import document
from support.leaks import OPEN, SECRETS

STRINGS = st.lists(
    st.sampled_from(
        [
            "plainsecret",
            "0123456789",
            "\u202e",
            "\ufe0f",
            "\ud800",
            "ghp_",
            "a" * 3,
            "é",
            " ",
            "\n",
            "\r",
            "%20",
            "\\",
            "/",
            "\x1b[m",
            "ключ",
            "-от-всего",
        ]
    ),
    max_size=4,
).map("".join)
VALUES = st.recursive(
    STRINGS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3), max_leaves=6
)


@settings(max_examples=400)
@given(VALUES, st.booleans())
def test_what_passes_would_not_be_changed(value: Any, ascii_only: bool) -> None:
    raw = json.dumps({"content": [], "structuredContent": value}, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )
    cleaner = Cleaner(OPEN, SECRETS)
    if cleaner._quick.passes(raw):
        assert cleaner._rewritten(raw, document(raw, Root.RESULT), _Told()) == raw


@pytest.mark.parametrize(
    "text", ["plain", "“quoted” – naïve 日本語 Привет", 'a "b" c\n\td', "50% of 3/4", "https://a.example/b?c=d"]
)
def test_plain_text_passes(text: str) -> None:
    quick = Quick(Secrets(SECRETS), characters=True, formats=True, addresses=False, media=True, strange=True)
    assert quick.passes(json.dumps({"content": [{"type": "text", "text": text}]}, ensure_ascii=False).encode())


def test_pieces_are_read_in_a_row() -> None:
    value = {
        "content": [{"type": "text", "text": "a b"}, {"type": "text", "mimeType": "m", "text": "c"}],
        "structuredContent": {"k": "v"},
    }
    assert list(pieces(value)) == [b"a bc", b"abc", b"a bmcv", b"abmcv", b"a bmckv", b"abmckv"]
