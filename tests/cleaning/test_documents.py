"""A text that comes as Base64 is read as what it is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.documents import decoded, encoded, is_text


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("text/plain", True),
        ("Text/HTML; charset=utf-8", True),
        ("application/json", True),
        ("application/ld+json", True),
        ("application/xml", True),
        ("image/svg+xml", False),  # a picture, as far as anybody shows it
        ("application/octet-stream", False),
        ("application/jsonx", False),
        ("", False),
    ],
)
def test_what_is_declared_as_text_is_text(declared: str, text: bool) -> None:
    assert is_text(declared) is text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_it_is_read_in_each_alphabet_with_and_without_its_end(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert decoded(base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")) == text


@pytest.mark.parametrize("data", ["a", base64.b64encode(b"\xff\xfe\x00").decode(), "ü"])
def test_what_is_no_text_is_none(data: str) -> None:
    assert decoded(data) is None
