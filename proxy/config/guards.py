"""The fuses themselves: limits of runs and principals, milestones, loops, breaker, retries, and of the wire."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from fuseboard.config.section import Section
from fuseboard.config.units import Count, Duration, Rate, RateText, Share, Size, wrong

Span: TypeAlias = Annotated[Duration, Field(gt=0)]
Amount: TypeAlias = Annotated[Count, Field(gt=0)]
Bytes: TypeAlias = Annotated[Size, Field(gt=0)]


class RunLimits(Section):
    """Limits of one agent run. `null` lifts a limit."""

    calls: Amount | None = 200
    """Tool calls."""

    time_s: Span | None = Field(default=1800.0, validation_alias="time")
    """Active time; waiting for a person stops the clock."""

    output_bytes: Bytes | None = Field(default=10_000_000, validation_alias="output")
    """Bytes of results, all together."""

    tokens: Amount | None = 250_000
    """Tokens, estimated from the bytes of results and labelled an estimate."""

    money: NonNegativeFloat | None = None
    """The sum of the declared costs of tools (`servers.*.tools.*.cost`)."""

    depth: PositiveInt | None = 4
    """Agents that call agents: how many stand on one another."""

    parallel: PositiveInt | None = 8
    """Calls under way at once."""

    rate: RateText | None = Rate(60, 60.0, 60)
    """Calls over time, and how many of them may come at once."""

    pause_at: Annotated[Share, Field(gt=0)] | None = 0.5
    """The share of any budget at which the run waits for a person; a milestone since the last review spares it."""


class SharedLimits(Section):
    """Limits that many runs have together. What is used counts for one window; `null` is no limit."""

    calls: Amount | None = None
    """Tool calls."""

    time_s: Span | None = Field(default=None, validation_alias="time")
    """Time in which any of the runs was active."""

    output_bytes: Bytes | None = Field(default=None, validation_alias="output")
    """Bytes of results."""

    tokens: Amount | None = None
    """Tokens, estimated from the bytes of results."""

    money: NonNegativeFloat | None = None
    """The sum of the declared costs of tools."""

    parallel: PositiveInt | None = None
    """Calls under way at once."""

    rate: RateText | None = None
    """Calls over time, and how many of them may come at once."""

    window_s: Span = Field(default=900.0, validation_alias="window")
    """The length of the window."""


class PrincipalLimits(SharedLimits):
    """All unsigned runs of one principal together; runs with a signed token stand alone."""

    calls: Amount | None = 1000
    """Tool calls in one window."""


class Milestone(Section):
    """One thing that counts as reaching a goal."""

    tool: Annotated[str, Field(min_length=1)]
    """A glob over `<server>__<tool>`."""

    truth: Literal["ok", "empty"] = "ok"
    """What the result has to be."""


class Checkpoint(Section):
    """A tool of our own, `fuseboard__checkpoint`, by which an agent says how far it is."""

    offer: bool = False
    """Whether clients are shown it. Its calls are judged, counted and recorded like all others."""

    counts: bool = False
    """Whether it is a milestone. It is the agent's own word: an agent that knows could go on by it alone."""

    @model_validator(mode="after")
    def _both(self) -> Checkpoint:
        if self.counts and not self.offer:
            raise wrong("found counts without offer; expected `offer: true`: what is not offered cannot count")
        return self


class Loops(Section):
    """When repetition counts as a loop."""

    repeat: PositiveInt = 3
    """The same call with the same result, this many times."""

    cycle: Annotated[int, Field(ge=2)] = 8
    """The longest cycle of calls that is looked for."""

    barren: PositiveInt = 8
    """Different calls to one tool that all came back empty or failed."""

    then: Literal["nudge", "deny", "pause"] = "pause"
    """What happens: a hint in the result, a refusal, or waiting for a person."""


class Breaker(Section):
    """When a failing tool is taken off the board for a while."""

    strikes: PositiveInt = 3
    """Failures or junk results since the last good one."""

    open_s: Span = Field(default=60.0, validation_alias="open")
    """How long no call goes through, before one probe may."""


class Retries(Section):
    """The agent's own repeats of a failed call."""

    per_call: NonNegativeInt = 2
    """Repeats of one and the same call."""

    budget: Share = 0.1
    """The share of all calls to a server that may be repeats."""


class Limits(Section):
    """What the wire may ask of this process. Larger messages are refused before they are read whole."""

    body_bytes: Bytes = Field(default=4 * 2**20, validation_alias="body")
    """The body of one HTTP request."""

    frame_bytes: Bytes = Field(default=64_000_000, validation_alias="frame")
    """One message on a pipe."""

    header_bytes: Bytes = Field(default=64_000, validation_alias="headers")
    """All headers of one HTTP request."""

    depth: Annotated[int, Field(ge=8, le=512)] = 128
    """How deep JSON may be nested."""

    sessions: PositiveInt = 10_000
    """HTTP sessions open at once."""

    session_idle_s: Span = Field(default=1800.0, validation_alias="session_idle")
    """How long a session may be silent before it is closed."""

    drain_s: Span = Field(default=8.0, validation_alias="drain")
    """What open calls get at a stop. `docker stop` kills after 10 s, and children and ledger need a little too."""
