"""What both floors check on each call: schema, allow-list, rate, size of the result, one audit line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

RESULT_MAX_BYTES = 10_000_000


class Checks:
    def __init__(self, audit: Path) -> None:
        self._validators: dict[str, Any] = {}
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self._audit = audit.open("ab", buffering=1 << 16)

    def learn(self, request: dict[str, Any], response: dict[str, Any]) -> None:
        """Take tools and schemas from the first listing that comes by."""
        if request.get("method") == "tools/list" and not self._validators and "result" in response:
            for tool in response["result"]["tools"]:
                self._validators[tool["name"]] = jsonschema_rs.validator_for(tool["inputSchema"])

    def refuse(self, session: str, request: dict[str, Any]) -> str | None:
        """Why the request must not go on, or ``None``."""
        if request.get("method") != "tools/call":
            return None
        params = request["params"]
        validator = self._validators.get(params["name"])
        if validator is None:
            return "tool not allowed"
        if not self._take_token((session, params["name"])):
            return "rate limit"
        return None if validator.is_valid(params.get("arguments") or {}) else "invalid arguments"

    def record(self, session: str, request: dict[str, Any], size: int, started: float, verdict: str) -> None:
        params = request.get("params") or {}
        line = {
            "at": time.time(),
            "session": session,
            "method": request.get("method"),
            "tool": params.get("name"),
            "id": request.get("id"),
            "verdict": verdict,
            "bytes": size,
            "ms": (time.perf_counter() - started) * 1e3,
        }
        self._audit.write(orjson.dumps(line) + b"\n")

    def _take_token(self, key: tuple[str, str], per_s: float = 1e5, burst: float = 1e6) -> bool:
        now = time.monotonic()
        tokens, last = self._buckets.get(key, (burst, now))
        tokens = min(burst, tokens + (now - last) * per_s)
        self._buckets[key] = (max(0.0, tokens - 1), now)
        return tokens >= 1


def denial(request: dict[str, Any], why: str) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": request.get("id"), "error": {"code": -31000, "message": why}})
