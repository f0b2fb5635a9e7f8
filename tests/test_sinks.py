"""Which calls are looked at for what they carry."""

from __future__ import annotations

import pytest

from fuseboard.events import Effect
from fuseboard.sinks import is_outward, is_sink


@pytest.mark.parametrize(
    ("stated", "hint", "expected"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (True, None, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_a_hint_only_ever_makes_a_call_one_that_reaches_outside(
    stated: bool | None, hint: bool | None, expected: bool
) -> None:
    assert is_outward(stated, hint) is expected


@pytest.mark.parametrize(
    ("name", "effect", "stated", "outward", "read_hint", "expected"),
    [
        pytest.param("delete", Effect.DESTRUCTIVE, {"effect"}, False, False, True, id="destructive"),
        pytest.param("frobnicate", Effect.DESTRUCTIVE, set(), False, False, True, id="nobody said what it does"),
        pytest.param(
            "get_page", Effect.DESTRUCTIVE, set(), False, False, False, id="nobody said, and it reads by name"
        ),
        pytest.param(
            "think", Effect.DESTRUCTIVE, set(), False, True, False, id="nobody said, and it says it only reads"
        ),
        pytest.param("get_rid_of", Effect.DESTRUCTIVE, {"effect"}, False, True, True, id="the operator's word counts"),
        pytest.param(
            "get_page", Effect.DESTRUCTIVE, {"trust"}, False, False, False, id="trust says nothing of effects"
        ),
        pytest.param("append", Effect.WRITE, {"effect"}, False, False, False, id="a write that stays here"),
        pytest.param("send", Effect.WRITE, {"effect"}, True, False, True, id="a write that the server says goes out"),
        pytest.param("send", Effect.WRITE, {"effect", "outward"}, True, False, True, id="a write that goes out"),
        pytest.param("visit", Effect.READ, {"outward"}, True, False, True, id="a reading that is declared to go out"),
        pytest.param(
            "search", Effect.READ, {"effect"}, True, False, False, id="a reading that the server says goes out"
        ),
        pytest.param("list", Effect.READ, {"effect"}, False, False, False, id="a reading"),
    ],
)
def test_the_truth_table(
    name: str, effect: Effect, stated: set[str], outward: bool, read_hint: bool, expected: bool
) -> None:
    assert is_sink(name, effect, stated, outward=outward, read_hint=read_hint) is expected
