import json
from typing import Any, NamedTuple

import msgspec
import pytest

from fuseboard.params import raw_arguments, to_send
from fuseboard.ports import Request
from support.judging import READ, call


class Ask(NamedTuple):
    request: Request
    arguments: dict[str, Any]


def ask(raw: bytes, method: str = "tools/call") -> Ask:
    value = json.loads(raw)
    return Ask(Request(b"1", method, raw, value), value.get("arguments", {}))


@pytest.mark.parametrize(
    ("method", "raw", "expected"),
    [
        ("tools/call", b'{"name":"a","arguments":{"n":1.10}}', b'{"n":1.10}'),
        ("tools/call", b'{"name":"a"}', b"{}"),
        ("resources/read", b'{"uri":"a:b","arguments":{"n":1}}', b"{}"),
    ],
)
def test_arguments_are_recorded_in_the_clients_own_bytes(method: str, raw: bytes, expected: bytes) -> None:
    assert raw_arguments(Request(b"1", method, raw, json.loads(raw))) == expected


def test_what_nobody_changed_goes_out_as_it_came() -> None:
    asked = ask(b'{"name":"read_file",  "arguments":{"n":1.10}}')
    assert to_send(asked, call(READ, asked.arguments)) is asked.request.params


def test_a_tool_goes_by_its_own_name_upstream() -> None:
    asked = ask(b'{"name":"files__read_file","arguments":{"n":1.10},"x":1}')
    assert to_send(asked, call(READ, asked.arguments)) == b'{"name":"read_file","arguments":{"n":1.10},"x":1}'


def test_what_was_judged_is_what_is_sent() -> None:
    asked = ask(b'{"name":"read_file","arguments":{"path":"/a/./b"},"_meta":{"k":1.0}}')
    sent = to_send(asked, call(READ, {"path": "/a/b"}))
    assert sent == b'{"name":"read_file","arguments":{"path":"/a/b"},"_meta":{"k":1.0}}'


def test_a_resource_goes_by_its_address() -> None:
    asked = ask(b'{"uri":"a:b"}', "resources/read")
    tool = msgspec.structs.replace(READ, name="a:b")
    assert to_send(asked, call(tool, asked.arguments, method="resources/read")) == b'{"uri":"a:b"}'
