"""Calls as :mod:`fuseboard.influence` sees them, the rest filled in. ``a``, ``b`` and ``d`` are of one principal."""

from __future__ import annotations

from typing import Any, Final

from fuseboard.influence import Passed

PRINCIPALS: Final = {"a": "ana", "b": "ana", "c": "bob", "d": "ana"}


def passed(id: str, run: str = "a", at: float = 0.0, ended_at: float | None = None, **changes: Any) -> Passed:
    fields: dict[str, Any] = {
        "id": id,
        "run": run,
        "seq": 1,
        "at": at,
        "principal": PRINCIPALS.get(run, "ana"),
        "upstream": "web",
        "tool": "fetch",
        "method": "tools/call",
        "effect": "read",
        "arguments": "{}",
        "sent": None,
        "final": False,
        "truth": "ok" if ended_at is not None else "unknown",
        "ended_at": ended_at,
        "result_sha256": "aa" if ended_at is not None else None,
        "withheld": False,
        "memory": False,
        "root": None,
        "parent": None,
    }
    return Passed(**(fields | changes))


def wrote(id: str, run: str = "a", at: float = 0.0, ended_at: float | None = None, **changes: Any) -> Passed:
    return passed(id, run, at, ended_at, **({"effect": "write", "tool": "post"} | changes))
