"""What the upstreams' own answers say about the configuration: for ``check --connect``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

from fuseboard.config.findings import Finding, did_you_mean
from fuseboard.config.lint import could_match, matches
from fuseboard.config.models import Config
from fuseboard.config.suspects import suspects
from fuseboard.events import Tool


class Probe(Protocol):
    """What asking one upstream brought to light. ``tools`` are all that it listed."""

    @property
    def alias(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def error(self) -> str | None: ...
    @property
    def era(self) -> str | None: ...
    @property
    def server(self) -> Mapping[str, Any] | None: ...
    @property
    def tools(self) -> Sequence[Tool]: ...
    @property
    def definitions(self) -> Mapping[str, Sequence[tuple[str, bytes]]]: ...


def survey(config: Config, probes: Sequence[Probe]) -> list[Finding]:
    """What is unreachable, what matches nothing, what cannot be used.

    A glob counts as matching nothing only where every server that it could speak of was reached.
    """
    findings: list[Finding] = []
    for probe in probes:
        if probe.ok:
            findings += [*_idle_globs(config, probe), *_unknown_facts(config, probe), *_unfit_tools(config, probe)]
        else:
            where = ("servers", probe.alias)
            findings.append(config.finding(where, f"cannot be reached: {probe.error}", on_key=True))
    return [*findings, *suspects(config, probes), *_idle_rules(config, probes)]


def _idle_globs(config: Config, probe: Probe) -> Iterator[Finding]:
    for index, glob in enumerate(config.servers[probe.alias].expose):
        if glob != "*" and not any(fnmatchcase(tool.name, glob) for tool in probe.tools):
            message = f"found '{glob}', which matches none of the {len(probe.tools)} tools of {probe.alias}"
            yield config.finding(("servers", probe.alias, "expose", index), message)


def _unknown_facts(config: Config, probe: Probe) -> Iterator[Finding]:
    names = [tool.name for tool in probe.tools]
    for name in config.servers[probe.alias].tools:
        if name not in names:
            near = did_you_mean(name, names)
            message = f"{probe.alias} has no such tool" + (f" - did you mean '{near}'?" if near else "")
            yield config.finding(("servers", probe.alias, "tools", name), message, on_key=True)


def _unfit_tools(config: Config, probe: Probe) -> Iterator[Finding]:
    where = ("servers", probe.alias)
    for tool in probe.tools:
        if tool.exposed not in (tool.name, tool.qualified):
            message = f"the name {tool.qualified} is too long or not portable; it is shown as {tool.exposed}"
            yield config.finding(where, message, on_key=True)
        for which, schema in (("input", tool.arguments), ("output", tool.result)):
            if schema is not None and schema.refusal:
                message = f"the {which} schema of {tool.name} cannot be used: {schema.refusal}"
                yield config.finding(where, message, on_key=True)


def _idle_rules(config: Config, probes: Sequence[Probe]) -> Iterator[Finding]:
    names = [name for probe in probes for tool in probe.tools for name in (tool.qualified, tool.exposed)]
    reached = {probe.alias for probe in probes if probe.ok}
    for number, rule in enumerate(config.rules):
        for index, glob in enumerate(rule.tools):
            spoken_of = {alias for alias in config.servers if could_match(config, glob, alias)}
            # A glob that speaks of no server at all was found without asking anybody.
            if spoken_of and spoken_of <= reached and not any(matches(glob, name) for name in names):
                message = f"found '{glob}', which matches no tool; rule {rule.id} does nothing by it"
                yield config.finding(("rules", number, "tools", index), message)
