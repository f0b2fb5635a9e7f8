"""What a terminal shows of pins does nothing to it."""

from __future__ import annotations

import json

from fuseboard.cli.pinned import accepted_lines, side_lines
from fuseboard.era import Era
from fuseboard.pins.compare import accept, compare
from fuseboard.pins.lock import Identity, Lock

NAME = "re\x1b[2Jad"
ITEM = {"name": NAME, "description": "a", "inputSchema": {"properties": {"\x07bell": {}}}}


def listed(**fields: object) -> dict[str, list[tuple[str, bytes]]]:
    return {"tools": [(NAME, json.dumps({**ITEM, **fields}).encode())]}


def test_nothing_of_a_stranger_s_acts() -> None:
    lock = Lock()
    accept(lock, "u", Identity("x\x1b[1m", "It\u202e", "1"), compare(None, listed(), Era.HANDSHAKE))
    rows = compare(lock.servers["u"], listed(description="\u202eb", inputSchema={}), Era.HANDSHAKE)
    for lines in (accepted_lines(lock), side_lines("u", None, rows), side_lines("u", "no \x1b[2J", [])):
        text = "\n".join(line.plain for line in lines)
        assert text
        assert not any(one in text for one in "\x1b\x07\u202e")


def test_what_was_removed_and_added_is_told() -> None:
    lock = Lock()
    accept(lock, "u", Identity(), compare(None, listed(), Era.HANDSHAKE))
    rows = compare(lock.servers["u"], listed(inputSchema={"properties": {}}, title="T"), Era.HANDSHAKE)
    text = [line.plain for line in side_lines("u", None, rows)]
    assert text[0] == "u  0 definitions as accepted"
    assert text[1] == "  changed  tool re\\x1b[2Jad"
    assert "    argument \\x07bell removed: {}" in text
    assert '    title added: "T"' in text
