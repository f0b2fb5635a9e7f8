"""What is valid and yet cannot be meant: rules and milestones that speak of servers which are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from fuseboard.checkpoint import UPSTREAM
from fuseboard.config.document import Path
from fuseboard.config.findings import Finding, did_you_mean
from fuseboard.config.models import Config
from fuseboard.config.rules import Rule

SEPARATOR = "__"


class RuleFinding(Protocol):
    """What the compiler of rules says: ``rule`` is a rule's id or the name of a Cedar file.

    ``column`` counts from 1, within the rule's ``when`` or the file's ``line``.
    """

    @property
    def rule(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def line(self) -> int | None: ...
    @property
    def column(self) -> int | None: ...


def lint(config: Config) -> tuple[Finding, ...]:
    """Findings that need no upstream to be asked."""
    return tuple(_lint(config))


def placed(config: Config, said: RuleFinding) -> Finding:
    """What the compiler of rules said, at its place in the configuration or in the Cedar file."""
    for name, text in config.cedar_sources:
        if said.rule == name:
            lines = text.splitlines()
            line = lines[said.line - 1] if said.line and said.line <= len(lines) else ""
            return Finding(name, said.line or 0, said.column or 1, "", said.message, line)
    for index, rule in enumerate(config.rules):
        if rule.id == said.rule:
            finding = config.finding(("rules", index, "when" if said.column else "id"), said.message)
            return _shifted(finding, (said.column or 1) - 1)
    return config.finding(("cedar",), f"{said.rule}: {said.message}")


def _shifted(finding: Finding, columns: int) -> Finding:
    """The finding, further along in the text that starts at its place; a block text starts on the next line."""
    start = finding.source[finding.column - 1 :]
    if start.startswith(("|", ">")) or columns == 0:
        return finding
    return replace(finding, column=finding.column + columns + start.startswith(("'", '"')))


def matches(glob: str, text: str) -> bool:
    """Whether a rule's glob covers a text; ``*`` is its only wildcard, as in Cedar."""
    return re.fullmatch(".*".join(map(re.escape, glob.split("*"))), text, re.DOTALL) is not None


def could_match(config: Config, glob: str, alias: str) -> bool:
    """Whether a rule's glob could cover anything of the server ``alias``.

    Rules see ``<server>__<name>``, and the name under which a tool is shown: a single server's are shown bare.
    """
    if len(config.servers) == 1:
        return True
    literal, star, _ = glob.partition("*")
    prefix = alias + SEPARATOR
    return literal.startswith(prefix) or (bool(star) and prefix.startswith(literal))


def _lint(config: Config) -> Iterator[Finding]:
    if config.store.kind not in ("memory", "sqlite"):
        message = f"{config.store.kind} is not supported by this version; use sqlite or memory"
        yield config.finding(("store",), message)
    for index, rule in enumerate(config.rules):
        for key, globs in (("tools", rule.tools), ("prompts", rule.prompts)):
            for position, glob in enumerate(globs):
                yield from _glob(config, ("rules", index, key, position), glob, _own(config))
        yield from _servers(config, ("rules", index, "upstream"), rule)
    for index, milestone in enumerate(config.milestones):
        yield from _glob(config, ("milestones", index, "tool"), milestone.tool)


def _own(config: Config) -> tuple[str, ...]:
    """The server that our own tool belongs to, for rules alone: no glob of ``milestones:`` counts it."""
    return (UPSTREAM,) if config.checkpoint.offer else ()


def _glob(config: Config, path: Path, glob: str, own: tuple[str, ...] = ()) -> Iterator[Finding]:
    if any(could_match(config, glob, alias) for alias in (*config.servers, *own)):
        return
    alias, separator, rest = glob.partition(SEPARATOR)
    near = did_you_mean(alias, config.servers) if separator else None
    hint = f" - did you mean '{near}{separator}{rest}'?" if near else ""
    yield config.finding(path, f"found '{glob}', which can match nothing; expected a glob over <server>__<name>{hint}")


def _servers(config: Config, path: Path, rule: Rule) -> Iterator[Finding]:
    for position, glob in enumerate(rule.upstream):
        if not any(matches(glob, alias) for alias in (*config.servers, *_own(config))):
            near = did_you_mean(glob, config.servers)
            hint = f" - did you mean '{near}'?" if near else ""
            yield config.finding((*path, position), f"found '{glob}', which matches none of the servers{hint}")
