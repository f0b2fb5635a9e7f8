"""``identity:``: how the run is found that a request belongs to."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from fuseboard.config.section import Section
from fuseboard.config.units import Duration, wrong

Step: TypeAlias = Literal["token", "meta", "trace", "session", "inferred"]


def _chain(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if len(set(steps)) < len(steps):
        raise wrong("found a step twice; each stands once")
    if steps[-1:] != ("inferred",):
        raise wrong("the chain must end with inferred: where nothing names a run, one is inferred")
    return steps


class Identity(Section):
    """How the run is found that a request belongs to."""

    chain: Annotated[tuple[Step, ...], AfterValidator(_chain)] = ("token", "meta", "trace", "session", "inferred")
    """What may name the run; the first that does counts. A step that is left out is not heard."""

    meta_key: Annotated[str, Field(min_length=1, max_length=256)] = "fuseboard/run"
    """The key of `params._meta` by which an agent names its run."""

    baggage_key: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$")] = "run"
    """The member of the W3C baggage that does the same, in `_meta` or the header."""

    idle_gap_s: Annotated[Duration, Field(gt=0)] = Field(default=900.0, validation_alias="idle_gap")
    """A silence after which an inferred run is over."""
