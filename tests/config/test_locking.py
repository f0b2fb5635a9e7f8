"""``lock:`` as people write it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fuseboard.config.locking import Locks, ToolLock
from fuseboard.config.servers import ToolFacts


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (None, []),
        ("file:{args.path}", ["file:{args.path}"]),
        ({"name": "x", "mode": "shared"}, ["x"]),
        (["a", {"name": "b", "hold": "run"}], ["a", "b"]),
        ([], []),
    ],
)
def test_one_text_or_a_list_of_texts_and_sections(written: Any, names: list[str]) -> None:
    assert [one.name for one in ToolFacts.model_validate({"lock": written}).lock] == names


@pytest.mark.parametrize(
    "written",
    ["", "file:{path}", "a{args.b", {"mode": "shared"}, {"name": "x", "mode": "both"}, {"name": "x", "ttl": "2h"}, 7],
)
def test_what_cannot_be_meant_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        ToolFacts.model_validate({"lock": written})


def test_the_defaults_are_those_of_the_documents() -> None:
    assert (Locks().ttl_s, Locks().wait_s) == (60.0, 5.0)
    one = ToolLock(name="x")
    assert (one.mode, one.hold, one.ttl_s, one.wait_s, one.ignore_case) == ("exclusive", "call", None, None, False)
