"""What a person took back: results and servers whose words are poisoned, and which runs took them in. Pure.

Two keys, so that a call looks only at what may concern it: :data:`GATE` names the servers and tools whose results are
withheld from now on, ``poisoned/run/<run>`` what one run has seen. Both are absent as long as nothing is revoked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from fuseboard.state import Put, Write

GATE: Final = "poisoned"
"""The key of what is revoked until it is lifted, by ``<server>`` or ``<server>__<tool>``."""

RECORDS: Final = "revocation/"
"""How the keys of the acts themselves begin."""

MARKS: Final = "poisoned/run/"
"""How the keys of the runs that saw something begin."""

KEPT_S: Final = 3_155_760_000.0
"""A hundred years: what a person took back comes back by a person's word alone, never by the lapse of time."""


class Revocation(msgspec.Struct, frozen=True):
    """One act. ``what`` is a decision, a server, or ``<server>__<tool>``; times are Unix seconds.

    ``since`` and ``until`` bound when a result was delivered; without ``until`` it holds for what is still to come.
    ``digest``, ``upstream`` and ``tool`` are of the result, where one result is meant: the same bytes from the same
    tool are the same poison, whoever asked for them.
    """

    id: str
    what: str
    at: float
    by: str
    why: str = ""
    since: float = 0.0
    until: float | None = None
    upstream: str = ""
    tool: str = ""
    digest: str = ""
    lifted_at: float | None = None
    lifted_by: str = ""
    lifted_why: str = ""

    @property
    def of_result(self) -> bool:
        return self.what.startswith("d-")

    @property
    def stands(self) -> bool:
        return self.lifted_at is None

    @property
    def goes_on(self) -> bool:
        """Whether results that are still to come are meant, too."""
        return self.stands and not self.of_result and self.until is None

    def covers(self, result: Resulting) -> bool:
        """Whether this delivered result is among those that were taken back."""
        if self.of_result:
            same = self.digest and (result.upstream, result.tool) == (self.upstream, self.tool)
            return result.id == self.what or bool(same and result.result_sha256 == self.digest)
        if self.what not in (result.upstream, f"{result.upstream}__{result.tool}") or result.ended_at is None:
            return False
        return self.since <= result.ended_at and (self.until is None or result.ended_at <= self.until)

    def written(self) -> Put:
        return Put(RECORDS + self.id, msgspec.to_builtins(self), KEPT_S)

    def told(self) -> str:
        """When, by whom and why, in one breath."""
        moment = datetime.fromtimestamp(self.at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"revoked at {moment} by {self.by}" + (f" ({self.why})" if self.why else "")


class Resulting(Protocol):
    """What the ledger holds of a call that has an end."""

    @property
    def id(self) -> str: ...
    @property
    def upstream(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def ended_at(self) -> float | None: ...
    @property
    def result_sha256(self) -> str | None: ...


class Mark(msgspec.Struct, frozen=True):
    """That a run took in what one revocation is about. ``said`` is how a refusal tells it.

    ``seen`` is the result of this very run by which it came in, ``since`` when that was. ``asked_at`` is when the run
    was paused for it: a run is paused once, and whoever lets it go on knows why it stood.
    """

    id: str
    by: str
    said: str
    seen: str
    since: float
    asked_at: float | None = None


Marks = dict[str, Mark]
"""By revocation."""


class Standing(NamedTuple):
    """One entry of the gate."""

    id: str
    by: str
    said: str


def mark_key(run: str) -> str:
    return MARKS + run


def marks(value: Any) -> Marks:
    """What the store holds of a run."""
    return {} if value is None else msgspec.convert(value, Marks)


def marked(run: str, now: Mapping[str, Mark]) -> Put:
    return Put(mark_key(run), {id: msgspec.to_builtins(mark) for id, mark in now.items()}, KEPT_S)


def gate(standing: Iterable[Revocation]) -> Write:
    """The gate as it is to stand. An empty one is there, too, and costs as little as none: versions must go on."""
    named = {one.what: list(Standing(one.id, one.by, one.told())) for one in standing if one.goes_on}
    return Put(GATE, named, KEPT_S)


def at_gate(value: Any, upstream: str, qualified: str) -> Standing | None:
    """What is revoked until further notice of this tool or its server."""
    if not value:
        return None
    found = value.get(upstream) or value.get(qualified)
    return None if found is None else Standing(*found)
