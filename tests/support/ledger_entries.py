"""Ledger entries for tests: a whole one for the asking, and a short run with one call of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.ports import Concluded, Entry, Proposed
from fuseboard.state import EMPTY

BEGAN = 1_790_000_000.0
RUN = "r-5kq0p1xy7c2m9d4h"
_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_PASSED = [
    {"policy": "schema", "verdict": "allow", "rule": None, "facts": {}},
    {"policy": "permissions", "verdict": "allow", "rule": "default", "facts": {}},
]


def proposed(id: str = "d-1", **changes: Any) -> Proposed:
    fields: dict[str, Any] = {
        "id": id,
        "run": RUN,
        "run_source": "process",
        "seq": 1,
        "at": BEGAN,
        "principal": "local",
        "client": "claude-code/2.1.317",
        "era": "2026-07-28",
        "transport": "stdio",
        "upstream": "github",
        "tool": "search_issues",
        "exposed": "github__search_issues",
        "method": "tools/call",
        "effect": "read",
        "arguments": '{"query":"is:open"}',
        "arguments_sha256": _SHA,
        "verdict": "allow",
        "policy": None,
        "rule": None,
        "reason": None,
        "checks": _PASSED,
        "config": "8c1e5d00a1b2",
        "final": False,
    }
    return Proposed(**(fields | changes))


def denied(id: str = "d-1", **changes: Any) -> Proposed:
    fields: dict[str, Any] = {"verdict": "deny", "policy": "permissions", "rule": "no-secret-files", "final": True}
    return proposed(id, **(fields | {"reason": "Secret files are out of bounds."} | changes))


def concluded(id: str = "d-1", **changes: Any) -> Concluded:
    fields: dict[str, Any] = {
        "id": id,
        "at": BEGAN + 0.412,
        "duration_ms": 412.0,
        "truth": "ok",
        "result_bytes": 1834,
        "result_sha256": _SHA,
        "preview": '{"content":[{"type":"text","text":"3 issues"}]}',
    }
    return Concluded(**(fields | changes))


def story() -> Iterator[Entry]:
    """Seven calls: two good, one malformed, one forbidden, one that failed, one too slow, one without an end."""
    mismatches = [
        {"path": "/limit", "found": 'the text "ten"', "expected": "an integer", "keyword": "type"},
        {"path": "", "found": "no property repo", "expected": "the property repo", "keyword": "required"},
    ]
    malformed = [{"policy": "schema", "verdict": "deny", "rule": "arguments", "facts": {"mismatches": mismatches}}]
    forbidden = [
        {"policy": "schema", "verdict": "allow", "rule": None, "facts": {}},
        {
            "policy": "permissions",
            "verdict": "deny",
            "rule": "no-secret-files",
            "facts": {"rules": ["no-secret-files"], "path": "/home/me/.ssh/id_ed25519"},
        },
    ]
    files = {"upstream": "files", "tool": "read_file", "exposed": "files__read_file"}
    yield proposed("d-5kq0p1xza1", seq=1)
    yield concluded("d-5kq0p1xza1")
    yield denied(
        "d-5kq0p2aab2",
        seq=2,
        at=BEGAN + 2.1,
        tool="list_issues",
        exposed="github__list_issues",
        arguments='{"limit":"ten"}',
        policy="schema",
        rule="arguments",
        reason='The arguments do not fit the tool\'s schema.\n/limit: found the text "ten", expected an integer',
        checks=malformed,
    )
    yield proposed("d-5kq0p3bbc3", seq=3, at=BEGAN + 3.0, tool="list_issues", exposed="github__list_issues")
    yield concluded("d-5kq0p3bbc3", at=BEGAN + 7.1, duration_ms=4100.0)
    yield denied(
        "d-5kq0p4ccd4",
        seq=4,
        at=BEGAN + 9.0,
        arguments='{"path":"/home/me/.ssh/id_ed25519","max":1.10}',
        reason="Secret files are out of bounds. Ask the user for the value that you need.",
        checks=forbidden,
        **files,
    )
    yield proposed("d-5kq0p5dde5", seq=5, at=BEGAN + 10.0, **files)
    yield concluded("d-5kq0p5dde5", at=BEGAN + 10.006, duration_ms=6.2, truth="business_error")
    yield proposed("d-5kq0p6eef6", seq=6, at=BEGAN + 11.0, upstream="search", tool="web", exposed="search__web")
    nothing = {"result_bytes": 0, "result_sha256": None, "preview": None, "error": "search: no answer within 5 s"}
    yield concluded("d-5kq0p6eef6", at=BEGAN + 16.0, duration_ms=5000.0, truth="timeout", **nothing)
    yield proposed(
        "d-5kq0p7ffg7", seq=7, at=BEGAN + 17.0, method="prompts/get", exposed="github__review", effect="write"
    )


def record(path: Path, *entries: Entry) -> None:
    """Write the entries to a ledger at ``path``, each in its own commit, and close it."""
    asyncio.run(_record(path, entries))


async def _record(path: Path, entries: Sequence[Entry]) -> None:
    store = SqliteStore.open(path)
    for entry in entries:
        assert await store.commit((), EMPTY, entry, at=entry.at)
    await store.close()
