"""Whole messages: what is clean keeps its bytes, what is not is cleaned for good, in linear time."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseboard.cleaning import known
from fuseboard.cleaning.fields import Root
from fuseboard.cleaning.result import PLACES, Cleaned, Cleaner
from fuseboard.config import Config
from fuseboard.config.conduct import Output
from support.leaks import OPEN, SECRETS

STRICT = type(OPEN)(**{**vars(OPEN), "max_bytes": 1500, "links": type(OPEN)(allow=("ok.example",)), "unknown": "drop"})
STRINGS = st.lists(
    st.sampled_from(
        [
            "plainsecret0123456789",
            "plainsecret",
            "0123456789",
            "\u202e",
            "❤\ufe0f",
            "\u200d",
            "![a](https://evil.example)",
            "a" * 200,
            "é" * 90,
            '"',
            "\n",
            "%70",
            "ghp_",
        ]
    ),
    max_size=8,
).map("".join)
VALUES = st.recursive(
    STRINGS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3), max_leaves=8
)


def _clean(value: Any, settings: Any = OPEN, root: Root | None = None) -> Cleaned:
    return Cleaner(settings, SECRETS).clean("tools/call", json.dumps(value, ensure_ascii=False).encode(), root)


def _text(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def test_the_configuration_fits() -> None:
    config = Config.model_validate({"servers": {"x": {"command": "x"}}})
    assert Cleaner(config.output, config.secrets).clean("tools/call", b"{}").counts == {}


@pytest.mark.parametrize("text", ["plain", "❤️ 👩‍👩‍👧 می‌خواهم", "naïve – “x”", "tab\tand\r\nline"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_clean_result_is_the_very_same_object(text: str, ascii_only: bool) -> None:
    raw = json.dumps({**_text(text), "structuredContent": {"n": [text, 1.10]}}, ensure_ascii=ascii_only).encode()
    assert Cleaner(OPEN, SECRETS).clean("tools/call", raw).raw is raw


@settings(max_examples=200)
@given(VALUES, st.sampled_from([OPEN, STRICT]))
def test_cleaning_twice_is_cleaning_once(value: Any, settings: Any) -> None:
    once = _clean({"content": [{"type": "text", "text": "x"}], "structuredContent": {"v": value}}, settings)
    again = Cleaner(settings, SECRETS).clean("tools/call", once.raw)
    assert again.raw == once.raw
    json.loads(once.raw)


def test_a_secret_in_two_blocks_goes_from_both() -> None:
    clean = _clean({"content": [{"type": "text", "text": "a plainsecret"}, {"type": "text", "text": "0123456789 b"}]})
    assert [block["text"] for block in json.loads(clean.raw)["content"]] == ["a «secret»", " b"]
    assert clean.counts == {"own secret": 1}


def test_a_secret_among_hidden_characters_goes() -> None:
    assert json.loads(_clean(_text("plain\u200bsecret\u200b0123456789")).raw) == _text("«secret»")


def test_a_secret_in_media_leaves_media() -> None:
    import base64

    data = base64.b64encode(b"\x89PNG\r\n\x1a\n plainsecret0123456789 ").decode()
    clean = _clean({"content": [{"type": "image", "mimeType": "image/png", "data": data}]})
    (block,) = json.loads(clean.raw)["content"]
    assert b"plainsecret" not in base64.b64decode(block["data"])
    assert len(block["data"]) == len(data)


def test_errors_and_keys_are_cleaned_too() -> None:
    clean = _clean({"code": 1, "message": "a\u202eb", "data": {"k\u202e": "plainsecret0123456789"}}, root=Root.ERROR)
    assert json.loads(clean.raw) == {"code": 1, "message": "ab", "data": {"k": "«secret»"}}


def test_what_was_done_is_told_without_quoting_it() -> None:
    facts = _clean(_text("\u202e" * 100 + "plainsecret0123456789")).facts
    assert facts["counts"] == {"bidi": 100, "own secret": 1}
    assert len(facts["places"]) == PLACES
    assert facts["places"][0] == {"what": "bidi", "at": "/content/0/text", "offset": 0}
    assert "plainsecret" not in json.dumps(facts)


@pytest.mark.parametrize("text", ["x" * 5000, "é\n" * 3000, '"' * 4000, "\\" * 9000])
def test_a_long_text_keeps_head_and_tail_and_fits(text: str) -> None:
    clean = _clean(_text(f"HEAD{text}TAIL"), STRICT)
    assert len(clean.raw) <= STRICT.max_bytes
    kept = json.loads(clean.raw)["content"][0]["text"]
    assert kept.startswith("HEAD")
    assert kept.endswith("TAIL")
    assert "bytes were cut here" in kept
    assert clean.counts["cut"] > 0


def test_what_cannot_be_cut_is_withheld_as_an_error() -> None:
    clean = _clean({"content": [], "structuredContent": {"rows": list(range(2000))}}, STRICT)
    assert json.loads(clean.raw)["isError"] is True
    assert clean.counts == {"withheld": 1}


def test_what_is_no_json_is_relayed() -> None:
    raw = b'{"a": "\\ud8"}'
    assert Cleaner(OPEN, SECRETS).clean("tools/call", raw).raw is raw


UNITS = {
    "plain": "The quick “brown” fox, 13 of them.\n",
    "hidden": "a\u202eb\x1b[31m c ",
    "introducers": "\x1b]\x1b[",
    "joiners": "\u200d",
    "emoji": "❤️‍🔥",
    "percent": "%70%6c",
    "escapes": "\\u0070",
    "secrets": "plainsecret0123456789",
    "half secrets": "plainsecret",
    "prefixes": "ghp_eyJsk-",
    "keys": "-----BEGIN RSA PRIVATE KEY-----",
    "brackets": "![](<",
    "attributes": "src=src='",
    "quotes": '"\\',
}


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_no_faster_than_size(unit: str) -> None:
    """Eight times the input takes some eight times as long, and quadratic work sixty-four times: room for noise."""
    settings = type(OPEN)(**{**vars(OPEN), "links": type(OPEN)(allow=("ok.example",))})
    cleaner = Cleaner(settings, SECRETS)
    small, large = (
        json.dumps(_text(UNITS[unit] * (size // len(UNITS[unit]))), ensure_ascii=False).encode()
        for size in (40_000, 320_000)
    )
    cleaner.clean("tools/call", small)
    base = min(_seconds(lambda: cleaner.clean("tools/call", small)) for _ in range(3))
    assert min(_seconds(lambda: cleaner.clean("tools/call", large)) for _ in range(2)) <= 24 * base + 0.02


def test_a_clean_kilobyte_costs_little() -> None:
    """Some 9 us on a quiet machine; relaying one takes 300. The bound leaves room for a busy one."""
    raw = json.dumps(_text(UNITS["plain"] * 28), ensure_ascii=False).encode()
    cleaner = Cleaner(OPEN, SECRETS)
    rounds = [_seconds(lambda: [cleaner.clean("tools/call", raw) for _ in range(200)]) / 200 for _ in range(5)]
    assert min(rounds) < 60e-6


GITHUB = "ghp_" + "aB3dE5fG7h" * 4
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwgg\n-----END PRIVATE KEY-----"


def _texts(*texts: str) -> list[str]:
    clean = Cleaner(OPEN).clean("x", json.dumps({"content": [{"type": "text", "text": one} for one in texts]}).encode())
    return [block["text"] for block in json.loads(clean.raw)["content"]]


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_somebody_elses_secret_in_two_blocks_goes_from_both(at: int) -> None:
    token = GITHUB[:40]
    assert _texts(f"see {token[:at]}", f"{token[at:]} end") == ["see «GitHub token»", " end"]
    assert _texts(f"see {token[:at]}", f"{token[at:]}") == ["see «GitHub token»", ""]


def test_of_a_secret_in_many_blocks_nothing_stays() -> None:
    assert _texts(*("a " + GITHUB[:40] + " b")) == ["a", " ", "«GitHub token»", *[""] * 39, " ", "b"]
    two = f"{GITHUB[:40]} and glpat-{'aB3dE5fG7hJ9kL1mN2pQ'}"
    assert "".join(_texts(two[:20], two[20:55], two[55:])) == "«GitHub token» and «GitLab token»"


def test_a_private_key_in_blocks_goes_with_its_end_and_takes_nothing_else_along() -> None:
    assert _texts(f"x {PEM[:50]}", f"{PEM[50:]} y") == ["x «private key»", " y"]
    assert _texts("It begins with -----BEGIN PRIVATE KEY-----", "and a whole page of honest words") == [
        "It begins with -----BEGIN PRIVATE KEY-----",
        "and a whole page of honest words",
    ]


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*"ab ", GITHUB[:40], GITHUB[:9], GITHUB[9:40], "glpat-", "aB3dE5fG7hJ9kL1mN2pQ"])))
def test_secrets_of_others_in_blocks_are_cleaned_once_and_for_all(texts: list[str]) -> None:
    once = _texts(*texts)
    assert _texts(*once) == once
    assert not known.spans("".join(once))


def test_what_was_cut_is_still_there_clean_and_the_marker_says_where() -> None:
    text = "x\u202ey" * 1000
    raw = json.dumps({"content": [{"type": "text", "text": text}]}).encode()
    cleaned = Cleaner(Output.model_validate({"max": 1000})).clean("tools/call", raw, rest="fuseboard://result/d-1")
    assert cleaned.uncut is not None
    assert json.loads(cleaned.uncut)["content"][0]["text"] == "xy" * 1000
    assert b"read the resource fuseboard://result/d-1]" in cleaned.raw
    assert Cleaner(Output()).clean("tools/call", raw).uncut is None


def test_a_text_that_comes_as_base64_hides_nothing() -> None:
    hidden = f"a\u202eb {GITHUB[:40]} plainsecret0123456789 é"
    blob = {"uri": "a://b", "mimeType": "text/plain", "blob": base64.b64encode(hidden.encode()).decode()}
    clean = Cleaner(OPEN, SECRETS).clean("resources/read", json.dumps({"contents": [blob]}).encode())
    left = base64.b64decode(json.loads(clean.raw)["contents"][0]["blob"]).decode("utf-8", "replace")
    assert left.startswith("ab «GitHub token»")
    assert "plainsecret0123456789" not in left
    assert clean.counts == {"bidi": 1, "known secret": 1, "own secret": 1}
    fine = json.dumps({"contents": [{**blob, "blob": base64.b64encode(b"fine").decode()}]}).encode()
    assert Cleaner(OPEN, SECRETS).clean("resources/read", fine).raw is fine
    assert Cleaner(OPEN, SECRETS).clean("resources/read", clean.raw).raw is clean.raw
