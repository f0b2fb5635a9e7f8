import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuseboard.cli.log import CHILDREN, QUEUED_BYTES, Formatter, Stderr


def record(message: str, *, name: str = "fuseboard.x", exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, __file__, 1, message, None, exc_info)  # type: ignore[arg-type]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(
    ("name", "message", "line"),
    [
        pytest.param("fuseboard.x", "a\x1b[2J\nb\u202e", " WARNING fuseboard.x: a\\x1b[2J\\nb\\u202e", id="ours"),
        pytest.param(CHILDREN, "[odd] a\tb\x1b[2J\r\u202e", "[odd] a\tb\\x1b[2J\\r\\u202e", id="a child's, tabs kept"),
    ],
)
def test_nothing_in_a_line_moves_a_terminal(name: str, message: str, line: str) -> None:
    assert Formatter().format(record(message, name=name)).endswith(line)


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    try:
        raise ValueError("\x1b]0;title\x07")
    except ValueError:
        text = Formatter().format(record("failed", exc_info=sys.exc_info()))
    assert text.splitlines()[-1] == "ValueError: \\x1b]0;title\\x07"
    assert len(text.splitlines()) > 3


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    with (tmp_path / "err").open("wb") as file:
        stderr = Stderr(file.fileno())
        for number in range(1000):
            stderr.say(str(number))
        stderr.flush()
    assert (tmp_path / "err").read_text().split() == [str(number) for number in range(1000)]


def test_nobody_waits_for_a_reader_and_what_was_dropped_is_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stderr = Stderr(writing)
    line = "x" * 999
    began = time.monotonic()
    for _ in range(10_000):
        stderr.say(line)
    stderr.flush()
    assert time.monotonic() - began < 5
    said = b""
    while b"were dropped" not in said:
        said += os.read(reading, 1 << 16)
    dropped = int(said.split(b"fuseboard: ")[1].split()[0])
    assert 0 < dropped <= 10_000 - QUEUED_BYTES // 1000


def test_a_reader_who_has_gone_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stderr = Stderr(writing)
    stderr.say("hello")
    stderr.flush()
    os.close(writing)
