"""What the rooms of a session rest on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.ports import Request
from fuseboard.sessions.seated import own_params


@pytest.mark.parametrize(
    ("params", "own"),
    [
        pytest.param(None, None, id="no params"),
        pytest.param({"name": "look"}, None, id="no envelope"),
        pytest.param({"_meta": {"progressToken": 1, "a/b": 2}}, None, id="nothing of the protocol's own"),
        pytest.param(
            {"cursor": "2", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": 1}},
            {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}},
            id="the envelope without the client's progress token and cursor",
        ),
    ],
)
def test_a_listing_of_our_own_has_the_envelope_of_the_request_that_needs_it(params: Any, own: Any) -> None:
    raw = json.dumps(params).encode() if params is not None else None
    made = own_params(Request(b"1", "tools/call", raw))
    assert (json.loads(made) if made is not None else None) == own
