"""The lock file is read by people and by diffs: sorted, stable, and nothing in it hides."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.pins.canonical import digest
from fuseboard.pins.lock import FIELDS, WORDS, Accepted, Identity, Lock, Server, Unreadable, accepted, read, written


def lock(*names: str, raw: bytes = b'{"name":"x"}') -> Lock:
    server = Server(Identity("npx it", "It", "1"))
    for name in names:
        server.tools[name] = (accepted(raw, "handshake"),)
    return Lock(servers={"up": server})


@given(st.permutations(["b", "a", "é", "C"]))
def test_the_order_of_coming_is_no_order(names: list[str]) -> None:
    assert written(lock(*names)) == written(lock("a", "b", "C", "é"))


def test_it_reads_what_it_wrote() -> None:
    text = written(lock("a", "b"))
    assert written(read(text)) == text
    assert text.endswith(b"}\n")
    server = read(text).servers["up"]
    assert (server.identity, server.count) == (Identity("npx it", "It", "1"), 2)


def test_the_whole_definition_is_kept_and_its_digest_is_of_that() -> None:
    raw = b'{"name":"x","inputSchema":{"b":1,"a":1.50},"vendor":[null]}'
    entry = json.loads(written(lock("x", raw=raw)))["servers"]["up"]["tools"]["x"][0]
    assert entry["definition"] == json.loads(raw)
    assert entry["sha256"] == digest(json.dumps(entry["definition"]).encode())


def test_what_nobody_would_see_is_escaped_and_what_people_write_is_not() -> None:
    raw = '{"name":"x","description":"查询\u200b\u202e\U000e0041 grüß"}'.encode()
    text = written(lock("x", raw=raw)).decode()
    assert "查询\\u200b\\u202e\\udb40\\udc41 grüß" in text
    assert read(text.encode()).servers["up"].tools["x"][0].sha256 == digest(raw)


def test_what_is_no_plain_json_is_kept_as_a_text() -> None:
    raw = b'{"name":"x","name":"y"}'
    entry = json.loads(written(lock("x", raw=raw)))["servers"]["up"]["tools"]["x"][0]
    assert (entry["definition"], entry["sha256"]) == (raw.decode(), digest(raw))


@pytest.mark.parametrize("depth", [1, 98, 99, 100, 500, 950, 5000])
def test_however_deep_a_definition_is_the_file_can_be_written_and_read(depth: int) -> None:
    raw = b'{"name":"x","a":' + b"[" * depth + b'"[{"' + b"]" * depth + b"}"
    text = written(lock("x", raw=raw))
    (entry,) = read(text).servers["up"].tools["x"]
    assert entry.sha256 == digest(raw)
    assert isinstance(json.loads(bytes(entry.definition)), str) is (depth >= 100)
    assert written(read(text)) == text


def test_a_file_that_is_not_there_or_empty_holds_nothing() -> None:
    assert read(None).servers == read(b"").servers == read(b" \n").servers == {}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "cannot be read"),
        (b'{"servers":[]}', "cannot be read"),
        (b'{"lock":2,"servers":{}}', "found format 2; this version reads 1"),
        (b'{"servers":{"u":{"tools":{"x":[{"definition":{}}]}}}}', "sha256"),
        (b"\xff", "cannot be read"),
        (b'{"servers":{"u":{"tools":{"x":[{"sha256":"a","definition":"\xff"}]}}}}', "cannot be read"),
        (b'{"servers":{"u":{"tools":{"x":[{"sha256":"a","definition":%b' % (b"[" * 100_000), "cannot be read"),
    ],
)
def test_what_is_something_else_is_not_taken_for_an_empty_one(raw: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read(raw)


def test_every_kind_has_a_word() -> None:
    assert tuple(WORDS) == FIELDS


@pytest.mark.parametrize("depth", [900, 960, 980, 990, 995, 999])
def test_what_somebody_wrote_too_deep_is_said_and_breaks_nothing(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    with suppress(Unreadable):  # read or not, written or not: never anything else
        written(read(b'{"servers":{"u":{"tools":{"x":[{"sha256":"a","definition":%b}]}}}}' % deep))


def test_what_is_too_deep_to_be_written_is_said() -> None:
    entry = Accepted("a", msgspec.Raw(b"[" * 100_000))
    with pytest.raises(Unreadable, match="cannot be written"):
        written(Lock(servers={"u": Server(tools={"x": (entry,)})}))
