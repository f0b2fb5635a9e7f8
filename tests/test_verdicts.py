"""Verdicts are frozen, and the union of them is closed."""

from __future__ import annotations

from typing import get_args

import pytest

from fuseboard.state import Add
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict, name_of

EACH = [Allow(), Deny("r", "why"), Rewrite("r", "why", {"a": 1}), Hold("r", "why")]
WORDS = ["allow", "deny", "rewrite", "hold"]


def test_the_union_of_verdicts_is_closed() -> None:
    assert set(get_args(Verdict)) == {Allow, Deny, Rewrite, Hold} == {type(verdict) for verdict in EACH}


@pytest.mark.parametrize(("verdict", "word"), list(zip(EACH, WORDS, strict=True)))
def test_each_verdict_has_one_word_in_ledger_and_answers(verdict: Verdict, word: str) -> None:
    assert name_of(verdict) == word


@pytest.mark.parametrize("verdict", EACH, ids=name_of)
def test_every_verdict_is_frozen_and_carries_facts_and_writes(verdict: Verdict) -> None:
    assert verdict.facts == {}
    assert verdict.writes == ()
    for field in type(verdict).__match_args__:
        with pytest.raises(AttributeError):
            setattr(verdict, field, None)


@pytest.mark.parametrize("kind", [Deny, Rewrite, Hold])
def test_what_is_not_let_through_as_it_is_says_by_which_rule_and_why(kind: type) -> None:
    with pytest.raises(TypeError):
        kind()


def test_two_verdicts_of_the_same_words_are_equal_and_share_no_facts() -> None:
    assert Deny("r", "why", {"n": 1}, 2.0, (Add("k", 1, 5, 60),)) == Deny(
        "r", "why", {"n": 1}, 2.0, (Add("k", 1, 5, 60),)
    )
    assert Deny("r", "why").facts is not Deny("r", "why").facts
