"""Lines out of a stream of bytes, however it is cut into chunks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.adapters.pipes import Lines

LIMIT = 8
streams = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b"\t", b"0123456789", b"\xff"]), max_size=30)


class Heard:
    """What was handed on: the lines, and how often an overlong one was told of, in order (as ``None``)."""

    def __init__(self, limit_bytes: int = LIMIT) -> None:
        self.all: list[bytes | None] = []
        self.lines = Lines(self.all.append, self._overlong, limit_bytes=limit_bytes)

        self.heads: list[bytes] = []

    def _overlong(self, head: bytes) -> None:
        self.all.append(None)
        self.heads.append(head)

    def feed(self, *chunks: bytes) -> list[bytes | None]:
        for chunk in chunks:
            self.lines.feed(chunk)
        return self.all


def expected(stream: bytes, limit_bytes: int = LIMIT) -> list[bytes | None]:
    """What the lines should be: the last one only if it is already too long, since it has no end yet."""
    *lines, rest = stream.split(b"\n")
    heard = [None if len(line) > limit_bytes else line.strip() for line in lines]
    return [line for line in heard if line is None or line] + ([None] if len(rest) > limit_bytes else [])


def cuts(stream: bytes, places: list[int]) -> Iterator[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return (stream[start:end] for start, end in itertools.pairwise(bounds))


@pytest.mark.parametrize(
    ("chunks", "heard"),
    [
        pytest.param([b"a\n"], [b"a"], id="one line"),
        pytest.param([b"a\nb\n"], [b"a", b"b"], id="two in one chunk"),
        pytest.param([b"a", b"b", b"\n"], [b"ab"], id="one in three chunks"),
        pytest.param([b"a\nb", b"c\nd"], [b"a", b"bc"], id="the last is not over yet"),
        pytest.param([b"a\r\n", b"b\r", b"\nc\n"], [b"a", b"b", b"c"], id="the other line end"),
        pytest.param([b"\n\n \r\n\t\n"], [], id="empty lines"),
        pytest.param([b" a \n"], [b"a"], id="white space around"),
        pytest.param([b"12345678\n"], [b"12345678"], id="as long as is allowed"),
        pytest.param([b"123456789\na\n"], [None, b"a"], id="too long, in one chunk"),
        pytest.param([b"12345", b"6789", b"0", b"\na\n"], [None, b"a"], id="too long, in several, is told once"),
        pytest.param([b"12345678", b"9\na\n"], [None, b"a"], id="too long at its very end"),
        pytest.param([b"1" * 100], [None], id="too long is told before its end comes"),
        pytest.param([b"1" * 100, b"2" * 100 + b"\n" + b"3" * 100 + b"\n"], [None, None], id="two are told twice"),
        pytest.param([b"\xff\x00\n"], [b"\xff\x00"], id="bytes of any kind"),
        pytest.param([b"", b"a", b"", b"\n", b""], [b"a"], id="empty chunks"),
    ],
)
def test_lines(chunks: list[bytes], heard: list[bytes | None]) -> None:
    assert Heard().feed(*chunks) == heard


@given(streams, st.lists(st.integers(0, 1000), max_size=12))
def test_any_way_to_cut_a_stream_into_chunks_gives_the_same_lines(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    assert Heard().feed(*cuts(stream, places)) == expected(stream)


@given(st.binary(max_size=200), st.integers(1, 7), st.integers(0, 40))
def test_so_it_does_for_bytes_of_any_kind_and_any_limit(stream: bytes, size: int, limit_bytes: int) -> None:
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert Heard(limit_bytes).feed(*chunks) == expected(stream, limit_bytes)


@pytest.mark.parametrize("chunk", [10, 300, 5000])
def test_of_an_overlong_line_it_is_told_how_it_began(chunk: int) -> None:
    heard = Heard(2000)
    stream = b"a\n" + b"0123456789" * 400 + b"\n" + b"9876543210" * 400 + b"\n"
    heard.feed(*(stream[start : start + chunk] for start in range(0, len(stream), chunk)))
    assert heard.all == [b"a", None, None]
    assert [head[:1000] for head in heard.heads] == [b"0123456789" * 100, b"9876543210" * 100]
    assert all(len(head) < 2000 for head in heard.heads)


def test_no_more_than_the_limit_is_ever_kept_of_an_overlong_line() -> None:
    heard = Heard(1000)
    for _ in range(10_000):
        heard.feed(b"x" * 100)
    assert len(heard.lines._buffer) == 0
    assert heard.feed(b"\na\n") == [None, b"a"]


def seconds(size: int, chunk: int) -> float:
    """How long a frame of that size takes, the best of three."""
    data = b"x" * chunk
    took = []
    for _ in range(3):
        heard = Heard(2 * size)
        began = time.process_time()
        for _ in range(size // chunk):
            heard.lines.feed(data)
        heard.lines.feed(b"\n")
        took.append(time.process_time() - began)
        assert len(heard.all) == 1
    return min(took)


def test_a_frame_four_times_as_long_takes_about_four_times_as_long() -> None:
    """A buffer that is searched anew for every chunk would take sixteen times as long."""
    seconds(1 << 20, 1024)
    assert seconds(1 << 24, 1024) < 8 * seconds(1 << 22, 1024) + 0.01


def test_many_lines_in_one_chunk_are_cut_in_linear_time() -> None:
    heard = Heard()
    began = time.process_time()
    assert len(heard.feed(b"{}\n" * 500_000)) == 500_000
    assert time.process_time() - began < 5
