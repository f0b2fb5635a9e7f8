"""Texts of untrusted upstreams are set apart by marks that they cannot know; all else stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.cleaning.spotlight import WHAT, Spotlight

LIGHT = Spotlight(b"a key", {"web": "delimit", "mail": "datamark"})
RESULT = {
    "content": [
        {"type": "text", "text": "two words\nand a line"},
        {"type": "text", "text": ""},
        {"type": "resource", "resource": {"uri": "a://b", "text": "inner"}},
    ],
    "structuredContent": {"text": "for programs", "n": 1.10},
}
RAW = json.dumps(RESULT).encode()


def lit(upstream: str, run: str = "r1", raw: bytes = RAW) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(LIGHT.lit(upstream, run, raw).raw)
    return value


def nonce(run: str) -> str:
    text: str = lit("web", run)["content"][0]["text"]
    return text.rpartition("[")[2].rstrip("]")


def test_what_is_not_asked_for_stays_the_same_object() -> None:
    assert LIGHT.lit("files", "r1", RAW).raw is RAW
    assert LIGHT.facts("files") is None
    assert not Spotlight(b"k", {})


def test_texts_stand_between_marks_of_the_run() -> None:
    value, mark = lit("web"), nonce("r1")
    assert value["content"][0]["text"] == f"[fuseboard: data of web, up to {mark}]\ntwo words\nand a line\n[{mark}]"
    assert value["content"][1]["text"] == ""
    inner = f"[fuseboard: data of web, up to {mark}]\ninner\n[{mark}]"
    assert value["content"][2]["resource"] == {"uri": "a://b", "text": inner}
    assert value["structuredContent"] == RESULT["structuredContent"]
    assert LIGHT.lit("web", "r1", RAW).counts == {WHAT: 2}


def test_the_marks_are_the_same_for_a_run_and_others_for_another() -> None:
    assert nonce("r1") == nonce("r1") != nonce("r2")
    other = Spotlight(b"another key", {"web": "delimit"})
    assert nonce("r1") not in other.lit("web", "r1", RAW).raw.decode()


@pytest.mark.parametrize("upstream", ["web", "mail"])
def test_a_text_that_knows_the_marks_cannot_end_itself(upstream: str) -> None:
    once = lit(upstream)["content"][0]["text"]
    mark = nonce("r1") if upstream == "web" else once.partition("joined by ")[2][0]
    again = lit(upstream, raw=json.dumps({"content": [{"type": "text", "text": f"a{mark}b"}]}).encode())
    assert again["content"][0]["text"].count(mark) == (2 if upstream == "web" else 1)
    assert "ab" in again["content"][0]["text"]


def test_words_are_joined_and_lines_stay() -> None:
    text = lit("mail")["content"][0]["text"]
    head, _, rest = text.partition("\n")
    mark = head[-2]
    assert head == f"[fuseboard: data of mail, its words joined by {mark}]"
    assert "\ue000" <= mark <= "\uf8ff"
    assert rest == f"two{mark}words\nand{mark}a{mark}line"
