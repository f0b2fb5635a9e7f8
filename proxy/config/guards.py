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
    """When repetition counts as a loop: first the model is told with the result, later the call is refused."""

    repeat: Annotated[int, Field(ge=2)] = 3
    """The same call with the same result, this many times since anything that bears on it: told."""

    repeat_stop: Annotated[int, Field(ge=2)] = 5
    """The same, refused: so many of them are not made any more."""

    cycle: Annotated[int, Field(ge=2, le=16)] = 8
    """The longest cycle of calls that is named as one."""

    poll: Annotated[int, Field(ge=2)] = 12
    """The same call while its result is under way, or changes by its numbers alone: told."""

    poll_stop: Annotated[int, Field(ge=2)] = 24
    """The same, refused."""

    barren: Annotated[int, Field(ge=2)] = 8
    """Different calls to one tool that all came back alike empty, failed, or with one and the same long text: told."""

    barren_stop: Annotated[int, Field(ge=2)] = 16
    """The same, refused."""

    drought: Annotated[int, Field(ge=2)] = 12
    """Calls of any tools in a row that came back empty or failed: told; repeats are refused at twice as many."""

    novelty: PositiveInt = 6
    """So few different calls and results ..."""

    novelty_window: Annotated[int, Field(ge=2, le=40)] = 24
    """... among so many in a row: told, and refused after half as many more."""

    cool_off_s: Span = Field(default=10.0, validation_alias="cool_off")
    """How long a refused loop has to wait when the earlier answer was given again in vain; twice that the next time."""

    then: Literal["nudge", "deny", "pause"] = "pause"
    """How far it goes: a hint in the result, refusals too, or waiting for a person in the end."""

    @model_validator(mode="after")
    def _in_order(self) -> Loops:
        for soft in ("repeat", "poll", "barren"):
            if getattr(self, f"{soft}_stop") < getattr(self, soft):
                raise wrong(
                    f"found {soft}_stop {getattr(self, f'{soft}_stop')} below {soft} {getattr(self, soft)}; "
                    "expected at least as much"
                )
        if self.novelty >= self.novelty_window:
            raise wrong("found novelty as large as its window; expected less, or every run is a loop")
        return self


class Health(Section):
    """The breakers that all runs share, of each tool and of each server: only what is the server's fault counts."""

    row: PositiveInt | None = 5
    """Failures in a row, of a tool or (nothing that gets through) of a server. `null` lifts this one."""

    runs: PositiveInt = 2
    """From how many runs they have to come."""

    share: Annotated[Share, Field(gt=0)] | None = 0.5
    """Or this share of a tool's results, ..."""

    least: PositiveInt = 10
    """... where there are at least so many of them ..."""

    within_s: Span = Field(default=60.0, validation_alias="within")
    """... in such a time."""

    tools: Annotated[Share, Field(gt=0)] | None = 0.5
    """A server is cut off as a whole where this share of its active tools is, and more than one."""

    active_s: Span = Field(default=300.0, validation_alias="active")
    """A tool is active that was called in such a time."""

    open_s: Span = Field(default=30.0, validation_alias="open")
    """How long no call goes through, before one probe may; twice that at each opening in a row."""

    longest_s: Span = Field(default=300.0, validation_alias="longest")
    """The longest that it opens, unless the server asks for more (`Retry-After`)."""

    jitter: Share = 0.2
    """By how much these times differ from breaker to breaker, so that not all come back at once."""

    good: PositiveInt = 2
    """Good probes that close it."""


class Breaker(Section):
    """When a failing tool is taken off the board for a while: for one run, and for everybody."""

    strikes: PositiveInt | None = 3
    """Failures or junk results of a tool in one run since its last good one. `null`: no such breaker."""

    open_s: Span = Field(default=60.0, validation_alias="open")
    """How long no call goes through, before one probe may; twice that at each opening in a row."""

    longest_s: Span = Field(default=600.0, validation_alias="longest")
    """The longest that it opens."""

    health: Health | None = Field(default_factory=Health)
    """The shared breakers; `null`: none."""


class Retries(Section):
    """The agent's own repeats of a failed call, an upstream's word to wait, and calls of which nobody knows the end."""

    per_call: NonNegativeInt = 2
    """Repeats of one and the same call after it failed."""

    window_s: Span = Field(default=300.0, validation_alias="window")
    """How long a failure counts for that."""

    budget: Share = 0.1
    """The share of all calls to a server that may be repeats."""

    floor: RateText = Rate(1, 1.0, 2)
    """Repeats that a server gets besides, however few calls there are."""

    pause_s: Span = Field(default=5.0, validation_alias="pause")
    """How long a server that throttles is left alone where it names no time; each time in a row twice as long."""

    longest_pause_s: Span = Field(default=3600.0, validation_alias="longest_pause")
    """The longest pause, whatever the server asks for."""

    unknown: Literal["deny", "ask"] = "deny"
    """What becomes of a repeat while nobody knows whether the first call took effect: a refusal, or a person's word."""

    unknown_for_s: Span = Field(default=3600.0, validation_alias="unknown_for")
    """How long that is remembered."""

    late_s: Span = Field(default=120.0, validation_alias="late")
    """How long the result of a call with effects that was given up is listened for."""


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
