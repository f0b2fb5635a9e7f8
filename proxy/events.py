"""What happened, frozen and in the past tense. Every event carries its own time, so that no policy needs a clock."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import msgspec

from fuseboard.stated import Stated


class Effect(StrEnum):
    """What a tool does to the world. The order is the order of harm."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"


class Trust(StrEnum):
    """Whose words an upstream's results may carry."""

    UNTRUSTED = "untrusted"
    INTERNAL = "internal"
    TRUSTED = "trusted"


class Mismatch(msgspec.Struct, frozen=True):
    """One place where a value breaks a JSON Schema.

    ``path`` is a JSON Pointer into the value (RFC 6901, ``""`` is the whole), ``found`` and ``expected`` are written
    for a reader who has to mend it.
    """

    path: str
    found: str
    expected: str
    keyword: str


class Schema(Protocol):
    """A compiled JSON Schema."""

    @property
    def refusal(self) -> str | None:
        """Why the schema itself cannot be used (a network ``$ref``, too large, not a schema), or ``None``."""
        ...

    def mismatches(self, value: Any) -> tuple[Mismatch, ...]:
        """Where ``value`` breaks the schema, nearest the root first; empty when it fits. Never more than ten."""
        ...


class Junk(Protocol):
    """A pattern that tells junk from results."""

    @property
    def source(self) -> str: ...
    def found(self, text: str) -> bool:
        """Whether it is anywhere in the head of ``text``. Takes time linear in that."""
        ...


class Mirrored(msgspec.Struct, frozen=True):
    """An argument that the upstream wants in a header too: ``Mcp-Param-<token>``. ``type`` is the schema's word."""

    token: str
    type: str


class Tool(msgspec.Struct, frozen=True):
    """A tool as its upstream defined it, with what the operator knows of it."""

    upstream: str
    name: str
    exposed: str
    effect: Effect = Effect.DESTRUCTIVE
    idempotent: bool = False
    trust: Trust = Trust.UNTRUSTED
    arguments: Schema | None = None
    result: Schema | None = None
    known: bool = True
    """Whether the upstream listed it. An unlisted tool is called all the same, with nothing to check it against."""
    mirrored: Mapping[tuple[str, ...], Mirrored] | None = None
    """The arguments that go into HTTP headers as well (``x-mcp-header``), by their path."""
    hidden: bool = False
    """Whether the operator's ``expose`` leaves it out."""
    cost: float = 0.0
    """What one call costs, as the operator declared it."""
    misdeclared: str | None = None
    """What is wrong with its ``x-mcp-header`` declarations, ``None`` where nothing is."""
    digest: str = ""
    """Of its definition, byte for byte: what an approval is bound to. Empty where it was not listed."""
    poll_s: float | None = None
    """How often asking again is normal, as the operator declared it."""
    volatile: tuple[str, ...] = ()
    """Arguments that differ each time and mean nothing, as the operator declared them."""
    empty_ok: bool | None = None
    """Whether an empty result is a good one, as the operator declared it; ``None`` where its history says."""
    junk: tuple[Junk, ...] = ()
    """What no result of it ever says, as the operator declared it."""
    read_hint: bool = False
    """Whether the upstream says that it only reads. That loosens nothing; who counts changes counts fewer by it."""

    @property
    def qualified(self) -> str:
        """``<upstream>__<name>``: what rules match, however the tool is exposed."""
        return f"{self.upstream}__{self.name}"


class Caller(msgspec.Struct, frozen=True):
    """Who is calling, as far as it is known."""

    principal: str
    roles: tuple[str, ...] = ()
    client: str | None = None
    """``name/version`` as the client declared it: a claim, which decides nothing."""


class ToolListed(msgspec.Struct, frozen=True):
    """A tool, prompt or resource is about to be shown to a caller, who would ask for it by ``method``.

    The time decides nothing here: what a caller is shown of a page is judged once, and remembered.
    """

    at: float
    caller: Caller
    tool: Tool
    method: str = "tools/call"


class Ancestor(msgspec.Struct, frozen=True):
    """A call under way that another one stands on: an agent was called as a tool, and calls on."""

    decision: str
    fingerprint: str
    upstream: str
    tool: str
    """``<upstream>__<name>``."""
    run: str = ""


class Finding(msgspec.Struct, frozen=True):
    """What a result really was, and what says so.

    ``weight`` is how much it counts as a failure of the tool, from 0 (none) to 1. ``whose`` fault it is: ``upstream``,
    ``caller`` or, where it is nobody's, empty. ``retry_after_s`` is what a throttling upstream asked for.
    """

    truth: str
    weight: float = 0.0
    whose: str = ""
    evidence: tuple[str, ...] = ()
    retry_after_s: float | None = None
    digest: str = ""
    """Of what was said, with what changes each time (times, ids, durations) left out; empty where nothing was."""
    skeleton: str = ""
    """The same with all numbers taken for one: equal where only a count went on."""
    pending: bool = False
    """Whether the result itself says that it is not there yet, and to ask again."""
    shape: str = ""
    """``json:`` with its top-level keys, ``list``, ``html``, ``text`` or ``other``; empty where nothing was seen."""


class CallProposed(msgspec.Struct, frozen=True):
    """A governed request waits for judgement: ``tools/call``, ``prompts/get`` or ``resources/read``.

    ``at`` is Unix seconds. For ``prompts/get`` and ``resources/read`` the tool's name is the prompt's name or the
    resource's URI, and there is no schema.
    """

    at: float
    id: str
    run: str
    method: str
    caller: Caller
    tool: Tool
    arguments: Mapping[str, Any] = msgspec.field(default_factory=dict)
    continues: str | None = None
    """The decision of the first round, where this is a later one of one logical call (2026-07-28, ``requestState``)."""
    answers: Mapping[str, Any] | None = None
    """The ``inputResponses`` that came with it: what the client's side said when it was asked."""
    timeout_s: float = 600.0
    """When the call is given up, from ``at``."""
    depth: int = 0
    """How many calls under way this one stands on: agents that are called as tools call on."""
    root: str | None = None
    """The run at the bottom of those calls, ``None`` where it is this one."""
    parent: str | None = None
    """The decision of the call that it stands on."""
    signed: bool = False
    """Whether the run was named by a token that the operator signed. All other names are the agent's own claims."""
    stated: Stated | None = None
    """The limits that such a token states in place of the configured ones."""
    kept_s: float = 1_209_600.0
    """How long what is known of the run outlives its last call."""
    fingerprint: str = ""
    """Of tool and arguments, with what changes each time left out: the same for the same call asked again."""
    ancestors: tuple[Ancestor, ...] = ()
    """The calls that it stands on, the nearest first."""
    inferred: bool = False
    """Whether nothing named the run, so that calls of another client may count for it."""


class CallReturned(msgspec.Struct, frozen=True):
    """The upstream answered a proposal. ``result`` is the parsed result object, ``None`` where it was an error."""

    at: float
    proposal: CallProposed
    truth: str
    result: Mapping[str, Any] | None = None
    result_bytes: int = 0
    """The size of the result as it came."""
    late: bool = False
    """Whether it is what came of a task: the call itself was settled when the task began."""
    finding: Finding | None = None
    """What it really was, where that was looked into; ``truth`` is its word."""
    shared: str = ""
    """The decision of the call that was really made, where this one was given that one's result: the upstream was not
    asked twice, and what it did counts once."""
    goes_on: bool = False
    """Whether its own caller gave it up while others wait for its result: the upstream is at work on it still."""


Event: TypeAlias = ToolListed | CallProposed | CallReturned
