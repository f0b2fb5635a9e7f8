"""The whole configuration as one frozen value. Its keys are a contract with the outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from fuseboard.checkpoint import UPSTREAM
from fuseboard.config.auth import Auth
from fuseboard.config.conduct import Approvals, Output, Pins, Quarantine, Store, StoreChoice, Trace
from fuseboard.config.document import Document, Path
from fuseboard.config.findings import Finding, dotted
from fuseboard.config.flowing import Flow
from fuseboard.config.guards import (
    Breaker,
    Checkpoint,
    Limits,
    Loops,
    Milestone,
    PrincipalLimits,
    Retries,
    RunLimits,
)
from fuseboard.config.identity import Identity
from fuseboard.config.locking import Locks
from fuseboard.config.rules import Decision, Rule
from fuseboard.config.secrets import Referred, worth_hiding
from fuseboard.config.section import LocalPath, OneOrMany, Section
from fuseboard.config.servers import Alias, HttpServer, Server
from fuseboard.config.units import wrong


class Config(Section):
    """What Fuseboard is told. Every key but `servers` is optional."""

    version: Literal[1] = 1
    """The version of this format."""

    mode: Literal["enforce", "observe"] = "enforce"
    """`observe` decides and records everything, and lets everything through."""

    servers: Annotated[dict[Alias, Server], Field(min_length=1)]
    """The tool servers, by the name under which their tools are shown."""

    run: RunLimits = Field(default_factory=RunLimits)
    """Limits of one agent run."""

    principal: PrincipalLimits = Field(default_factory=PrincipalLimits)
    """Limits of all unsigned runs of one principal together."""

    identity: Identity = Field(default_factory=Identity)
    """How the run is found that a request belongs to."""

    milestones: tuple[Milestone, ...] = ()
    """What counts as reaching a goal."""

    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    """A tool of our own by which an agent reports its progress."""

    loops: Loops | None = Field(default_factory=Loops)
    """When repetition counts as a loop, and what happens then."""

    breaker: Breaker = Field(default_factory=Breaker)
    """When a failing tool is taken off the board."""

    retries: Retries = Field(default_factory=Retries)
    """How often a failed call may be repeated."""

    locks: Locks = Field(default_factory=Locks)
    """How calls wait for what others work upon."""

    rules: tuple[Rule, ...] = ()
    """Permissions. Their order never matters: deny, then ask, then allow."""

    cedar: Annotated[tuple[LocalPath, ...], OneOrMany()] = ()
    """Files of Cedar policies that hold besides the rules; relative to the configuration file."""

    default: Decision = "allow"
    """What happens to a call that no rule matches."""

    approvals: Approvals = Field(default_factory=Approvals)
    """How a person is asked."""

    output: Output = Field(default_factory=Output)
    """What results may carry to the model."""

    flow: Flow = Field(default_factory=Flow)
    """How data may flow from results into later calls."""

    quarantine: Quarantine = Field(default_factory=Quarantine)
    """What the model did not get."""

    pins: Pins = Field(default_factory=Pins)
    """What happens when a tool's definition changes."""

    trace: Trace = Field(default_factory=Trace)
    """What the ledger keeps."""

    store: Store = Field(default_factory=StoreChoice)
    """Where run state and the ledger live."""

    auth: Auth | None = None
    """Who may connect over HTTP; without it, only loopback is bound."""

    hosts: Annotated[tuple[str, ...], OneOrMany()] = ()
    """Names by which the HTTP listener is reached, besides loopback and the address that is bound: `mcp.example`."""

    limits: Limits = Field(default_factory=Limits)
    """What the wire may ask of this process."""

    _document: Document | None = PrivateAttr(None)
    _notes: tuple[str, ...] = PrivateAttr(())
    _cedar_sources: tuple[tuple[str, str], ...] = PrivateAttr(())

    @field_validator("checkpoint")
    @classmethod
    def _has_its_name(cls, checkpoint: Checkpoint, info: ValidationInfo) -> Checkpoint:
        if checkpoint.offer and UPSTREAM in info.data.get("servers", ()):
            raise wrong(f"found a server named '{UPSTREAM}'; expected another name for it: the tool needs that one")
        return checkpoint

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must never be seen, longest first: for whoever redacts. In no dump and no ``repr``."""
        return worth_hiding(_parts(self))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read over in the file, and why: ``servers.x.autoApprove: …``."""
        return self._notes

    @property
    def cedar_sources(self) -> tuple[tuple[str, str], ...]:
        """Name and text of each file of ``cedar``, as they were when the configuration was loaded."""
        return self._cedar_sources

    def finding(self, path: Path, message: str, *, on_key: bool = False) -> Finding:
        """A finding about ``path`` of this configuration, with its place where it came from a file."""
        if self._document is None:
            return Finding("", 0, 0, dotted(path), message)
        return self._document.finding(path, message, on_key=on_key)


def _parts(config: Config) -> Iterator[str]:
    for server in config.servers.values():
        named = server.headers if isinstance(server, HttpServer) else server.env
        texts = (server.url,) if isinstance(server, HttpServer) else (server.command, *server.args)
        for name, secret in named.items():
            yield from secret.parts(name)
        for text in texts:
            yield from text.parts if isinstance(text, Referred) else ()
    for bearer in config.auth.bearer.values() if config.auth else ():
        yield bearer.token.reveal()
    webhook = config.approvals.webhook
    yield from (webhook.secret.reveal(),) if webhook.secret else ()
    yield from webhook.url.parts if isinstance(webhook.url, Referred) else ()
    location = config.store.location
    if isinstance(location, Referred):
        yield from location.parts
    elif location and "://" in location:
        yield urlsplit(location).password or ""
