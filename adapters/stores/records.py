"""The ledger's tables, and how entries and cells become rows of them.

One row of ``calls`` is one call: the columns of :class:`Proposed`, then those of :class:`Concluded`. A row whose
``truth`` is null and which is not ``final`` has no recorded end: the call is under way, or the process died.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from fuseboard.adapters.stores.reaping import Held
from fuseboard.adapters.stores.table import Cell
from fuseboard.ports import Concluded, Entry, Proposed

SCHEMA_VERSION = 4
APPLICATION_ID = 0x46757365  # "Fuse"

DDL = """
CREATE TABLE calls (
  rowid            INTEGER PRIMARY KEY,
  id               TEXT NOT NULL UNIQUE,
  run              TEXT NOT NULL,
  run_source       TEXT NOT NULL,
  seq              INTEGER NOT NULL,
  at               REAL NOT NULL,     -- Unix seconds
  principal        TEXT NOT NULL,
  client           TEXT,
  era              TEXT NOT NULL,
  transport        TEXT NOT NULL,
  upstream         TEXT NOT NULL,
  tool             TEXT NOT NULL,
  exposed          TEXT NOT NULL,
  method           TEXT NOT NULL,
  effect           TEXT NOT NULL,
  arguments        TEXT,              -- raw JSON, sha256:… or null, as trace.args says
  arguments_sha256 TEXT NOT NULL,
  verdict          TEXT NOT NULL,
  policy           TEXT,
  rule             TEXT,
  reason           TEXT,
  config           TEXT NOT NULL,
  final            INTEGER NOT NULL,  -- 1: nothing was sent, nothing follows
  checks           TEXT NOT NULL,     -- JSON
  ended_at         REAL,              -- null: no end on record
  duration_ms      REAL,
  truth            TEXT,
  result_bytes     INTEGER,
  result_sha256    TEXT,
  preview          TEXT,
  error            TEXT,
  result_verdict   TEXT,              -- set only where a policy changed the outcome
  result_policy    TEXT,
  result_rule      TEXT,
  result_reason    TEXT,
  result_checks    TEXT,              -- JSON
  sent             TEXT,              -- like arguments where something else was sent (since version 2)
  continues        TEXT,              -- the id of the call whose later round this is (since version 3)
  held_until       REAL,              -- Unix seconds: until when the call holds parts of budgets (since version 4)
  held             TEXT,              -- JSON: what it holds, by account
  confidence       TEXT,              -- how surely the run is known (since version 4)
  depth            INTEGER DEFAULT 0, -- how many calls under way stand below this one
  root             TEXT,              -- the run at the bottom of them, where it is another
  parent           TEXT               -- the id of the call that it stands on
);
CREATE INDEX calls_by_run ON calls (run, seq);
CREATE INDEX calls_by_at ON calls (at);
CREATE INDEX calls_held ON calls (held_until) WHERE held_until IS NOT NULL AND truth IS NULL;
CREATE TABLE state (
  key        TEXT PRIMARY KEY,
  value      TEXT NOT NULL,           -- JSON
  version    INTEGER NOT NULL,
  expires_at REAL NOT NULL            -- Unix seconds
) WITHOUT ROWID;
"""

ADDED = (
    ("sent", "ALTER TABLE calls ADD COLUMN sent TEXT"),
    ("continues", "ALTER TABLE calls ADD COLUMN continues TEXT"),
    ("held_until", "ALTER TABLE calls ADD COLUMN held_until REAL"),
    ("held", "ALTER TABLE calls ADD COLUMN held TEXT"),
    ("confidence", "ALTER TABLE calls ADD COLUMN confidence TEXT"),
    ("depth", "ALTER TABLE calls ADD COLUMN depth INTEGER DEFAULT 0"),
    ("root", "ALTER TABLE calls ADD COLUMN root TEXT"),
    ("parent", "ALTER TABLE calls ADD COLUMN parent TEXT"),
)
"""Columns that came with versions 2, 3 and 4, and how an older ledger gets them."""

ADDED_INDEX = (
    "CREATE INDEX IF NOT EXISTS calls_held ON calls (held_until) WHERE held_until IS NOT NULL AND truth IS NULL"
)

NEWEST = "store/version"
"""The cell whose version is that of the newest write by anyone, so that versions never go back between processes."""

FOR_EVER = 1e18
"""An ``expires_at`` that never comes (Unix seconds)."""

Row: TypeAlias = tuple[Any, ...]

_APART = ("era", "effect", "final", "checks")
_PROPOSED = tuple(name for name in Proposed.__struct_fields__ if name not in _APART)
_CONCLUDED = ("at", "duration_ms", "result_bytes", "result_sha256", "preview")
_RARE = ("error", "verdict", "policy", "rule", "reason")
_of_proposed = attrgetter(*_PROPOSED)
_of_concluded = attrgetter(*_CONCLUDED)
_of_rare = attrgetter(*_RARE)


def _column(name: str) -> str:
    """The column of a field of :class:`Concluded`, where :class:`Proposed` has one of the same name."""
    return "ended_at" if name == "at" else f"result_{name}" if name in _PROPOSED else name


_HELD = ("held_until", "held")
_HOLDING = len(_HELD)
BEGINNING = (*_PROPOSED, *_APART, *_HELD)
ENDING = (*map(_column, _CONCLUDED), "truth", "result_checks", *map(_column, _RARE))


def beginning(entry: Proposed, held: Held | None = None) -> Row:
    # Plain text and numbers: for a bool, an enum or None, sqlite3 goes looking for an adapter, dearer than the binding.
    until, holds = (held.until, to_json(held.holds)) if held else (None, None)
    fixed = (str(entry.era), str(entry.effect), int(entry.final), to_json(entry.checks))
    return (*_of_proposed(entry), *fixed, until, holds)


def ending(entry: Concluded) -> Row:
    """A row as wide as it has news: the last columns are left out where nothing was wrong and nothing was changed."""
    row = (*_of_concluded(entry), str(entry.truth), to_json(entry.checks))
    return row if entry.verdict is None and entry.error is None else (*row, *_of_rare(entry))


@dataclass(slots=True)
class Batch:
    """What one transaction writes: a call that begins and ends in one batch is one row, not an insert and an update."""

    begun: dict[str, Row] = field(default_factory=dict)
    ended: dict[str, Row] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)

    def add(self, entry: Entry | None, cells: Mapping[str, Cell] | None, held: Held | None = None) -> None:
        if cells:
            self.cells.update(cells)
        if isinstance(entry, Proposed):
            row, before = beginning(entry, held), self.begun.get(entry.id)
            if before is not None and before[-1] is not None:
                row = (*row[:-_HOLDING], *before[-_HOLDING:])  # what it held when it was admitted
            self.begun[entry.id] = row
        elif entry is not None:
            self.ended[entry.id] = ending(entry)

    def __bool__(self) -> bool:
        return bool(self.begun or self.ended or self.cells)

    def inserts(self) -> list[Row]:
        ended = self.ended
        return [row + ended.get(id_, ()) for id_, row in self.begun.items()]

    def updates(self) -> list[Row]:
        begun = self.begun
        return [(id_, *row) for id_, row in self.ended.items() if id_ not in begun]

    def upserts(self) -> list[Row]:
        return [(key, to_json(cell.value), cell.version, cell.expires_at) for key, cell in self.cells.items()]


@cache
def insert_calls(rows: int, width: int) -> str:
    """A row that is there already came through in a COMMIT that seemed to fail and is tried again, or was a refusal
    before the call was judged anew. What it held when it was first admitted stays.
    """
    columns = (*BEGINNING, *ENDING)[:width]
    sets = ", ".join(
        f"{name} = coalesce(calls.{name}, excluded.{name})" if name in _HELD else f"{name} = excluded.{name}"
        for name in columns
    )
    values = _values(rows, width)
    return f"INSERT INTO calls ({', '.join(columns)}) {values} ON CONFLICT (id) DO UPDATE SET {sets}"


@cache
def update_calls(rows: int, width: int) -> str:
    sets = ", ".join(f"{name} = v.column{n}" for n, name in enumerate(ENDING[: width - 1], start=2))
    if width <= len(ENDING):
        sets += ", error = NULL"  # a call that was given up for lost has come to its end after all
    return f"UPDATE calls SET {sets} FROM ({_values(rows, width)}) AS v WHERE calls.id = v.column1"


@cache
def upsert_state(rows: int, width: int) -> str:
    sets = ", ".join(f"{name} = excluded.{name}" for name in ("value", "version", "expires_at"))
    columns = "key, value, version, expires_at"
    return f"INSERT INTO state ({columns}) {_values(rows, width)} ON CONFLICT (key) DO UPDATE SET {sets}"


def _values(rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"VALUES {', '.join([row] * rows)}"


def to_json(value: Any) -> str:
    """Compact JSON. What JSON cannot say is said as text: a strange fact must never cost the record."""
    try:
        return _encode(value).decode()
    except (ValueError, TypeError, OverflowError):
        return json.dumps(value, default=_plain, skipkeys=True)


def scrubbed(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with lone surrogates escaped, which neither UTF-8 nor SQLite can hold."""
    for row in rows:
        yield tuple(v.encode(errors="backslashreplace").decode() if isinstance(v, str) else v for v in row)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) else str(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
