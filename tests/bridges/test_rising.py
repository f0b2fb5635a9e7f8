"""Progress over the rounds of a call that its client sees as one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges.losses import Losses
from fuseboard.bridges.rising import Rising
from fuseboard.ports import Result
from support.links import CallScope

PROGRESS = "notifications/progress"


def report(scope: Rising, *steps: Any) -> None:
    for step in steps:
        scope.notify(PROGRESS, json.dumps({"progressToken": 7, "progress": step}).encode())


def told(client: CallScope) -> list[Any]:
    return [said["progress"] for _, said in client.noticed]


@pytest.mark.parametrize(
    ("first", "second", "heard"),
    [
        pytest.param([1, 2], [1, 2, 3], [1, 2, 3], id="counted from the start again"),
        pytest.param([0.5], [0.25, 0.5, 0.75], [0.5, 0.75], id="fractions"),
        pytest.param([], [1, 1, 2], [1, 2], id="the first report of all"),
        pytest.param([10**30], [1, 10**30 + 1], [10**30, 10**30 + 1], id="large integers"),
        pytest.param([2, 1, 1], [2, 3], [2, 1, 1, 3], id="in the first round all is told as it came"),
        pytest.param([1], ["x", None, 2], [1, "x", None, 2], id="what is no number"),
    ],
)
def test_what_falls_back_in_a_later_round_is_not_told(first: list[Any], second: list[Any], heard: list[Any]) -> None:
    client, losses = CallScope(), Losses()
    scope = Rising(client, losses)
    report(scope, *first)
    scope.again = True
    report(scope, *second)
    assert told(client) == heard
    dropped = len(first) + len(second) - len(heard)
    assert sum(losses.counts.values()) == dropped


async def test_all_else_goes_through() -> None:
    client = CallScope(Result(b"{}"))
    scope = Rising(client, Losses())
    scope.again = True
    scope.notify("notifications/message", b'{"data":1}')
    scope.notify(PROGRESS, None)
    assert await scope.request("roots/list", None) == Result(b"{}")
    assert (scope.request_id, client.asked) == (client.request_id, [("roots/list", None)])
    assert [method for method, _ in client.noticed] == ["notifications/message", PROGRESS]


def test_it_stands_for_its_client_on_a_pipe() -> None:
    class OnAPipe(CallScope):
        connection = "the pipe"

    assert Rising(OnAPipe(), Losses()).connection == "the pipe"
    stranger = Rising(CallScope(), Losses())
    assert stranger.connection is stranger
