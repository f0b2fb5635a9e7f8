"""One text for one value: the vectors of RFC 8785, and what it must never take for the same."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.pins.canonical import NotCanonical, canonical, digest, form, number, parsed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

# RFC 8785, appendix B: the bits of a double, and its text.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_the_rfc_does(bits: str, text: str) -> None:
    assert number(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000"])
def test_what_is_no_number_has_no_text(bits: str) -> None:
    with pytest.raises(NotCanonical):
        number(struct.unpack(">d", bytes.fromhex(bits))[0])


def test_the_sample_of_the_rfc() -> None:
    """Section 3.2.2 to 3.2.4."""
    raw = (
        rb'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        rb'"string": "\u20ac$\u000F\u000aA'
        rb"'"
        rb'\u0042\u0022\u005c\\\"\/","literals": [null, true, false]}'
    )
    assert canonical(parsed(raw)).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_by_utf_16() -> None:
    """Section 3.2.3: what is beyond the first plane comes before U+FB33."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    assert list(json.loads(canonical(dict.fromkeys(keys)))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


@given(VALUES, st.randoms())
def test_neither_order_nor_space_nor_escapes_change_a_digest(value: Any, chance: Any) -> None:
    assert digest(json.dumps(value, indent=2).encode()) == digest(
        json.dumps(_shuffled(value, chance), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    )


@given(VALUES)
def test_the_canonical_form_is_the_same_value_and_its_own_canonical_form(value: Any) -> None:
    text = canonical(value)
    assert canonical(parsed(text)) == text


@given(VALUES)
def test_a_text_has_the_form_of_its_value(value: Any) -> None:
    raw = json.dumps(value, indent=1).encode()
    try:
        expected = canonical(parsed(raw))
    except NotCanonical:
        with pytest.raises(NotCanonical):
            form(raw)
    else:
        assert form(raw) == expected


@pytest.mark.parametrize("raw", [rb'{"\ufb33":1,"\ud83d\ude00":2}', b'{"b":1.0,"a":1E2}', b'{"a":-0.0,"b":-0}'])
def test_nothing_that_needs_care_takes_the_short_way(raw: bytes) -> None:
    assert form(raw) == canonical(parsed(raw))


@given(VALUES, VALUES)
def test_two_values_have_one_form_only_if_they_are_one(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if same:
        assert canonical(one) == canonical(other)
    elif canonical(one) == canonical(other):
        assert parsed(canonical(one)) == one == other  # 1 and 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":9007199254740993}', b'{"a":9007199254740992}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":1,"a":2}', b'{"a":3,"a":2}'),
        (b'{"a":true}', b'{"a":1}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":1e999}', b'{"a":1e998}'),
        (b'"\\ud800"', b'"\\ud801"'),
        (b"[" * 5000 + b"]" * 5000, b"[" * 5001 + b"]" * 5001),
    ],
)
def test_what_two_readers_may_take_for_the_same_is_not(one: bytes, other: bytes) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize("raw", [b'{"a":1,"a":1}', b"NaN", b"[Infinity]", b"{", b"\xff", b""])
def test_what_is_no_plain_json_is_not_parsed(raw: bytes) -> None:
    with pytest.raises(NotCanonical):
        parsed(raw)


def _shuffled(value: Any, chance: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _shuffled(value[key], chance) for key in keys}
    return [_shuffled(item, chance) for item in value] if isinstance(value, list) else value
