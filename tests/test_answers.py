"""Answers that can be given again: few, and no large ones."""

from fuseboard.answers import ONE_BYTES, Answers
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
