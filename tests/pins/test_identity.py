"""Which upstream a pin is of, with nothing in it that must not be committed."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.config import HttpServer, StdioServer
from fuseboard.pins.identity import alias_of, key_of, target


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        ({"command": "npx", "args": ["-y", "server@1.2", "/data"]}, "npx -y server@1.2 /data"),
        ({"command": "x", "args": ["--api-key", "hunter2", "run"]}, "x --api-key … run"),
        ({"command": "x", "args": ["--token=hunter2", "TOKEN=hunter2", "--port=1"]}, "x --token=… TOKEN=… --port=1"),
        ({"command": "x", "args": ["--auth", "--verbose", "run"]}, "x --auth --verbose run"),
        ({"command": "x", "args": ["ghp_0123456789abcdefABCDEF0123456789abcd"]}, "x …"),
    ],
)
def test_a_command_without_its_secrets(server: dict[str, Any], shown: str) -> None:
    assert target(StdioServer.model_validate(server)) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host:8443/mcp", "https://host:8443/mcp"),
        ("https://user:hunter2@host/mcp?key=hunter2#x", "https://host/mcp"),
    ],
)
def test_an_address_without_its_secrets(url: str, shown: str) -> None:
    assert target(HttpServer.model_validate({"url": url})) == shown


def test_a_shared_file_needs_more_than_an_alias() -> None:
    assert key_of("files", "a", shared=False) == key_of("files", "b", shared=False) == "files"
    one, other = key_of("files", "a", shared=True), key_of("files", "b", shared=True)
    assert one != other
    assert (alias_of(one), alias_of("files")) == ("files", "files")
