"""A lock file against what the upstreams list now, and how the one is made to say the other. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from fuseboard.era import Era
from fuseboard.pins.book import of_another_era, since
from fuseboard.pins.difference import Change
from fuseboard.pins.lock import FIELDS, WORDS, Accepted, Identity, Lock, Server, accepted


class State(StrEnum):
    ACCEPTED = "accepted"
    CHANGED = "changed"
    NEW = "new"
    GONE = "gone"
    """It was accepted, and is listed no more."""


class Row(msgspec.Struct, frozen=True):
    """One definition. ``now`` is as it is listed, ``None`` where it is not."""

    field: str
    name: str
    state: State
    changes: tuple[Change, ...] = ()
    was: tuple[Accepted, ...] = ()
    now: Accepted | None = None

    def to_json(self) -> dict[str, Any]:
        told = [{"where": one.where, "was": one.was, "now": one.now} for one in self.changes]
        now = {} if self.now is None else {"sha256": self.now.sha256}
        was = [one.sha256 for one in self.was]
        return {"kind": WORDS[self.field], "name": self.name, "state": str(self.state), "accepted": was, **now} | (
            {"changes": told} if told else {}
        )


def compare(server: Server | None, listed: Mapping[str, Sequence[tuple[str, bytes]]], era: Era | None) -> list[Row]:
    """Sorted by kind and name."""
    known = server or Server()
    rows: list[Row] = []
    for field in FIELDS:
        now: dict[str, Row] = {}
        for name, raw in listed.get(field, ()):
            row = _row(field, name, known.of(field).get(name, ()), accepted(raw, _of(era)))
            if name not in now or now[name].state is State.ACCEPTED:  # of two of one name the worse counts
                now[name] = row
        gone = [Row(field, name, State.GONE, was=was) for name, was in known.of(field).items() if name not in now]
        rows += sorted([*now.values(), *gone], key=lambda row: row.name)
    return rows


def changed(rows: Iterable[Row]) -> bool:
    return any(row.state is not State.ACCEPTED for row in rows)


def accept(lock: Lock, key: str, identity: Identity, rows: Iterable[Row], *, also: bool = False) -> None:
    """Make the lock say what is listed. ``also``: what was accepted before stays good beside it."""
    server = lock.servers.setdefault(key, Server())
    server.identity = identity
    for row in rows:
        if row.now is None:
            server.of(row.field).pop(row.name, None)
        elif row.state is not State.ACCEPTED:
            there = server.of(row.field).get(row.name, ())
            kept = [one for one in there if also or of_another_era((one,), row.now)]
            server.of(row.field)[row.name] = (*(one for one in kept if one.sha256 != row.now.sha256), row.now)


def drop(lock: Lock, keys: Iterable[str], name: str | None) -> Iterator[tuple[str, str, str]]:
    """Forget a server, or one name of it; gives what was forgotten: key, kind and name."""
    for key in list(keys):
        server = lock.servers.get(key)
        if server is None:
            continue
        for field in FIELDS:
            for one in [one for one in server.of(field) if name is None or one == name]:
                del server.of(field)[one]
                yield key, WORDS[field], one
        if not server.count:
            del lock.servers[key]


def _row(field: str, name: str, was: tuple[Accepted, ...], now: Accepted) -> Row:
    if not was:
        return Row(field, name, State.NEW, now=now)
    if any(one.sha256 == now.sha256 for one in was) or of_another_era(was, now):
        return Row(field, name, State.ACCEPTED, was=was, now=now)
    return Row(field, name, State.CHANGED, since(was, now), was, now)


def _of(era: Era | None) -> str:
    return era.name.lower() if era is not None else ""
