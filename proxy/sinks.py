"""Which calls can carry what an attacker wrote to where it does harm: they delete, or they reach outside. Pure.

A hint of the upstream only ever makes a call one that is looked at. The one thing that its word (``readOnlyHint``, or a
name that begins with a reading verb) spares is a tool of which the operator stated nothing: asked at each search, a
person soon approves without reading.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fuseboard.events import Effect
from fuseboard.loops.verbs import part_of_name

_HARMLESS: Final = frozenset({"read", "wait"})


def is_outward(stated: bool | None, hint: bool | None) -> bool:
    """By the operator's word, else by the upstream's (``openWorldHint``), which is believed only where it warns."""
    return hint is True if stated is None else stated


def is_sink(name: str, effect: Effect, stated: Collection[str], *, outward: bool, read_hint: bool) -> bool:
    """``stated`` is what the operator said of this very tool."""
    if outward and "outward" in stated:
        return True  # a reading as well: an address that is visited carries data out
    if effect is Effect.READ:
        return False
    if "effect" not in stated and (read_hint or part_of_name(name) in _HARMLESS):
        return False
    return outward or effect is Effect.DESTRUCTIVE
