"""Ways back to a client that lead nowhere."""

from __future__ import annotations

import json

import pytest

from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Failure
from fuseboard.scopes import NOWHERE, Silent
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio


async def test_what_is_asked_of_nobody_is_refused_and_names_the_method() -> None:
    reply = await NOWHERE.request("roots/list", None)
    assert isinstance(reply, Failure)
    error = json.loads(reply.raw)
    assert error["code"] == METHOD_NOT_FOUND
    assert "roots/list" in error["message"]


def test_what_is_told_to_nobody_is_dropped_and_the_request_keeps_its_id() -> None:
    scope = Silent(b"7")
    scope.notify("n", None)
    scope.stream()
    scope.release()
    assert scope.request_id == b"7"
    assert NOWHERE.request_id is None
