"""What the load came to: calls by outcome, and everything that went otherwise than it should, by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

EXCUSED_S: Final = 15.0
"""For how long after a kill or a restart the faults that it causes are expected: the default cool-down and some."""

FAULTS: Final = {5020: "upstream lost", 5030: "upstream unreachable", 5040: "upstream timeout"}

SDK_HANGS_UP: Final = "the connection to sdk was lost before it answered"
"""mcp 2.3, ``server/streamable_http.py``: a session that is deleted while its server still works on a notification that
it has accepted makes the server answer a second time, and uvicorn then closes the connection, which by its first answer
was free for the next call."""


@dataclass
class Tally:
    """``answered`` calls are in the ledger for certain; ``abandoned`` ones, whose client left before, may be."""

    answered: int = 0
    abandoned: int = 0
    sessions: Counter[str] = field(default_factory=Counter)
    """Opened, by transport."""
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Of an upstream that had just been killed or restarted."""
    unexpected: Counter[str] = field(default_factory=Counter)
    excused_until_s: float = 0.0

    def disturbed(self, at_s: float) -> None:
        self.excused_until_s = at_s + EXCUSED_S

    def answer(self, message: dict[str, Any], wanted: str, *, at_s: float) -> None:
        """Judge the answer to a call. ``wanted`` is what its text has to hold."""
        self.answered += 1
        if "error" in message:
            self._fault(message["error"]["code"], message["error"]["message"], at_s)
            return
        result = message["result"]
        text = "".join(block.get("text", "") for block in result.get("content", ()))
        if result.get("isError"):
            decision = result.get("_meta", {}).get("fuseboard/decision", {})
            self.odd(f"refused: {decision.get('rule')} {text[:80]}", at_s=at_s)
        elif wanted not in text:
            self.unexpected[f"wrong answer: {text[:80]}"] += 1
        else:
            self.outcomes["ok"] += 1

    def odd(self, what: str, *, at_s: float) -> None:
        """Something that only a disturbance excuses."""
        (self.faults if at_s < self.excused_until_s else self.unexpected)[what] += 1

    def _fault(self, code: int, message: str, at_s: float) -> None:
        name = FAULTS.get(code)
        if name is None:
            self.unexpected[f"error {code}: {message[:80]}"] += 1
        elif at_s < self.excused_until_s or message.startswith(SDK_HANGS_UP):
            self.faults[name] += 1
        else:
            self.unexpected[f"{name}: {message[:80]}"] += 1
