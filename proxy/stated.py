"""What the operator stated for one run alone: the limits that its token carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Stated(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits of one run, in place of the configured ones. What is left out is as configured.

    ``ceilings`` are by unit. ``pace`` is one call every so many seconds, of which so many may come at once; ``rate``
    says the same to a reader.
    """

    ceilings: Mapping[str, float] = msgspec.field(default_factory=dict)
    depth: int | None = None
    parallel: int | None = None
    pace: tuple[float, int] | None = None
    rate: str = ""
    pause_at: float | None = None

    def over(self, configured: Mapping[str, float]) -> Mapping[str, float]:
        """The ceilings that hold."""
        return {**configured, **self.ceilings} if self.ceilings else configured

    def to_json(self) -> dict[str, Any]:
        """What is stated, by the names of ``run:`` in the configuration, units in the names."""
        others = {"depth": self.depth, "parallel": self.parallel, "rate": self.rate, "pause_at": self.pause_at}
        return {**self.ceilings, **{name: value for name, value in others.items() if value}}


NOTHING_STATED = Stated()
