"""Which answers say more than that it is done."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fuseboard.events import Effect, Tool
from fuseboard.ports import Result
from fuseboard.results.constancy import is_telling
from fuseboard.results.examine import examined
from support.came_back import TOOL, text, value

WRITES = replace(TOOL, effect=Effect.WRITE)
HINTED = replace(TOOL, effect=Effect.DESTRUCTIVE, read_hint=True)
PROSE = "Our service desk will be happy to help with any question that you may have about our products. "


@pytest.mark.parametrize(
    ("tool", "reply", "telling"),
    [
        (TOOL, text(PROSE), True),
        (HINTED, text(PROSE), True),
        (WRITES, text(PROSE), False),
        (WRITES, text(PROSE * 3), True),
        (TOOL, text("ok"), False),
        (TOOL, text("Checked: everything in the file that you asked about is valid."), False),
        (WRITES, text("The record was saved. " + "It is kept for ten years. " * 10), False),
        (TOOL, text("[]"), False),
        (TOOL, text("No results found for the question that you asked, neither here nor there."), False),
        (TOOL, value({"city": "Ulm", "temperature": 21.5, "wind": "from the west", "sky": "clear"}), True),
        (
            TOOL,
            Result(b'{"content":[{"type":"image","data":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","mimeType":"y"}]}'),
            False,
        ),
    ],
)
def test_a_receipt_is_no_answer(tool: Tool, reply: Result, telling: bool) -> None:
    assert is_telling(examined(reply), tool) is telling
