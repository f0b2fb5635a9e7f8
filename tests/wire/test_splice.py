"""One field changes; the bytes of all the others are left alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.wire import splice

ODD = rb'{ "a" : 1.10, "b":1180591620717411303424,"c":"\u00e9\/" ,"d":{"x": [ 1E400 ]}}'


def test_fields_are_the_bytes_that_they_were_in_their_order() -> None:
    fields = splice.fields(ODD)
    assert list(fields) == ["a", "b", "c", "d"]
    assert bytes(fields["a"]) == b"1.10"
    assert bytes(fields["d"]) == b'{"x": [ 1E400 ]}'


def test_joined_again_they_differ_only_in_white_space_between_them() -> None:
    assert (
        splice.join(splice.fields(ODD)) == rb'{"a":1.10,"b":1180591620717411303424,"c":"\u00e9\/","d":{"x": [ 1E400 ]}}'
    )


def test_items_are_the_bytes_that_they_were() -> None:
    assert [bytes(item) for item in splice.items(b'[ 1.10 ,{"a": 1}, []]')] == [b"1.10", b'{"a": 1}', b"[]"]
    assert splice.join(splice.items(b"[ 1.10 , 2 ]")) == b"[1.10,2]"


def test_no_object_at_all_has_no_fields() -> None:
    assert splice.fields(None) == splice.fields(b"") == {}
    assert splice.with_fields(None, a=1) == b'{"a":1}'


@pytest.mark.parametrize("raw", [b"null", b"[]", b"1", b'"x"', b"{", b"{}x", b'{"a":NaN}'])
def test_what_is_no_object_has_no_fields_and_says_so(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        splice.fields(raw)


@pytest.mark.parametrize("raw", [b"null", b"{}", b"1", b"[", b""])
def test_what_is_no_array_has_no_items_and_says_so(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        splice.items(raw)


def test_a_field_is_set_where_it_stood_and_a_new_one_comes_last() -> None:
    assert splice.with_fields(b'{"a":1.10,"b":2,"c":1E2}', b="x", z=None) == b'{"a":1.10,"b":"x","c":1E2,"z":null}'


def test_an_inner_object_keeps_its_bytes_when_it_is_set_again() -> None:
    inner = splice.fields(ODD)["d"]
    assert splice.with_fields(b"{}", d=inner) == b'{"d":{"x": [ 1E400 ]}}'


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())), st.text(), st.integers())
def test_all_fields_but_the_changed_one_mean_what_they_meant(before: dict[str, Any], name: str, value: int) -> None:
    fields = splice.fields(json.dumps(before).encode())
    fields[name] = splice.raw(value)
    assert json.loads(splice.join(fields)) == {**before, name: value}


@pytest.mark.parametrize(
    ("params", "may"),
    [(b"{}", False), (b'{"meta":1}', False), (b'{"_meta":1}', True), (rb'{"\u005fmeta":1}', True), (rb'"\n"', False)],
)
def test_whether_meta_may_be_there(params: bytes, may: bool) -> None:
    assert splice.may_hold_meta(params) is may


@pytest.mark.parametrize(
    "twice",
    [
        b'{"tools":[1],"tools":[2]}',
        b'{"tools":[1], "tools":[2]}',
        b'{"\\u0074ools":[1],"tools":[2]}',
        b'{"tools":[1],"tools":[2],"a":{"b":1,"b":2}}',
    ],
)
def test_of_a_key_that_stands_twice_the_last_is_left_which_is_the_one_that_is_read(twice: bytes) -> None:
    once = splice.unambiguous(twice)
    assert once.startswith(b'{"tools":[2]')
    assert once == splice.join(splice.fields(twice))


@pytest.mark.parametrize(
    "once", [b"{}", b'{"a":[1,2],"b":{"a":1}}', b'{ "a" : 1 ,\n"b":2 }', b'{"\\u0061":1}', b'{"a":{"b":1,"b":2}}']
)
def test_an_object_without_twins_is_the_very_same(once: bytes) -> None:
    assert splice.unambiguous(once) is once
