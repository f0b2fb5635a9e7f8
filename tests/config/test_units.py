from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from fuseboard.config.units import (
    Rate,
    format_duration,
    format_share,
    format_size,
    parse_count,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
    quoted,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        pytest.param(parse_duration, "30s", 30.0, id="seconds"),
        pytest.param(parse_duration, "5m", 300.0, id="minutes"),
        pytest.param(parse_duration, "1h30m", 5400.0, id="hours and minutes"),
        pytest.param(parse_duration, "14d", 1_209_600.0, id="days"),
        pytest.param(parse_duration, "500ms", 0.5, id="milliseconds"),
        pytest.param(parse_duration, "1.5s100ms", 1.6, id="fractions add up without a tail of digits"),
        pytest.param(parse_size, "64KB", 64_000, id="KB is decimal"),
        pytest.param(parse_size, "4MiB", 4 * 2**20, id="MiB is binary"),
        pytest.param(parse_size, "1.5 MB", 1_500_000, id="a space is allowed"),
        pytest.param(parse_size, 1500, 1500, id="a bare number is bytes"),
        pytest.param(parse_count, "250k", 250_000, id="thousands"),
        pytest.param(parse_count, "1.5M", 1_500_000, id="millions"),
        pytest.param(parse_count, 200, 200, id="a plain count"),
        pytest.param(parse_count, "200", 200, id="a plain count in quotes"),
        pytest.param(parse_share, "50%", 0.5, id="a percentage is a share"),
        pytest.param(parse_share, "0%", 0.0, id="nothing"),
        pytest.param(parse_rate, "60/min burst 20", Rate(60, 60.0, 20), id="a rate and its burst"),
        pytest.param(parse_rate, "5/s", Rate(5, 1.0, 5), id="without a burst the whole count may come at once"),
        pytest.param(parse_rate, "100 / day burst 1", Rate(100, 86400.0, 1), id="a rate a day"),
    ],
)
def test_amounts_are_read_as_people_write_them(parse: Callable[[Any], Any], text: Any, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_duration, "1 hoar", "found '1 hoar', which is not a duration; write it like 30s, 5m or 1h30m"),
        (parse_duration, 30, "found 30, which is not a duration; write it like 30s, 5m or 1h30m"),
        (parse_duration, "-5s", "found '-5s', which is not a duration; write it like 30s, 5m or 1h30m"),
        (parse_duration, "", "found '', which is not a duration; write it like 30s, 5m or 1h30m"),
        (parse_duration, None, "found nothing, which is not a duration; write it like 30s, 5m or 1h30m"),
        (parse_size, "10 apples", "found '10 apples', which is not a size; write it like 64KB, 10MB or 4MiB"),
        (parse_size, True, "found true, which is not a size; write it like 64KB, 10MB or 4MiB"),
        (parse_size, 1.5, "found 1.5, which is not a size; write it like 64KB, 10MB or 4MiB"),
        (parse_count, "many", "found 'many', which is not a count; write it like 200, 250k or 1.5M"),
        (parse_share, 50, "found 50, which is not a percentage; write it like 50%, from 0% to 100%"),
        (parse_share, "120%", "found '120%', which is not a percentage; write it like 50%, from 0% to 100%"),
        (parse_rate, "60 per min", "found '60 per min', which is not a rate; write it like 60/min or 60/min burst 20"),
        (parse_rate, "0/min", "found '0/min', which is not a rate; write it like 60/min or 60/min burst 20"),
        (parse_rate, ["60/min"], "found a list, which is not a rate; write it like 60/min or 60/min burst 20"),
    ],
)
def test_the_error_says_what_was_found_and_how_to_write_it(
    parse: Callable[[Any], Any], text: Any, message: str
) -> None:
    with pytest.raises(PydanticCustomError) as error:
        parse(text)
    assert error.value.message() == message


@given(st.integers(0, 10**11))
def test_a_duration_that_was_formatted_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 10**15))
def test_a_size_that_was_formatted_reads_back(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(0, 100))
def test_a_share_that_was_formatted_reads_back(percent: int) -> None:
    assert parse_share(format_share(percent / 100)) == percent / 100


@given(st.builds(Rate, st.integers(1, 10**6), st.sampled_from([1.0, 60.0, 3600.0, 86400.0]), st.integers(1, 10**6)))
def test_a_rate_that_was_formatted_reads_back(rate: Rate) -> None:
    assert parse_rate(str(rate)) == rate


def test_a_long_value_is_named_in_short() -> None:
    assert quoted("x" * 500) == repr("x" * 57 + "…")
