from __future__ import annotations

from typing import Any

import pytest

from fuseboard.cedar.values import Unsayable, misfit, project


def _decimal(text: str) -> dict[str, Any]:
    return {"__extn": {"fn": "decimal", "arg": text}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("text", "text", id="a string"),
        pytest.param(True, True, id="a boolean is no number"),
        pytest.param(2**63 - 1, 2**63 - 1, id="the largest integer"),
        pytest.param(-(2**63), -(2**63), id="the smallest integer"),
        pytest.param(5.0, 5, id="5.0 is the integer 5, as in JSON"),
        pytest.param(1.5, _decimal("1.5000"), id="a fraction is a decimal"),
        pytest.param(-0.0001, _decimal("-0.0001"), id="the finest decimal"),
        pytest.param([1, "a", [True]], [1, "a", [True]], id="a list"),
        pytest.param({"b": {"c": 1, "d": None}}, {"b": {"c": 1}}, id="a record, whose nulls are absent"),
    ],
)
def test_what_cedar_can_say(value: Any, expected: Any) -> None:
    assert project({"a": value}, {"a"}, ()) == {"a": expected}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(2**63, id="an integer beyond 64 bits"),
        pytest.param(1e30, id="a float beyond 64 bits"),
        pytest.param(0.00001, id="a fifth decimal"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param([None], id="a null in a list"),
        pytest.param({"__entity": {"type": "Role", "id": "admin"}}, id="a forged entity"),
        pytest.param([{"__extn": {"fn": "decimal", "arg": "1.0"}}], id="a forged call"),
    ],
)
def test_what_cedar_cannot_say_is_no_silence(value: Any) -> None:
    with pytest.raises(Unsayable, match="'a'"):
        project({"a": value}, {"a"}, ())


def test_a_tower_is_unsayable_and_no_recursion_error() -> None:
    tower: Any = 1
    for _ in range(5_000):
        tower = [tower]
    with pytest.raises(Unsayable, match="nested"):
        project({"a": tower}, {"a"}, ())


def test_null_is_absent() -> None:
    assert project({"a": None}, {"a"}, ()) == {}


def test_only_what_is_read_is_told() -> None:
    arguments = {"a": "x", "b": 2**70}
    assert project(arguments, {"a", "c"}, ()) == {"a": "x"}
    with pytest.raises(Unsayable):
        project(arguments, None, ())


def test_where_rules_compare_decimals_whole_numbers_are_decimals() -> None:
    assert project({"a": 5, "b": 5.0, "c": 5}, {"a", "b", "c"}, {"a", "b"}) == {
        "a": _decimal("5.0000"),
        "b": _decimal("5.0000"),
        "c": 5,
    }


def test_the_whole_record_cannot_be_forged_into_an_entity() -> None:
    with pytest.raises(Unsayable, match="reserves"):
        project({"__entity": {"type": "Role", "id": "admin"}}, None, ())


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        ("x", "Long", "argument 'a.b' is a string, and the rule needs a whole number"),
        (1, "String", "argument 'a.b' is a whole number, and the rule needs a string"),
        (True, "Set<String>", "argument 'a.b' is a boolean, and the rule needs a list"),
        (_decimal("1.5000"), "Long", "argument 'a.b' is a decimal number, and the rule needs a whole number"),
        ({}, "Bool", "argument 'a.b' is a record, and the rule needs a boolean"),
        (1, "Long", None),
        ("2020-01-01", "datetime", None),
        ([1], None, None),
        (None, "Long", None),
    ],
)
def test_a_misfit_names_the_argument_and_both_types(value: Any, kind: str | None, told: str | None) -> None:
    assert misfit({"a": {"b": value}}, {("a", "b"): kind}) == told
