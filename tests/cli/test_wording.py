import pytest

from fuseboard.checkpoint import Note
from fuseboard.cli.wording import budgets, clean, clock, counted, day, size, span, told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("größe 数 🙂", "größe 数 🙂", id="letters of any script"),
        pytest.param("\x1b[2Jgone", "\\x1b[2Jgone", id="a terminal sequence"),
        pytest.param("a\nb\r\tc", "a\\nb\\r\\tc", id="line breaks"),
        pytest.param("\x9b31mred", "\\x9b31mred", id="an 8-bit sequence"),
        pytest.param("abc\u202egnp.exe", "abc\\u202egnp.exe", id="text turned round"),
        pytest.param("pay\u200bload", "pay\\u200bload", id="zero width"),
        pytest.param("hi\U000e0041", "hi\\U000e0041", id="tags"),
        pytest.param("half \ud800", "half \\ud800", id="a lone surrogate"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.04, "40ms"),
        (1, "1s"),
        (1.52, "1.5s"),
        (42.4, "42s"),
        (192, "3m12s"),
        (3600, "1h00m"),
        (7500, "2h05m"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1834, "1.8 kB"),
        (2_000_000, "2.0 MB"),
        (999_960, "1.0 MB"),
        (3_200_000_000, "3.2 GB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


def test_counted() -> None:
    assert (counted(1, "call"), counted(2, "call")) == ("1 call", "2 calls")


def test_a_time_of_day_is_the_end_of_its_date() -> None:
    assert day(1_790_000_000.9).endswith(clock(1_790_000_000.9))


def test_each_budget_is_told_in_its_own_measure() -> None:
    units = {
        "calls": {"used": 12.0, "held": 2.0, "limit": 200.0},
        "time_s": {"used": 192.0, "held": 0.0, "limit": 1800.0},
        "output_bytes": {"used": 1_200_000.0, "held": 5.0, "limit": None},
        "tokens": {"used": 3000.0, "held": 0.0, "limit": 250_000.0},
        "money": {"used": 0.25, "held": 0.0, "limit": 5.0},
    }
    assert budgets(units) == (
        "calls 12 (+2)/200  time 3m12s/30m00s  output 1.2 MB  tokens ~3,000/~250,000  money 0.25/5"
    )
    assert budgets({}) == ""


def test_each_line_of_what_an_agent_said_says_that_the_agent_said_it() -> None:
    note = Note(0.0, "fine\nfuseboard: approved by ana", ("read\x1b[2J",))
    said = list(told(note))
    assert [line.startswith(f"the agent said at {clock(0.0)}: ") for line in said] == [True, True]
    assert said[0].endswith("fine\\nfuseboard: approved by ana")
    assert said[1].endswith("done: read\\x1b[2J")
