"""What is kept for the next request of a held call, and what is lost of it."""

from __future__ import annotations

from fuseboard.bridges.losses import Losses
from fuseboard.bridges.meanwhile import KEPT_BYTES, NOTICES, Meanwhile
from support.links import CallScope

LOST = "n: came while the client was asked"


def test_what_is_kept_is_told_once_and_in_order() -> None:
    kept, ear = Meanwhile(Losses()), CallScope()
    kept.keep("n", b'{"at":1}')
    kept.keep("m", None)
    kept.tell(ear)
    kept.tell(ear)
    assert ear.noticed == [("n", {"at": 1}), ("m", None)]


def test_of_too_many_the_oldest_are_lost_and_counted() -> None:
    losses, ear = Losses(), CallScope()
    kept = Meanwhile(losses)
    for at in range(NOTICES + 3):
        kept.keep("n", b'{"at":%d}' % at)
    kept.tell(ear)
    assert [said["at"] for _, said in ear.noticed] == list(range(3, NOTICES + 3))
    assert losses.counts == {LOST: 3}


def test_of_too_much_the_oldest_is_lost_and_what_was_told_makes_room() -> None:
    losses, ear = Losses(), CallScope()
    kept = Meanwhile(losses)
    large = b'"%b"' % (b"x" * (KEPT_BYTES // 2 - 2))
    for params in (b"1", large, large):
        kept.keep("n", params)
    assert losses.counts == {LOST: 1}
    kept.tell(ear)
    for params in (large, large):
        kept.keep("n", params)
    kept.tell(ear)
    assert (len(ear.noticed), losses.counts) == (4, {LOST: 1})


def test_a_notice_that_is_larger_than_all_the_room_is_lost_alone() -> None:
    losses, ear = Losses(), CallScope()
    kept = Meanwhile(losses)
    kept.keep("n", b'"%b"' % (b"x" * KEPT_BYTES))
    kept.keep("m", b"2")
    kept.tell(ear)
    assert (ear.noticed, losses.counts) == ([("m", 2)], {LOST: 1})


def test_what_nobody_comes_for_is_counted() -> None:
    losses, ear = Losses(), CallScope()
    kept = Meanwhile(losses)
    kept.keep("n", b"1")
    kept.keep("n", b"2")
    kept.lose()
    kept.tell(ear)
    assert (ear.noticed, losses.counts) == ([], {LOST: 2})
