"""What happened, frozen and in the past tense. Every event carries its own time, so that no policy needs a clock."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
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


class Sensitivity(StrEnum):
    """Whose eyes an upstream's results are meant for. The order is the order of harm when others see them."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SECRET = "secret"


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


class Standing(StrEnum):
    """What stands against a definition."""

    NEW = "new"
    """Nobody accepted one of that name."""
    CHANGED = "changed"
    """Another one of that name was accepted."""
    MISNAMED = "misnamed"
    """Its name is not what it looks like."""


class Unpinned(msgspec.Struct, frozen=True):
    """A definition that nobody accepted as it is now. ``word`` says of what: a tool, a prompt, a resource template.

    ``what`` changed is told in our own words. ``digest`` is that of its canonical form.
    """

    standing: Standing
    word: str = "tool"
    what: str = ""
    digest: str = ""


class Tool(msgspec.Struct, frozen=True, dict=True):
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
    memory: bool = False
    """Whether it gives back later what it was given, as the operator declared it."""
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    """Whose eyes its results are meant for, as the operator declared it."""
    outward: bool = False
    """Whether a call may reach somebody outside: by the operator's word, or by the upstream's, which only tightens."""
    sink: bool = False
    """Whether its arguments are looked at for what was copied from results: see ``sinks``."""
    stated: frozenset[str] = frozenset()
    """What the operator stated of this very tool of ``effect``, ``outward`` and ``trust``."""
    opaque: str = ""
    """Whether the model gets a handle in place of its results, good within the ``run`` or for the ``principal``."""
    quarantine: tuple[Junk, ...] = ()
    """What goes to a person first where a result says it, as the operator declared it."""

    unpinned: Unpinned | None = None
    """What stands against its definition, or, of a resource, that of its template; ``None`` where it is accepted."""

    origin: str = ""
    """``<upstream>__<name>`` of the tool whose words its results are, where those come out of our own vault."""

    @property
    def source(self) -> str:
        """The upstream whose words its results are: nearly always its own."""
        return self.origin.partition("__")[0] or self.upstream

    @cached_property
    def qualified(self) -> str:
        """``<upstream>__<name>``: what rules match, however the tool is exposed. Asked for a dozen times a call."""
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


class Substituted(msgspec.Struct, frozen=True):
    """An argument that was a handle of ours: what it stands for took its place before anything was judged.

    ``path`` is a JSON Pointer into the arguments. ``fault`` says why there is nothing it stands for here, and is empty
    where there is; then the rest says where that came from.
    """

    path: str
    handle: str
    fault: str = ""
    decision: str = ""
    upstream: str = ""
    tool: str = ""
    trust: Trust = Trust.UNTRUSTED
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    size_bytes: int = 0


class CleanArguments(msgspec.Struct, frozen=True):
    """What is left of a call's arguments, and of the answers that came with it, once they were cleaned.

    ``facts`` say what went, how often and where; they quote nothing of it.
    """

    arguments: Mapping[str, Any]
    answers: Mapping[str, Any] | None
    facts: Mapping[str, Any]


class Copied(msgspec.Struct, frozen=True):
    """An argument that was copied from a result which was delivered before.

    ``path`` is a JSON Pointer into the arguments, ``head`` how the copied text begins, ``how`` it was found: ``whole``,
    ``part`` (an address or the like inside a longer text) or ``passage``. ``excuse`` says why that is no flow, and is
    empty where nothing does.
    """

    path: str
    head: str
    how: str
    length: int
    decision: str
    upstream: str
    tool: str
    delivered_at: float = 0.0
    excuse: str = ""


class Traced(msgspec.Struct, frozen=True):
    """Where a call and its arguments come from. Only calls that this may matter for carry it.

    ``labels`` are the words of the run's label and of those that it acts for. ``open`` are the arguments that neither
    the run's task nor the operator named. ``lost`` are sources whose texts are not kept any more, so that nobody can
    say what was copied from them.
    """

    trust: str = "trusted"
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    labels: tuple[str, ...] = ()
    copied: tuple[Copied, ...] = ()
    open: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    private: str = ""
    """``<upstream>__<tool>`` of the first result that was not public."""
    doubted: str = ""
    """The same of the first that was untrusted."""


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
    clean: CleanArguments | None = None
    """What cleaning leaves of the arguments, ``None`` where there was nothing to clean."""
    handles: tuple[Substituted, ...] = ()
    """The arguments that came as handles. What they stand for is in ``arguments``, and no word of it goes back."""
    traced: Traced | None = None
    """Where its arguments come from, ``None`` where nobody asks: the call goes nowhere that matters."""


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
    suspect: str = ""
    """The operator's pattern by which the result goes to a person first, empty where none fits."""
    phrases: tuple[str, ...] = ()
    """The phrases that it says by which results try to give orders, where they are looked for."""


Event: TypeAlias = ToolListed | CallProposed | CallReturned
