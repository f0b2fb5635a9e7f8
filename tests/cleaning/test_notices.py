"""A notification that is longer than a result may be loses what makes it so."""

from __future__ import annotations

import json

from fuseboard.cleaning.notices import bounded


def test_what_is_short_enough_stays_the_same_object() -> None:
    params = b'{"level":"info","data":"fine"}'
    assert bounded(params, 1000) is params


def test_a_long_field_is_left_out_and_said_to_be() -> None:
    params = json.dumps({"progressToken": 7, "progress": 1, "message": "x" * 5000}).encode()
    assert json.loads(bounded(params, 4000)) == {
        "progressToken": 7,
        "progress": 1,
        "message": "[fuseboard: left out: the message had 5,050 bytes, and 4,000 are passed on]",
    }


def test_one_of_many_fields_or_of_none_that_can_be_read_is_left_empty() -> None:
    assert bounded(json.dumps({f"k{at}": "x" * 900 for at in range(9)}).encode(), 4000) == b"{}"
    assert bounded(b'"' + b"x" * 5000 + b'"', 4000) == b"{}"
