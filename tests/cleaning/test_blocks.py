"""Blocks that are not what they say give way to a text that says so."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fuseboard.cleaning.blocks import withheld
from fuseboard.cleaning.fields import Root
from fuseboard.cleaning.result import Cleaned, Cleaner
from support.leaks import OPEN

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR").decode()


def _clean(value: Any, **settings: Any) -> Cleaned:
    return Cleaner(type(OPEN)(**{**vars(OPEN), **settings})).clean("tools/call", json.dumps(value).encode())


def _image(kind: str, data: str) -> dict[str, Any]:
    return {"content": [{"type": "image", "mimeType": kind, "data": data}, {"type": "text", "text": "x"}]}


def test_a_right_image_keeps_its_bytes() -> None:
    raw = json.dumps(_image("image/png", PNG)).encode()
    assert Cleaner(OPEN).clean("tools/call", raw).raw is raw


def test_a_wrong_name_is_put_right() -> None:
    clean = _clean(_image("image/jpeg", PNG))
    assert json.loads(clean.raw) == _image("image/png", PNG)
    assert clean.counts == {"media type": 1}


def test_what_is_no_image_is_left_out() -> None:
    clean = _clean(_image("image/png", base64.b64encode(b"<script>").decode()))
    block, other = json.loads(clean.raw)["content"]
    assert block["type"] == "text"
    assert "left out" in block["text"]
    assert other == {"type": "text", "text": "x"}
    assert _clean(_image("image/png", "AAAA"), media="relay").counts == {}


def test_a_resource_keeps_its_form() -> None:
    content = [{"type": "resource", "resource": {"uri": "file:///a", "mimeType": "application/pdf", "blob": "AAAA"}}]
    (block,) = json.loads(_clean({"content": content}).raw)["content"]
    assert block["resource"]["uri"] == "file:///a"
    assert "blob" not in block["resource"]


@pytest.mark.parametrize(("unknown", "kept"), [("relay", True), ("drop", False)])
def test_unknown_blocks_pass_or_not(unknown: str, kept: bool) -> None:
    value = {"content": [{"type": "hologram", "data": "x"}, {"type": "text", "text": "y"}]}
    clean = _clean(value, unknown=unknown)
    assert (json.loads(clean.raw) == value) is kept
    assert clean.counts == ({} if kept else {"unknown block": 1})


def test_types_within_structured_content_are_nobodys_blocks() -> None:
    value = {"content": [], "structuredContent": {"content": [{"type": "hologram"}]}}
    assert _clean(value, unknown="drop").counts == {}


def test_a_resource_link_to_a_foreign_host_becomes_text() -> None:
    value = {"content": [{"type": "resource_link", "name": "n", "uri": "https://evil.example/x"}]}
    clean = _clean(value, links=type(OPEN)(allow=("ok.example",)))
    assert json.loads(clean.raw)["content"][0]["type"] == "text"
    assert clean.counts == {"link": 1}


def test_a_withheld_result_fits_its_method() -> None:
    assert json.loads(withheld("tools/call", Root.RESULT, "why"))["isError"] is True
    assert json.loads(withheld("prompts/get", Root.RESULT, "why"))["messages"]
    assert json.loads(withheld("resources/read", Root.RESULT, "why"))["contents"]
    assert json.loads(withheld("tools/call", Root.ERROR, "why"))["code"] == -32603


def test_a_withheld_result_of_the_stateless_era_is_one_too() -> None:
    raw = b'{"resultType":"complete","contents":[],"ttlMs":5000,"cacheScope":"public"}'
    found = json.loads(withheld("resources/read", Root.RESULT, "why", raw))
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "public")
    assert "resultType" not in json.loads(withheld("tools/call", Root.RESULT, "why", b'{"content":[]}'))
