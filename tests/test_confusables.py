"""What a name looks like."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.confusables import skeleton

PLAIN = string.ascii_letters + string.digits + "_-./"


@pytest.mark.parametrize(
    ("name", "looks"),
    [
        ("rеad_filе", "read_file"),  # Cyrillic
        ("ｒｅａｄ", "read"),  # full width
        ("𝗋𝖾𝖺𝖽", "read"),  # mathematical
        ("ᖇead", "Read"),  # Canadian syllabics
        ("reаd‐file", "read-file"),  # a hyphen that is none
        ("οmega", "omega"),  # Greek
    ],
)
def test_letters_in_disguise_are_seen_through(name: str, looks: str) -> None:
    assert name != looks
    assert skeleton(name) == looks


@pytest.mark.parametrize("name", ["查询", "größe", "поиск", "検索_file", "البحث", "café"])
def test_honest_words_of_other_scripts_do_not_turn_plain(name: str) -> None:
    assert not skeleton(name).isascii()


@given(st.text(PLAIN))
def test_plain_names_are_their_own(name: str) -> None:
    assert skeleton(name) is name


@given(st.text())
def test_the_skeleton_of_a_skeleton_is_itself(name: str) -> None:
    assert skeleton(skeleton(name)) == skeleton(name)
