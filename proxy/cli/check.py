"""``fuseboard check``: is the configuration right, and do the upstreams bear it out?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli.errors import FINDINGS, OK, UNREACHABLE, USAGE
from fuseboard.cli.wording import clean

if TYPE_CHECKING:
    from rich.console import Console

    from fuseboard.config import Config, Finding
    from fuseboard.config.survey import Probe


def check(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The configuration file.")] = None,
    connect: Annotated[bool, typer.Option("--connect", help="Ask the upstreams too: start and connect them.")] = False,
    show_cedar: Annotated[bool, typer.Option("--show-cedar", help="Print the rules as the Cedar they become.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Validate the configuration: its keys, its references, its rules; with --connect also what the upstreams say.

    Exit codes: 0 all is well, 1 findings, 2 the configuration cannot be used, 3 an upstream cannot be reached.
    """
    from fuseboard.errors import ConfigError

    try:
        report, code = _examine(config, connect=connect)
    except ConfigError as error:
        report, code = _refused(error), USAGE
    if as_json:
        import json

        typer.echo(json.dumps(_document(report, show_cedar=show_cedar), indent=2, default=str))
    else:
        _print(report, show_cedar=show_cedar)
    raise typer.Exit(code)


def _examine(path: Path | None, *, connect: bool) -> tuple[dict[str, Any], int]:
    """The report on a configuration that loads, and the exit code."""
    from fuseboard.cedar.check import RuleError
    from fuseboard.cedar.rules import compile_rules
    from fuseboard.config import ConfigInvalid, digest, find, lint, load, placed, unenforced

    path = find(path)
    config = load(path)
    try:
        rules = compile_rules(config.rules, config.default, config.cedar_sources)
    except RuleError as error:
        raise ConfigInvalid(placed(config, finding) for finding in error.findings) from None
    findings = [*lint(config), *(placed(config, finding) for finding in rules.findings)]
    report: dict[str, Any] = {
        "config": str(path),
        "digest": digest(config),
        "mode": config.mode,
        "servers": [_server(alias, server) for alias, server in config.servers.items()],
        "rules": len(config.rules),
        "default": config.default,
        "notes": [*config.notes, *_notes(config)],
        "unenforced": list(unenforced(config)),
        "cedar": rules.text,
    }
    unreachable = False
    if connect:
        from fuseboard.config.survey import survey

        probes = _probe(config)
        findings += survey(config, probes)
        unreachable = not all(probe.ok for probe in probes)
        report["upstreams"] = [_upstream(probe) for probe in probes]
    report |= {"ok": not findings and not unreachable, "findings": findings}
    return report, UNREACHABLE if unreachable else FINDINGS if findings else OK


def _probe(config: Config) -> Sequence[Probe]:
    from functools import partial

    import anyio

    from fuseboard.app import probe
    from fuseboard.cli import log

    log.start(verbose=False)
    return anyio.run(partial(probe, config, whole=True))


def _notes(config: Config) -> Iterator[str]:
    asking = [rule.id for rule in config.rules if rule.decide == "ask"]
    if asking or config.default == "ask":
        who = ", ".join([*asking, *(["default"] if config.default == "ask" else [])])
        own = config.approvals
        then = "made" if own.on_timeout == "allow" else "denied"
        yield (
            f"a person is asked about {who}: by {', '.join(own.via)}, for {own.timeout_s:g} s at most; "
            f"without an answer the call is {then}"
        )


def _server(alias: str, server: Any) -> dict[str, Any]:
    """A server without any secret: references stand as they are written."""
    shown = server.model_dump()
    target = shown["url"] if "url" in shown else " ".join([shown["command"], *shown["args"]])
    return {"alias": alias, "type": server.type, "target": target}


def _upstream(probe: Probe) -> dict[str, Any]:
    return {
        "alias": probe.alias,
        "ok": probe.ok,
        "error": probe.error,
        "era": probe.era,
        "server": probe.server,
        "tools": [
            {"name": tool.name, "exposed": tool.exposed, "effect": str(tool.effect), "hidden": tool.hidden}
            for tool in probe.tools
        ],
    }


def _refused(error: Exception) -> dict[str, Any]:
    from fuseboard.config import ConfigInvalid

    findings = error.findings if isinstance(error, ConfigInvalid) else ()
    return {"ok": False, "error": str(error), "findings": list(findings)}


def _document(report: dict[str, Any], *, show_cedar: bool) -> dict[str, Any]:
    kept = {key: value for key, value in report.items() if key != "cedar" or show_cedar}
    return kept | {"findings": [finding.to_json() for finding in report["findings"]]}


def _print(report: dict[str, Any], *, show_cedar: bool) -> None:
    from rich.console import Console

    # The Cedar text alone goes to stdout then, so that it can be piped into a file.
    console = Console(stderr=show_cedar, highlight=False, soft_wrap=True)
    if show_cedar and "cedar" in report:
        typer.echo(report["cedar"])
    if "error" in report:
        _print_problems(console, report["findings"] or [report["error"]])
        return
    _print_summary(console, report)
    _print_problems(console, report["findings"])
    if report["ok"]:
        console.print("ok", style="bold green")


def _print_summary(console: Console, report: dict[str, Any]) -> None:
    from rich.text import Text

    servers = report["servers"]
    console.print(Text.assemble((report["config"], "bold"), "  ", (report["digest"], "dim")))
    console.print(
        f"{_counted(len(servers), 'server')}, {_counted(report['rules'], 'rule')}, "
        f"default {report['default']}, mode {report['mode']}"
    )
    asked = {upstream["alias"]: upstream for upstream in report.get("upstreams", ())}
    width = max(len(server["alias"]) for server in servers)
    for server in servers:
        name = (f"  {server['alias']:<{width}}", "cyan")
        console.print(Text.assemble(name, f"  {server['type']:<5}  ", (clean(server["target"]), "dim")))
        if upstream := asked.get(server["alias"]):
            _print_upstream(console, upstream)
    for note in report["notes"]:
        console.print(Text(f"note: {note}", style="yellow"))
    if report["unenforced"]:
        keys = ", ".join(report["unenforced"])
        console.print(Text(f"note: read, but not acted upon by this version: {keys}", style="yellow"))


def _print_upstream(console: Console, upstream: dict[str, Any]) -> None:
    from rich.text import Text

    if not upstream["ok"]:
        console.print(Text("    not reached", style="red"))
        return
    tools = upstream["tools"]
    server = upstream["server"] or {}
    who = " ".join(clean(str(server[key])) for key in ("name", "version") if server.get(key))
    said = ", ".join(part for part in (who, upstream["era"], _counted(len(tools), "tool")) if part)
    console.print(Text(f"    {said}", style="green"))
    names = [clean(tool["exposed"]) for tool in tools]
    width = max(map(len, names), default=0)
    for name, tool in zip(names, tools, strict=True):
        effect = "hidden" if tool["hidden"] else tool["effect"]
        console.print(Text(f"      {name:<{width}}  {effect}", style="dim" if tool["hidden"] else ""))


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _print_problems(console: Console, problems: Sequence[Finding | str]) -> None:
    from rich.text import Text

    for problem in problems:
        head, _, excerpt = str(problem).partition("\n")
        console.print(Text(clean(head), style="red"))
        if excerpt:
            console.print(Text("\n".join(map(clean, excerpt.split("\n"))), style="dim"))
    if len(problems) > 1:
        console.print(_counted(len(problems), "finding"), style="bold red")
