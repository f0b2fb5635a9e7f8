"""Answers that can be given again: few, and no large ones."""

from fuseboard.answers import MOST, ONE_BYTES, Answers
from fuseboard.ports import Result


def test_an_answer_is_given_again_byte_for_byte() -> None:
    answers = Answers()
    answers.keep("d-1", Result(b'{"a": 1.10}'))
    assert answers.get("d-1") == Result(b'{"a": 1.10}')
    assert answers.get("d-2") is None


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    answers = Answers(most_bytes=900)
    for n in range(3):
        answers.keep(f"d-{n}", Result(b"12345"))
    assert [answers.get(f"d-{n}") is not None for n in range(3)] == [False, True, True]


def test_one_that_is_too_large_is_not_kept() -> None:
    answers = Answers()
    answers.keep("d-1", Result(b"x" * (ONE_BYTES + 1)))
    assert answers.get("d-1") is None


def test_the_first_word_of_a_decision_stays() -> None:
    answers = Answers()
    answers.keep("d-1", Result(b"1"))
    answers.keep("d-1", Result(b"2"))
    assert answers.get("d-1") == Result(b"1")


def test_small_answers_are_bounded_in_their_number() -> None:
    answers = Answers()
    for number in range(MOST + 2):
        answers.keep(f"d-{number}", Result(b"{}"))
    assert (answers.get("d-0"), answers.get("d-1")) == (None, None)
    assert answers.get("d-2") is not None
