"""Reading the ledger, beside whoever writes it. Nothing here changes the file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from fuseboard.adapters.stores.database import cells_of, check_version
from fuseboard.adapters.stores.leases import without
from fuseboard.errors import ConfigError
from fuseboard.state import Snapshot

UNKNOWN = "unknown"
"""The truth of a call without a recorded end: it is under way, or the process died with it."""
DENIED = "denied"
"""The truth of a call of which nothing was sent."""
TASK = "task"
"""The truth of a call that began a task, as long as what came of it was not fetched."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the ledger holds it. ``verdict`` and its company are the last word: the result's, where it had one.

    ``checks`` are ``{policy, verdict, rule, facts, on}``, in the order
    in which they were made, ``on`` being ``call`` or ``result``.
    """

    rowid: int
    id: str
    run: str
    run_source: str
    seq: int
    at: float
    principal: str
    client: str | None
    era: str
    transport: str
    upstream: str
    tool: str
    exposed: str
    method: str
    effect: str
    arguments: str | None
    arguments_sha256: str
    verdict: str
    policy: str | None
    rule: str | None
    reason: str | None
    checks: tuple[dict[str, Any], ...]
    config: str
    final: bool
    truth: str
    ended_at: float | None
    duration_ms: float | None
    result_bytes: int | None
    result_sha256: str | None
    preview: str | None
    error: str | None
    sent: str | None = None
    """What was sent in place of ``arguments``, in the same form; ``None`` where that is the same."""
    continues: str | None = None
    """The id of the first round, where this is a later round of one logical call."""
    confidence: str | None = None
    """How surely the run is known: ``signed``, ``claimed``, ``connection`` or ``inferred``."""
    depth: int = 0
    """How many calls under way this one stood on."""
    root: str | None = None
    """The run at the bottom of them, where it is another."""
    parent: str | None = None
    """The id of the call that it stood on."""

    @property
    def ended(self) -> bool:
        return self.final or (self.ended_at is not None and self.truth != TASK)

    def to_json(self) -> bytes:
        """One line of ``trace export``. The arguments' numbers stand as they were sent, digit by digit."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "rowid"}
        fields |= {"arguments": _raw(self.arguments), "sent": _raw(self.sent)}
        return msgspec.json.encode(fields)


@dataclass(frozen=True, slots=True)
class Run:
    """One run in short. ``began_at`` and ``last_at`` are Unix seconds."""

    run: str
    run_source: str
    principal: str
    client: str | None
    transport: str
    era: str
    config: str
    began_at: float
    last_at: float
    calls: int
    denied: int
    failed: int
    """Calls that were sent and came back wrong, those without a recorded end included."""
    result_bytes: int

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)


# An older ledger that no writer has opened since has no such columns. Of two the first counts, the ledger's own.
_CALL = (
    "SELECT *, NULL AS sent, NULL AS continues, NULL AS confidence, 0 AS depth, NULL AS root, NULL AS parent FROM calls"
)
# Who and how come from the run's newest call.
_RUN = """
SELECT run, run_source, principal, client, transport, era, config, began, last, calls, denied, failed, output
FROM (
  SELECT max(rowid) AS newest, min(at) AS began, max(coalesce(ended_at, at)) AS last, count(*) AS calls,
    sum(coalesce(result_verdict, verdict) = 'deny') AS denied,
    sum(NOT final AND coalesce(truth, '') NOT IN ('ok', 'empty', 'input_required', 'task', 'denied')) AS failed,
    coalesce(sum(result_bytes), 0) AS output
  FROM calls {where} GROUP BY run
) JOIN calls ON rowid = newest ORDER BY newest DESC LIMIT ?
"""


class LedgerReader:
    """A ledger opened for reading. Sees what is committed, at each question anew. To be closed, or used ``with``."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError where there is no ledger at ``path``, or none that this version can read."""
        if not path.is_file():
            raise ConfigError(
                f"no ledger at {path}\n"
                "Fuseboard writes one there as soon as it has served a call: try `fuseboard demo`. "
                "If it lies elsewhere, name its folder with --state DIR or FUSEBOARD_STATE_DIR."
            )
        self._connection = _open(path)

    def runs(self, limit: int = 20, *, principal: str | None = None) -> list[Run]:
        """The runs with the newest calls, newest first."""
        where, values = ("WHERE principal = ?", [principal]) if principal is not None else ("", [])
        return [Run(*row) for row in self._connection.execute(_RUN.format(where=where), [*values, limit])]

    def recent_runs(self, limit: int, *, among: int = 1000) -> list[Run]:
        """The same of the newest ``among`` calls, for those who ask every second: no others are looked through."""
        where = "WHERE run IN (SELECT run FROM calls ORDER BY rowid DESC LIMIT ?)"
        return [Run(*row) for row in self._connection.execute(_RUN.format(where=where), [among, limit])]

    def run(self, run: str) -> Run | None:
        """One run by its whole name."""
        row = self._connection.execute(_RUN.format(where="WHERE run = ?"), [run, 1]).fetchone()
        return Run(*row) if row else None

    def runs_like(self, prefix: str) -> list[str]:
        """Names of runs that begin with ``prefix``, or the one that it names in full; no more than ten."""
        return self._like("run", prefix)

    def ids_like(self, prefix: str) -> list[str]:
        """Ids of calls that begin with ``prefix``, or the one that it names in full; no more than ten."""
        return self._like("id", prefix)

    def calls(self, run: str | None = None) -> Iterator[Call]:
        """The calls of one run in their order, or all in the order in which they were recorded."""
        if run is None:
            return self._calls(f"{_CALL} ORDER BY rowid")
        return self._calls(f"{_CALL} WHERE run = ? ORDER BY seq, rowid", run)

    def call(self, id: str) -> Call | None:
        """One call by its whole id."""
        return next(self._calls(f"{_CALL} WHERE id = ?", id), None)

    def call_of(self, run: str, seq: int) -> Call | None:
        """One call by its number in its run."""
        return next(self._calls(f"{_CALL} WHERE run = ? AND seq = ? ORDER BY rowid DESC LIMIT 1", run, seq), None)

    def last(self, *, refused: bool = False) -> Call | None:
        """The newest call, or the newest that was not plainly allowed."""
        where = "WHERE coalesce(result_verdict, verdict) <> 'allow'" if refused else ""
        return next(self._calls(f"{_CALL} {where} ORDER BY rowid DESC LIMIT 1"), None)

    def newest(self, limit: int) -> list[Call]:
        """The newest calls, oldest of them first."""
        return list(self._calls(f"{_CALL} ORDER BY rowid DESC LIMIT ?", limit))[::-1]

    def since(self, rowid: int) -> list[Call]:
        """Calls recorded after ``rowid``, in order; 0 is before the first."""
        return list(self._calls(f"{_CALL} WHERE rowid > ? ORDER BY rowid", rowid))

    def state(self, keys: Sequence[str], *, at: float) -> Snapshot:
        """Run state as it is on file, of what is alive at ``at``. A process that is alone writes it after a moment."""
        cells = {key: cell for key, cell in cells_of(self._connection, keys).items() if at < cell.expires_at}
        versions = {key: cell.version for key, cell in cells.items()}
        return Snapshot({key: without(cell.value, at=at) for key, cell in cells.items()}, versions)

    def state_under(self, beginnings: Sequence[str], *, at: float) -> dict[str, Any]:
        """The values of all keys with one of these beginnings, like :meth:`state`."""
        sql = "SELECT key, value FROM state WHERE key >= ? AND key < ? AND expires_at > ?"
        rows = (row for start in beginnings for row in self._connection.execute(sql, (start, f"{start}\U0010ffff", at)))
        return {key: json.loads(value) for key, value in rows}

    def at_rows(self, rowids: Sequence[int]) -> list[Call]:
        """The calls at these rows as they stand now, in order."""
        marks = ", ".join("?" * len(rowids))
        return list(self._calls(f"{_CALL} WHERE rowid IN ({marks}) ORDER BY rowid", *rowids))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _calls(self, sql: str, *values: Any) -> Iterator[Call]:
        return map(_call, self._connection.execute(sql, values))

    def _like(self, column: str, prefix: str) -> list[str]:
        # Not LIKE, for which % and _ in a name are wildcards. U+10FFFF sorts after everything in UTF-8.
        sql = f"SELECT DISTINCT {column} FROM calls WHERE {column} >= ? AND {column} < ? ORDER BY {column} LIMIT 10"
        names = [row[0] for row in self._connection.execute(sql, (prefix, f"{prefix}\U0010ffff"))]
        return [prefix] if prefix in names else names


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise ConfigError(f"cannot open the ledger {path}: {error}") from error
    connection.row_factory = sqlite3.Row
    try:
        if check_version(connection, path) == 0:
            raise ConfigError(f"the ledger {path} is still empty: nothing has been served yet")
    except (sqlite3.Error, ConfigError) as error:
        connection.close()
        raise error if isinstance(error, ConfigError) else ConfigError(f"cannot read {path}: {error}") from error
    return connection


def _call(row: sqlite3.Row) -> Call:
    changed = "result_" if row["result_verdict"] is not None else ""
    fields = {name: row[name] for name in Call.__slots__}
    fields |= {name: row[f"{changed}{name}"] for name in ("verdict", "policy", "rule", "reason")}
    fields["checks"] = (*_checks(row["checks"], "call"), *_checks(row["result_checks"], "result"))
    fields["final"] = bool(row["final"])
    fields["truth"] = DENIED if row["final"] else row["truth"] or UNKNOWN
    return Call(**fields)


def _checks(text: str | None, on: str) -> list[dict[str, Any]]:
    return [{**check, "on": on} for check in json.loads(text)] if text else []


def _raw(arguments: str | None) -> msgspec.Raw | str | None:
    """Raw JSON as it is, but on one line: between its tokens JSON may hold line breaks, and inside strings never."""
    if arguments is None or arguments.startswith("sha256:"):
        return arguments
    return msgspec.Raw(arguments.encode().replace(b"\n", b" ").replace(b"\r", b" "))
