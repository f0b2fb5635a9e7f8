"""What an upstream's tools are: its own definitions, read together with what the operator knows of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from fuseboard import param_headers, sinks
from fuseboard.era import Era
from fuseboard.events import Effect, Mirrored, Schema, Sensitivity, Tool, Trust
from fuseboard.listings import TOOLS
from fuseboard.pins.listed import Pinned, misnamed
from fuseboard.results.patterns import JunkPattern
from fuseboard.routing import Names
from fuseboard.schemas.compiled import compile_schema
from fuseboard.wire import splice


class ToolFacts(Protocol):
    """What the operator knows of one tool (``servers.<alias>.tools.<name>``)."""

    @property
    def effect(self) -> str | None: ...
    @property
    def idempotent(self) -> bool: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def poll_s(self) -> float | None: ...
    @property
    def volatile(self) -> tuple[str, ...]: ...
    @property
    def empty_ok(self) -> bool | None: ...
    @property
    def junk(self) -> tuple[str, ...]: ...
    @property
    def memory(self) -> bool: ...
    @property
    def trust(self) -> str | None: ...
    @property
    def sensitivity(self) -> str | None: ...
    @property
    def outward(self) -> bool | None: ...
    @property
    def opaque(self) -> bool | str: ...
    @property
    def quarantine(self) -> tuple[str, ...]: ...


class ServerFacts(Protocol):
    """What the operator knows of an upstream."""

    @property
    def expose(self) -> tuple[str, ...]: ...
    @property
    def trust(self) -> str: ...
    @property
    def sensitivity(self) -> str: ...
    @property
    def tools(self) -> Mapping[str, Any]: ...


class _Hints(msgspec.Struct):
    readOnlyHint: bool | None = None
    destructiveHint: bool | None = None
    openWorldHint: bool | None = None


_Maybe: TypeAlias = msgspec.Raw | msgspec.UnsetType  # msgspec reads `Raw | None` as None alone


class _Named(msgspec.Struct):
    name: str


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


_PAGES_KEPT: Final = 32
_DEFINITIONS_KEPT: Final = 4096
_UNREADABLE: Final = msgspec.Raw(b'"unreadable"')


class Page(msgspec.Struct, frozen=True):
    """The tools on one page of a list, by name; ``last`` says that no page follows. ``unpinned`` are those of them
    that something stands against.
    """

    tools: Mapping[str, Tool]
    last: bool
    unpinned: tuple[str, ...] = ()


class Definitions:
    """The tool definitions of one upstream, built once each: the same bytes give the same tool, schemas and all.

    Whole pages are kept too, so that a thousand sessions that were shown the same list hold one.
    """

    def __init__(self, alias: str, server: ServerFacts, names: Names, pins: Pinned | None = None) -> None:
        self._alias = alias
        self._server = server
        self._names = names
        self.pins = pins
        self._pinned_at = self.version
        self._built: dict[tuple[Era, bytes], Tool] = {}
        self._pages: dict[tuple[Era, bytes], Page] = {}

    @property
    def version(self) -> int:
        """Another one, and what was built by this one may have been accepted since, or not be so any more."""
        return self.pins.version if self.pins is not None else 0

    def look(self, server: Mapping[str, Any] | None) -> None:
        """Whether another process accepted something since; a listing is the time for that.

        ``server`` is what the upstream says of itself.
        """
        if self.pins is not None:
            self.pins.look(server)

    def page(self, listing: bytes, era: Era = Era.HANDSHAKE) -> Page:
        """Read a ``tools/list`` result, listed in that era.

        Raises:
            msgspec.MsgspecError: it is no list of tools.
        """
        if self._pinned_at != self.version:
            self._pinned_at = self.version
            self._built.clear()
            self._pages.clear()
        if (page := self._pages.get((era, listing))) is None:
            fields = splice.fields(listing)
            tools = [self._build(bytes(raw), era) for raw in splice.items(fields.get("tools") or b"[]")]
            # Of two tools of one name on a page the one that is not accepted counts: both would be shown.
            tools.sort(key=lambda tool: tool is not None and tool.unpinned is not None)
            by_name = {tool.name: tool for tool in tools if tool is not None}
            unpinned = tuple(name for name, tool in by_name.items() if tool.unpinned is not None)
            page = Page(by_name, last="nextCursor" not in fields, unpinned=unpinned)
            if len(self._pages) >= _PAGES_KEPT:
                del self._pages[next(iter(self._pages))]
            self._pages[era, listing] = page
        return page

    def readable(self, listing: bytes, era: Era = Era.HANDSHAKE) -> Page | None:
        """The same, ``None`` where it is no list of tools."""
        try:
            return self.page(listing, era)
        except msgspec.MsgspecError:
            return None

    def again(self, tool: Tool) -> Tool:
        """A tool that something stood against when it was listed: a person may have accepted it meanwhile."""
        if self.pins is None or tool.unpinned is None:
            return tool
        left = self.pins.still(TOOLS.field, tool.name, tool.unpinned)
        return tool if left is tool.unpinned else msgspec.structs.replace(tool, unpinned=left)

    def unlisted(self, name: str) -> Tool:
        """A tool that no listing showed: nothing is known of it but what the operator stated."""
        tool = self._tool(_Definition(name), None)
        against = self.pins.unlisted(name) if self.pins is not None else None
        return tool if against is None else msgspec.structs.replace(tool, unpinned=against)

    def _build(self, raw: bytes, era: Era) -> Tool | None:
        if (tool := self._built.get((era, raw))) is None:
            tool = self._read(raw)
            if tool is not None:
                against = misnamed(TOOLS.field, tool.name)
                if against is None and self.pins is not None:
                    against = self.pins.tool(tool.name, raw, era)
                if against is not None:
                    tool = msgspec.structs.replace(tool, unpinned=against)
                if len(self._built) >= _DEFINITIONS_KEPT:
                    del self._built[next(iter(self._built))]
                self._built[era, raw] = tool
        return tool

    def _read(self, raw: bytes) -> Tool | None:
        try:
            return self._tool(msgspec.json.decode(raw, type=_Definition), raw)
        except msgspec.MsgspecError as fault:
            _log.warning("%s lists a tool that cannot be read: %s", self._alias, fault)
        try:
            name = msgspec.json.decode(raw, type=_Named).name
        except msgspec.MsgspecError:
            return None  # without a name nobody can call it
        # A schema that cannot be read cannot be checked against, so the call is refused, not let through unchecked.
        return self._tool(_Definition(name, inputSchema=_UNREADABLE), raw)

    def _tool(self, definition: _Definition, raw: bytes | None) -> Tool:
        """``raw`` is the definition as it was listed, ``None`` where it was not."""
        known = raw is not None
        facts: ToolFacts | None = self._server.tools.get(definition.name)
        trust = Trust(self._server.trust)
        hints = _hints(definition.annotations)
        stated = _stated(facts)
        outward = sinks.is_outward(facts.outward if facts else None, hints.openWorldHint)
        effect = effect_of(
            facts.effect if facts else None, trust, read_only=hints.readOnlyHint, destructive=hints.destructiveHint
        )
        read_hint = hints.readOnlyHint is True
        mirrored, misdeclared = _mirrored(definition.inputSchema)
        return Tool(
            upstream=self._alias,
            name=definition.name,
            exposed=self._names.exposed(definition.name, listed=known),
            effect=effect,
            idempotent=bool(facts and facts.idempotent),
            cost=(facts.cost if facts else None) or 0.0,
            trust=Trust((facts.trust if facts else None) or trust),
            sensitivity=Sensitivity((facts.sensitivity if facts else None) or self._server.sensitivity),
            outward=outward,
            sink=sinks.is_sink(definition.name, effect, stated, outward=outward, read_hint=read_hint),
            stated=stated,
            arguments=_schema(definition.inputSchema),
            mirrored=mirrored,
            result=_schema(definition.outputSchema),
            known=known,
            hidden=not any(fnmatchcase(definition.name, glob) for glob in self._server.expose),
            misdeclared=misdeclared,
            digest=hashlib.sha256(raw).hexdigest() if raw is not None else "",
            poll_s=facts.poll_s if facts else None,
            volatile=facts.volatile if facts else (),
            empty_ok=facts.empty_ok if facts else None,
            junk=tuple(map(JunkPattern, facts.junk)) if facts else (),
            read_hint=read_hint,
            opaque=_handled(facts.opaque) if facts else "",
            quarantine=tuple(map(JunkPattern, facts.quarantine)) if facts else (),
            memory=bool(facts and facts.memory),
        )


class Catalog:
    """The tools of an upstream as it lists them to one kind of caller: to another it may list others."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._tools: Mapping[str, Tool] = MappingProxyType({})
        self._unpinned: tuple[str, ...] = ()
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
        """A tool that no listing showed."""
        return self._definitions.unlisted(name)

    def changed(self) -> None:
        """The upstream said that its list changed."""
        self.learned_at = None

    def shown(self, page: Page) -> None:
        """What a client was shown on a page: of a definition that changed without a word it is the first to hear.

        As a rule nothing is unpinned, here or there, and there is nothing to compare.
        """
        for name in (*page.unpinned, *self._unpinned):
            known, now = self._tools.get(name), page.tools.get(name)
            if known is not None and now is not None and known.unpinned != now.unpinned:
                self.learned_at = None

    def replace(self, tools: Mapping[str, Tool], *, at: float) -> None:
        """Take in a complete list."""
        self._tools = tools
        self._unpinned = tuple(name for name, tool in tools.items() if tool.unpinned is not None)
        self.learned_at = at


def _mirrored(raw: msgspec.Raw | msgspec.UnsetType) -> tuple[Mapping[tuple[str, ...], Mirrored] | None, str | None]:
    """The arguments that go into headers as well, and what is wrong with the declarations of them, if anything."""
    if raw is msgspec.UNSET or param_headers.KEY.encode() not in bytes(raw):
        return None, None
    try:
        return param_headers.declared(msgspec.json.decode(raw)), None
    except param_headers.Misdeclared as fault:
        return None, str(fault)
    except (msgspec.MsgspecError, RecursionError):
        return None, None


def _stated(facts: ToolFacts | None) -> frozenset[str]:
    """What the operator said of this very tool, of all that the flow rules go by."""
    if facts is None:
        return frozenset()
    said = {"effect": facts.effect, "outward": facts.outward, "trust": facts.trust}
    return frozenset(name for name, value in said.items() if value is not None)


def _handled(stated: bool | str) -> str:
    """Within what a handle is good."""
    return stated if isinstance(stated, str) else "run" if stated else ""


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
