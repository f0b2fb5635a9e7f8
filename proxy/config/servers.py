"""``servers:``: the tool servers, in the fields of any ``mcpServers`` block, with what the operator knows of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Tag,
)

from fuseboard.config.findings import did_you_mean
from fuseboard.config.guards import SharedLimits
from fuseboard.config.locking import ToolLocks, Wait
from fuseboard.config.secrets import Referred, Secret, Text
from fuseboard.config.section import LocalPath, Section, Words
from fuseboard.config.units import Duration, wrong
from fuseboard.results.patterns import JunkPattern, Unusable

IGNORED = ("alwaysAllow", "autoApprove", "description", "disabled")
"""Keys of other clients' blocks that change nothing here: they are read over, with a note."""

_ALIAS = re.compile(r"[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*")
_LONGEST_ALIAS = 32


def _junk(pattern: str) -> str:
    try:
        return JunkPattern(pattern).source
    except Unusable as fault:
        raise wrong(f"found the pattern {fault}") from None


class ToolFacts(Section):
    """What the operator knows of one tool. The upstream's own hints can only tighten it."""

    effect: Literal["read", "write", "destructive"] | None = None
    """What a call does to the world; left out, it is destructive, unless the server is trusted and hints at less."""

    idempotent: bool = False
    """Whether a second identical call changes nothing more, so that it may be tried again."""

    timeout_s: Annotated[Duration, Field(gt=0)] | None = Field(default=None, validation_alias="timeout")
    """How long one call may take; left out, as long as the server's `timeout`."""

    idle_timeout_s: Annotated[Duration, Field(gt=0)] | None = Field(default=None, validation_alias="idle_timeout")
    """How long the server may be silent about a call; left out, the server's `idle_timeout`."""

    lock: ToolLocks = ()
    """What a call needs for itself alone, such as `file:{args.path}`, or a list of such."""

    poll_s: Annotated[Duration, Field(gt=0)] | None = Field(default=None, validation_alias="poll")
    """How often asking again is normal, for a tool that is polled."""

    volatile: Words = ()
    """Arguments that differ each time and mean nothing, such as a request id: without them calls are compared."""

    empty_ok: bool | None = None
    """Whether an empty result is a good one; left out, it is unless the tool hardly ever gave one."""

    junk: tuple[Annotated[str, AfterValidator(_junk)], ...] = ()
    """Regular expressions for what no good result says, such as `(?i)under maintenance`."""

    opaque: Literal["principal"] | bool = False
    """Whether the model gets a handle in place of the results, and passes that on; `principal`: across its runs."""

    quarantine: tuple[Annotated[str, AfterValidator(_junk)], ...] = ()
    """Regular expressions for what a person has to look at before the model gets it, such as `(?i)ignore previous`."""

    cost: NonNegativeFloat | None = None
    """What one call costs, in the money of `run.money`."""

    trust: Literal["untrusted", "internal", "trusted"] | None = None
    """Whose words its results may carry; left out, as the server's `trust` says."""

    sensitivity: Literal["public", "internal", "secret"] | None = None
    """Whose eyes its results are meant for; left out, as the server's `sensitivity` says."""

    outward: bool | None = None
    """Whether a call reaches somebody outside, by a mail, a payment or a visit; left out, if its server says so."""

    memory: bool = False
    """Whether the tool stores what it is given and gives it back later, so that labels follow the data through it."""


class _Upstream(Section):
    expose: Words = ("*",)
    """Globs over the server's own tool names: what clients get to see."""

    trust: Literal["untrusted", "internal", "trusted"] = "untrusted"
    """Whose words the results may carry: anyone's, the house's own, or those of a source relied upon."""

    sensitivity: Literal["public", "internal", "secret"] = "public"
    """Whose eyes the results are meant for: anyone's, the house's, or only a few people's."""

    spotlight: Literal["none", "delimit", "datamark"] | None = None
    """For an untrusted server, how its texts are set apart; left out, as `output.spotlight` says."""

    tools: dict[str, ToolFacts] = Field(default_factory=dict)
    """What is known of single tools, by their name at the server."""

    limits: SharedLimits | None = None
    """What all runs together may use of it in one window."""

    share: Literal["all"] | None = None
    """`all`: one session for all callers, the operator's word that the server keeps no state between them."""

    bridge: bool = True
    """Whether clients of the other protocol era are served; without, they are told to use the server's own."""

    agent: bool = False
    """Whether it is an agent that may call tools through this proxy itself: its calls draw on its caller's run."""

    timeout_s: Annotated[Duration, Field(gt=0)] | None = Field(default=None, validation_alias="timeout")
    """How long one call may take; left out, 10m."""

    idle_timeout_s: Annotated[Duration, Field(gt=0)] | None = Field(default=None, validation_alias="idle_timeout")
    """How long the server may be silent about a call: no progress, no message; left out, all along."""

    parallel: PositiveInt | None = 64
    """Calls under way at once, of all runs together; those of an agent that was called count apart."""

    queue: NonNegativeInt = 64
    """Calls that may wait for their turn when it is busy. Past that the newest of the run with the most goes first."""

    queue_wait_s: Wait = Field(default=5.0, validation_alias="queue_wait")
    """How long one waits for its turn before it is refused."""


class StdioServer(_Upstream):
    """A server that is started as a child process and speaks over its pipes."""

    command: Annotated[Text, Field(min_length=1)]
    """The program, looked up on the PATH."""

    args: tuple[Text, ...] = ()
    """Its arguments."""

    env: dict[str, Secret] = Field(default_factory=dict)
    """Environment variables for it, besides the few that every program needs. It inherits nothing else."""

    cwd: LocalPath | None = None
    """The folder that it runs in; relative to the configuration file."""

    type: Literal["stdio"] = "stdio"
    """The transport, as other clients' files spell it out."""


def _transport(value: Any) -> Any:
    return "http" if value in ("streamable-http", "streamableHttp", "streamable_http") else value


def _url(value: str) -> str:
    shown = value.written if isinstance(value, Referred) else value
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole:
        raise wrong(f"found {shown!r}, which is not a web address; write it like https://host/mcp")
    return value


class HttpServer(_Upstream):
    """A server that is reached over HTTP."""

    url: Annotated[Text, AfterValidator(_url)]
    """Its MCP endpoint."""

    headers: dict[str, Secret] = Field(default_factory=dict)
    """Headers for every request to it."""

    type: Annotated[Literal["http", "sse"], BeforeValidator(_transport)] = "http"
    """`http` is Streamable HTTP, `sse` the older transport of two endpoints."""


def kind_of(value: Any) -> str | None:
    """Tells the two apart before validation, so that one mistake gives one error and not one for each kind."""
    if isinstance(value, _Upstream):
        return "<http>" if isinstance(value, HttpServer) else "<stdio>"
    if not isinstance(value, dict):
        return None
    if "command" in value:
        return "<stdio>"
    if "url" in value:
        return "<http>"
    if (kind := _transport(value.get("type"))) in ("stdio", "http", "sse"):
        return "<stdio>" if kind == "stdio" else "<http>"
    # Neither is there: what was misspelt, or what stands around it, tells what was meant.
    for key in value:
        if key in ("args", "cwd", "env") or did_you_mean(key, ["command"]):
            return "<stdio>"
        if key == "headers" or did_you_mean(key, ["url"]):
            return "<http>"
    return None


def _alias(name: str) -> str:
    if _ALIAS.fullmatch(name) and len(name) <= _LONGEST_ALIAS:
        return name
    raise wrong(
        f"found the name {name!r}; a server's name has letters, digits, '-' and single '_' inside, "
        f"at most {_LONGEST_ALIAS} - how about '{alias_of(name)}'?"
    )


def alias_of(text: str) -> str:
    """A name that a server may have, as near to ``text`` as can be; ``server`` where nothing is left of it."""
    alias = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_-]+", "-", text)).strip("_-")
    return alias[:_LONGEST_ALIAS].strip("_-") or "server"


Alias = Annotated[str, AfterValidator(_alias)]
Server: TypeAlias = Annotated[
    Annotated[StdioServer, Tag("<stdio>")] | Annotated[HttpServer, Tag("<http>")],
    Discriminator(
        kind_of,
        custom_error_type="fuseboard",
        custom_error_message="found neither `command` nor `url`; a server is started by a command or reached at a url",
    ),
]
