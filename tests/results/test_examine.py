"""What a reply holds: text, value, shape, and whether there is anything in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.ports import Failure, Result
from fuseboard.results.examine import LOOKED_INTO_BYTES, MESSAGE_BYTES, NOTHING, examined
from support.came_back import text, value


@pytest.mark.parametrize(
    ("reply", "shape"),
    [
        (text("sun"), "text"),
        (text('{"b": 1, "a": 2}'), "json:a,b"),
        (text("[1, 2]"), "list"),
        (text("<!DOCTYPE html><html></html>"), "html"),
        (text("<note>x</note>"), "text"),
        (value({"result": [1]}), "list"),
        (value({"result": "sun"}), "text"),
        (value({"result": {"x": 1}}), "json:x"),
        (Result(b'{"content":[{"type":"image","data":"x","mimeType":"y"}]}'), "other"),
        (Result(b'{"content":[]}'), ""),
    ],
)
def test_results_have_a_shape(reply: Result, shape: str) -> None:
    assert examined(reply).shape == shape


def test_several_texts_are_read_as_one() -> None:
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    seen = examined(Result(json.dumps({"content": blocks}).encode()))
    assert (seen.text, seen.whole) == ("a\nb", True)


def test_a_picture_beside_a_text_makes_it_more_than_a_message() -> None:
    blocks = [{"type": "text", "text": ""}, {"type": "image", "data": "x", "mimeType": "y"}]
    seen = examined(Result(json.dumps({"content": blocks}).encode()))
    assert (seen.whole, seen.empty) == (False, False)


@pytest.mark.parametrize(("size", "whole"), [(MESSAGE_BYTES, True), (MESSAGE_BYTES + 1, False)])
def test_a_long_text_is_a_document(size: int, whole: bool) -> None:
    seen = examined(text("x" * size))
    assert (seen.whole, len(seen.text)) == (whole, MESSAGE_BYTES)


def test_nothing_is_looked_for_in_what_is_very_long() -> None:
    seen = examined(text("{" + " " * LOOKED_INTO_BYTES))
    assert (seen.text, seen.value, len(seen.said) > LOOKED_INTO_BYTES) == ("", NOTHING, True)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"7", b'{"content":7}', b'{"content":[{}]}', b'{"content":[{"type":"text","text":null}]}']
)
def test_what_the_protocol_does_not_allow_is_said(raw: bytes) -> None:
    assert examined(Result(raw)).broken


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": -1, "message": "no", "data": {"a": 1}}, ("no", {"a": 1}, -1)),
        ({"code": 2.0, "message": 7}, ("", NOTHING, 2.0)),
    ],
)
def test_an_error_has_a_text_a_code_and_a_value(error: dict[str, Any], said: tuple[str, Any, float]) -> None:
    seen = examined(Failure(json.dumps(error).encode()))
    assert (seen.text, seen.value, seen.code) == said


def test_what_goes_beside_the_content_says_nothing() -> None:
    plain = text("sun")
    assert examined(Result(plain.raw[:-1] + b',"_meta":{"x":1},"vendor":2}')).said == examined(plain).said
