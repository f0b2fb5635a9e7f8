"""What is wrong with a configuration file, and where: written for the operator, never with a secret in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fuseboard.errors import ConfigError

_WIDEST = 140


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: ``line`` and ``column`` count from 1; 0 means the file as a whole.

    ``path`` is dotted (``rules[1].decide``), ``message`` says what was found and what is expected, ``source`` is the
    line of the file with literal secrets masked.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        head = ": ".join(part for part in (place, self.path, self.message) if part)
        return "\n".join([head, *self._excerpt()])

    def _excerpt(self) -> list[str]:
        if not self.source:
            return []
        # A pasted JSON file may be one endless line: show the part around the caret.
        start = max(0, self.column - _WIDEST // 2) if len(self.source) > _WIDEST else 0
        shown = self.source[start : start + _WIDEST]
        margin = "".join("\t" if char == "\t" else " " for char in shown[: self.column - 1 - start])
        return [f"{self.line:>5} | {shown}", f"      | {margin}^"]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class ConfigInvalid(ConfigError):
    """The file cannot be used; ``findings`` holds every problem in it, in the order of the file."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda finding: (finding.line, finding.column)))
        super().__init__("\n".join(map(str, self.findings)))


def dotted(path: Sequence[str | int]) -> str:
    """``("rules", 1, "decide")`` as ``rules[1].decide``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that is nearest to ``word``, or ``None`` where nothing is at least ``cutoff`` (0 to 1) alike."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=cutoff)
    return by_fold[near[0]] if near else None
