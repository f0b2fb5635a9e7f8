"""What the ledger holds for :mod:`fuseboard.influence`: each call in short, in the order in which they began."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import msgspec

from fuseboard.checkpoint import UPSTREAM
from fuseboard.errors import StoreUnavailable
from fuseboard.influence import Passed
from fuseboard.truth import Truth
from fuseboard.vault import source_of

_UNKNOWN: Final = "unknown"
_FIELDS: Final = "id, run, seq, at, principal, upstream, tool, method, effect, arguments, sent, final, truth, ended_at"
_CALLS: Final = f"""
SELECT {_FIELDS}, result_sha256, result_verdict, root, parent,
  CASE WHEN instr(checks, '"memory":true') THEN checks END AS remembers
FROM calls {{where}} ORDER BY at, rowid
"""
# Of what ended before only descent matters still: an agent that was called then may give something back later.
_SINCE: Final = _CALLS.format(where="WHERE at >= :at OR ended_at >= :at OR ended_at IS NULL OR parent IS NOT NULL")
_ONE: Final = _CALLS.format(where="WHERE id = ?")
_SOURCE: Final = "SELECT upstream, tool FROM calls WHERE id = ?"
_FIRST: Final = "SELECT min(ended_at) FROM calls WHERE upstream = ? AND tool = ? AND result_sha256 = ?"
_SEEN: Final = "SELECT 1 FROM calls WHERE upstream = ? AND tool = coalesce(?, tool) LIMIT 1"


class Walkway:
    """A ledger opened for reading by whoever has it open for writing, too. To be used ``with``."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            StoreUnavailable: it cannot be read.
        """
        try:
            self._connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {path} cannot be read: {error}") from error
        self._connection.row_factory = sqlite3.Row

    def since(self, at: float) -> Iterator[Passed]:
        """All that matters to what was delivered from ``at`` on."""
        return map(self._passed, self._connection.execute(_SINCE, {"at": at}))

    def call(self, id: str) -> Passed | None:
        row = self._connection.execute(_ONE, (id,)).fetchone()
        return None if row is None else self._passed(row)

    def first(self, like: Passed) -> float | None:
        """When the same result of the same tool was delivered first."""
        row = self._connection.execute(_FIRST, (like.upstream, like.tool, like.result_sha256)).fetchone()
        return None if row[0] is None else float(row[0])

    def knows(self, upstream: str, tool: str | None) -> bool:
        """Whether anything was ever called there."""
        return self._connection.execute(_SEEN, (upstream, tool)).fetchone() is not None

    def _passed(self, row: sqlite3.Row) -> Passed:
        """What came out of our own vault is the words of the tool that it was kept from."""
        call = _passed(row)
        of = source_of(call.tool) if call.upstream == UPSTREAM else None
        if of is None:
            return call
        source = self._connection.execute(_SOURCE, (of,)).fetchone()
        whose = {"upstream": source["upstream"], "tool": source["tool"]} if source is not None else {}
        return msgspec.structs.replace(call, of=of, **whose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


def _passed(row: sqlite3.Row) -> Passed:
    return Passed(
        id=row["id"],
        run=row["run"],
        seq=row["seq"],
        at=row["at"],
        principal=row["principal"],
        upstream=row["upstream"],
        tool=row["tool"],
        method=row["method"],
        effect=row["effect"],
        arguments=row["arguments"],
        sent=row["sent"],
        final=bool(row["final"]),
        truth=str(Truth.DENIED) if row["final"] else row["truth"] or _UNKNOWN,
        ended_at=row["ended_at"],
        result_sha256=row["result_sha256"],
        withheld=row["result_verdict"] in ("deny", "hold"),
        memory=row["remembers"] is not None and _remembers(row["remembers"]),
        root=row["root"],
        parent=row["parent"],
    )


def _remembers(checks: str) -> bool:
    """Whether the policy that knows says so: others may have facts of that name, too."""
    return any(check["policy"] == "revoked" and check["facts"].get("memory") is True for check in json.loads(checks))
