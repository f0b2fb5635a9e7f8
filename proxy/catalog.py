"""What an upstream's tools are: its own definitions, read together with what the operator knows of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeAlias

import msgspec

from fuseboard.events import Effect, Schema, Tool, Trust
from fuseboard.routing import Names
from fuseboard.schemas.compiled import compile_schema
from fuseboard.wire import splice


class ToolFacts(Protocol):
    """What the operator knows of one tool (``servers.<alias>.tools.<name>``)."""

    @property
    def effect(self) -> str | None: ...
    @property
    def idempotent(self) -> bool: ...


class ServerFacts(Protocol):
    """What the operator knows of an upstream."""

    @property
    def expose(self) -> tuple[str, ...]: ...
    @property
    def trust(self) -> str: ...
    @property
    def tools(self) -> Mapping[str, Any]: ...


class _Hints(msgspec.Struct):
    readOnlyHint: bool | None = None
    destructiveHint: bool | None = None


_Maybe: TypeAlias = msgspec.Raw | msgspec.UnsetType  # msgspec reads `Raw | None` as None alone


class _Definition(msgspec.Struct):
    """Never ``Raw | None``: msgspec takes that for ``None`` alone and refuses everything else."""

    name: str
    inputSchema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    outputSchema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    annotations: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_log = logging.getLogger("fuseboard.catalog")

_HARM = {Effect.READ: 0, Effect.WRITE: 1, Effect.DESTRUCTIVE: 2}


def effect_of(stated: str | None, trust: Trust, *, read_only: bool | None, destructive: bool | None) -> Effect:
    """What a tool does to the world: the operator's word, tightened by the upstream's hints.

    Hints come from the upstream and may lie, so they never loosen, unless the operator trusts the upstream. What nobody
    stated is destructive, the specification's own default (2025-11-25, ToolAnnotations).
    """
    if stated is not None:
        return max(Effect(stated), _warned(read_only, destructive), key=_HARM.__getitem__)
    return _promised(read_only, destructive) if trust is Trust.TRUSTED else Effect.DESTRUCTIVE


def _warned(read_only: bool | None, destructive: bool | None) -> Effect:
    """The harm that the hints speak of; what they leave out warns of nothing."""
    if read_only:
        return Effect.READ
    if destructive:
        return Effect.DESTRUCTIVE
    return Effect.READ if read_only is None and destructive is None else Effect.WRITE


def _promised(read_only: bool | None, destructive: bool | None) -> Effect:
    """The harm that the hints leave possible; what they leave out promises nothing."""
    if read_only:
        return Effect.READ
    return Effect.WRITE if destructive is False else Effect.DESTRUCTIVE


class Catalog:
    """The tools of one upstream in one era, as far as listings showed them."""

    def __init__(self, alias: str, server: ServerFacts, names: Names) -> None:
        self._alias = alias
        self._server = server
        self._names = names
        self._tools: dict[str, Tool] = {}
        self._built: dict[bytes, Tool] = {}
        self._seen: bytes | None = None
        self.learned_at: float | None = None
        """When the last listing was learned (Unix seconds), ``None`` before the first and after a change notice."""

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(self._tools.values())

    def find(self, name: str) -> Tool | None:
        """The tool of that name (the upstream's own), or ``None`` where no listing showed it."""
        return self._tools.get(name)

    def unlisted(self, name: str) -> Tool:
        """A tool that no listing showed: nothing is known of it but what the operator stated."""
        return self._tool(_Definition(name), known=False)

    def changed(self) -> None:
        """The upstream said that its list changed."""
        self.learned_at = None

    def learn(self, listing: bytes, *, at: float, first_page: bool) -> None:
        """Take in a ``tools/list`` result. What is no list of tools teaches nothing.

        A listing that is all on its first page replaces what was known; further pages add to it.
        """
        self.learned_at = at
        if first_page and listing == self._seen:
            return
        try:
            page = splice.fields(listing)
            tools = [self._build(bytes(raw)) for raw in splice.items(page.get("tools") or b"[]")]
        except msgspec.MsgspecError:
            return
        whole = first_page and "nextCursor" not in page
        if whole:
            self._tools.clear()
        self._tools.update({tool.name: tool for tool in tools if tool is not None})
        self._seen = listing if whole else None
        self._forget_former()

    def _build(self, raw: bytes) -> Tool | None:
        """Built once per definition: the same bytes give the same tool, and so the same compiled schemas."""
        if (tool := self._built.get(raw)) is None:
            try:
                definition = msgspec.json.decode(raw, type=_Definition)
            except msgspec.MsgspecError as fault:
                _log.warning("%s lists a tool that cannot be read (%s); it is called unchecked", self._alias, fault)
                return None
            tool = self._built[raw] = self._tool(definition, known=True)
        return tool

    def _forget_former(self) -> None:
        """A definition that changes for ever must not fill the memory; those in use stay."""
        if len(self._built) > 2 * len(self._tools) + 256:
            self._built = {raw: tool for raw, tool in self._built.items() if self._tools.get(tool.name) is tool}

    def _tool(self, definition: _Definition, *, known: bool) -> Tool:
        facts: ToolFacts | None = self._server.tools.get(definition.name)
        trust = Trust(self._server.trust)
        hints = _hints(definition.annotations)
        return Tool(
            upstream=self._alias,
            name=definition.name,
            exposed=self._names.exposed(definition.name),
            effect=effect_of(
                facts.effect if facts else None,
                trust,
                read_only=hints.readOnlyHint,
                destructive=hints.destructiveHint,
            ),
            idempotent=bool(facts and facts.idempotent),
            trust=trust,
            arguments=_schema(definition.inputSchema),
            result=_schema(definition.outputSchema),
            known=known,
            hidden=not any(fnmatchcase(definition.name, glob) for glob in self._server.expose),
        )


def _schema(raw: msgspec.Raw | msgspec.UnsetType) -> Schema | None:
    """``null`` is what some servers write for "none"."""
    if raw is msgspec.UNSET or bytes(raw) == b"null":
        return None
    return compile_schema(bytes(raw))


def _hints(annotations: msgspec.Raw | msgspec.UnsetType) -> _Hints:
    if annotations is msgspec.UNSET:
        return _Hints()
    try:
        return msgspec.json.decode(annotations, type=_Hints)
    except msgspec.MsgspecError:
        return _Hints()
