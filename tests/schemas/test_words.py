from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.schemas.words import FOUND_CHARS, Broken, cut, render, tell, typed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("é\n", '"é\\n"', id="a string as JSON"),
        pytest.param(None, "null", id="null"),
        pytest.param("\ud800", '"\\ud800"', id="a lone surrogate can be printed"),
        pytest.param({"a": [{"b": [{"c": 1}]}]}, '{"a": [{"b": "…"}]}', id="a deep value shows its head"),
        pytest.param("x" * 200, '"' + "x" * 78 + "…", id="a long string is cut"),
    ],
)
def test_a_value_is_shown_as_json(value: object, text: str) -> None:
    assert render(value) == text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_nothing_is_shown_at_length(value: object) -> None:
    assert len(render(value)) <= FOUND_CHARS
    render(value).encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true (boolean)"), (1, "1 (integer)"), (1.5, "1.5 (number)"), ([], "[] (array)"), (None, "null")],
)
def test_a_value_is_shown_with_its_type(value: object, text: str) -> None:
    assert typed(value) == text


def test_an_unknown_keyword_has_the_engines_words() -> None:
    broken = Broken({}, {"title": "A hint"}, 1, 1, "1 is odd")
    assert tell("vendorKeyword", broken) == [("1", "1 is odd (A hint)")]


def test_cut() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"
