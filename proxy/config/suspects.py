"""What upstreams' definitions try on whoever reads them: for ``check --connect``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from fuseboard import shadowing
from fuseboard.cleaning import characters
from fuseboard.cleaning.fields import Kind, Root
from fuseboard.cleaning.tokens import document
from fuseboard.config.findings import Finding
from fuseboard.config.models import Config
from fuseboard.events import Tool
from fuseboard.pins.lock import WORDS

_TOOLS = "tools"


class Probe(Protocol):
    """What asking one upstream brought to light. ``definitions`` are by the field of their list."""

    @property
    def alias(self) -> str: ...
    @property
    def tools(self) -> Sequence[Tool]: ...
    @property
    def definitions(self) -> Mapping[str, Sequence[tuple[str, bytes]]]: ...


def suspects(config: Config, probes: Sequence[Probe]) -> Iterator[Finding]:
    """Names in disguise, text that hides, text that nobody would read, and words about another server's tools."""
    for probe in probes:
        for field, items in probe.definitions.items():
            for name, raw in items:
                for what in _of_text(raw, config.pins.max_description_bytes):
                    yield _found(config, probe.alias, f"the {WORDS[field]} {name!a}: {what}")
    for hint in shadowing.hints({probe.alias: _exposed(probe) for probe in probes}):
        yield _found(config, hint.alias, f"the tool {hint.tool!a}: {hint.what}; {hint.remedy}")


def _found(config: Config, alias: str, message: str) -> Finding:
    return config.finding(("servers", alias), message, on_key=True)


def _exposed(probe: Probe) -> list[tuple[str, str, bytes]]:
    exposed = {tool.name: tool.exposed for tool in probe.tools if not tool.hidden}
    return [(name, exposed[name], raw) for name, raw in probe.definitions.get(_TOOLS, ()) if name in exposed]


def _of_text(raw: bytes, most_bytes: int) -> Iterator[str]:
    for text in document(raw, Root.LIST).texts:
        place = text.place or "/"
        _, removed = characters.cleaned(text.was)
        if count := sum(removed.counts.values()):
            kinds = ", ".join(removed.counts)
            yield f"{place} holds {count} characters that nobody sees ({kinds}); they are taken out where it is shown"
        if not text.is_key and text.kind is Kind.TEXT and text.end - text.start > most_bytes:
            yield f"{place} has {text.end - text.start:,} bytes; more than {most_bytes:,} are cut where it is shown"
