"""Whether a result says that it is not there yet."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from fuseboard.results.examine import NOTHING
from fuseboard.results.waiting import _NOT_YET, is_pending

WORDS = re.split(
    r" +",
    "not yet Not Ready complete completed done finished available still STILL running pending in progress check back "
    "again later try poll ask soon in 5 shortly ſtill now the job",
)


@pytest.mark.parametrize(
    "value",
    [
        {"status": "pending"},
        {"id": 1, "state": "IN_PROGRESS", "url": "x"},
        {"job_status": "still running"},
        {"status": "not ready"},
        {"status": 202},
        {"done": False},
        {"phase": "Provisioning"},
    ],
)
def test_fields_that_say_so(value: dict[str, Any]) -> None:
    assert is_pending("", value, whole=True)


@pytest.mark.parametrize(
    "value",
    [
        {"status": "done"},
        {"status": "open"},
        {"state": 1},
        {"done": True},
        {"items": [{"status": "pending"}]},
        {},
        [],
        7,
    ],
)
def test_values_that_do_not(value: Any) -> None:
    assert not is_pending("", value, whole=True)


@pytest.mark.parametrize(
    "text",
    [
        "Build is still running",
        "pending",
        "202 Accepted",
        "Status: queued",
        "Your report is being generated.",
        "Not ready yet, check back later",
        "in progress: 40 %",
    ],
)
def test_sentences_that_say_so(text: str) -> None:
    assert is_pending(text, NOTHING, whole=True)
    assert not is_pending(text, NOTHING, whole=False)


@pytest.mark.parametrize("text", ["done", "Ready.", "The race is on", "x" * 500 + " not ready yet", ""])
def test_sentences_that_do_not(text: str) -> None:
    assert not is_pending(text, NOTHING, whole=True)


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_the_quick_look_hides_nothing_that_the_long_one_finds(text: str) -> None:
    assert is_pending(text, NOTHING, whole=True) or _NOT_YET.search(text) is None
