"""``fuseboard explain``: what would be decided about a call that nobody makes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli.errors import ASKED, FINDINGS, OK, UNREACHABLE, USAGE, usage

if TYPE_CHECKING:
    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.config import Config
    from fuseboard.events import Caller, Tool

_NEW_RUN = "r-explained"
"""No run has this name, so it is one that has used nothing."""


def explain(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool as clients see it, or <server>__<tool>.")],
    args: Annotated[str, typer.Argument(metavar="[ARGS]", help="Its arguments: one JSON object.")] = "{}",
    principal: Annotated[str | None, typer.Option(help="Who calls; left out, the run's, or `local`.")] = None,
    client: Annotated[str | None, typer.Option(help="By which client, as NAME/VERSION. It decides nothing.")] = None,
    run: Annotated[str | None, typer.Option(help="In which run, as `trace ls` shows it; left out, a new one.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The configuration file.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Where ledger, pins and tokens live.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the server what the tool is: judge without its definition.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what would be decided about a call, by which policies, and what a person would be asked. Nothing is called.

    Exit codes: 0 it would be sent; 1 it would be refused; 2 the configuration or the question cannot be used, or the
    server lists no such tool and nothing else would stop it; 3 the server cannot be reached; 5 a person would be asked.
    """
    import os

    from fuseboard import config as configuration
    from fuseboard.places import state_dir

    path = configuration.find(config)
    loaded = configuration.load(path)
    given = _object(args)
    with ExitStack() as open_files:
        case = _Case(str(path), loaded, offline=offline)
        case.ledger = _ledger(loaded, state_dir(state, os.environ), open_files, case.notes)
        case.find(tool)
        document = case.judge(given, principal=principal, client=client, run=run)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        from rich.console import Console

        from fuseboard.cli.explained import explained

        console = Console(highlight=False)
        for line in explained(document):
            console.print(line, soft_wrap=True)
    would = USAGE if document["tool"]["listed"] is False else OK  # a slip of the pen is no good news
    raise typer.Exit({"sent": would, "asked": ASKED, "refused": FINDINGS}[document["outcome"]])


@dataclass(slots=True)
class _Case:
    """A configuration, a ledger where there is one, and the tool in question."""

    path: str
    config: Config
    ledger: LedgerReader | None = None
    notes: list[str] = field(default_factory=list)
    offline: bool = False
    tool: Tool | None = None

    def find(self, word: str) -> None:
        """The tool, as its server lists it now; nothing else is asked of the server."""
        if self.config.checkpoint.offer:
            from fuseboard.upstreams.own import OwnTools

            self.tool = OwnTools(lambda: 0.0).tool(word)
            if self.tool is not None:
                return
        alias, name = self._place(word)
        listed: tuple[Tool, ...] = ()
        if self.offline:
            self.notes.append("judged without the tool's definition: no schema, and the effect as configured or worst")
        else:
            listed = self._listed(alias)
        self.tool = next((one for one in listed if word in (one.exposed, one.qualified) or name == one.name), None)
        if self.tool is None:
            import msgspec

            from fuseboard.catalog import Definitions
            from fuseboard.config.findings import did_you_mean
            from fuseboard.routing import Names

            if not self.offline:
                near = did_you_mean(name, [one.name for one in listed])
                hint = f" - did you mean {near!r}?" if near else ""
                self.notes.append(f"{alias} lists no such tool{hint}")
            names = Names(alias, prefixed=len(self.config.servers) > 1)
            unlisted = Definitions(alias, self.config.servers[alias], names).unlisted(name)
            # Nobody looked, so that nobody listed it says nothing against it.
            self.tool = msgspec.structs.replace(unlisted, known=self.offline)

    def _place(self, word: str) -> tuple[str, str]:
        from fuseboard.routing import split

        servers = self.config.servers
        parts = split(word)
        if parts is not None and parts[0] in servers:
            return parts
        if len(servers) == 1:
            return next(iter(servers)), word
        raise usage(
            f"{word}: which server's? Write it like {next(iter(servers))}__TOOL; there are {', '.join(servers)}"
        )

    def _listed(self, alias: str) -> tuple[Tool, ...]:
        import anyio

        from fuseboard.app import probe
        from fuseboard.cli import log
        from fuseboard.cli.wording import clean

        log.start(verbose=False)
        (found,) = anyio.run(lambda: probe(self.config, only=(alias,)))
        if found.error is None:
            return found.tools
        message = f"fuseboard: {alias} cannot be reached: {clean(found.error)}; --offline judges without it"
        typer.echo(message, err=True)
        raise typer.Exit(UNREACHABLE)

    def judge(
        self, arguments: Mapping[str, Any], *, principal: str | None, client: str | None, run: str | None
    ) -> dict[str, Any]:
        """What the very policies of a proxy say, on the state as it is."""
        import time

        from fuseboard import fuses, pipeline
        from fuseboard.cleaning.outgoing import Outgoing
        from fuseboard.cleaning.result import Cleaner
        from fuseboard.config import digest
        from fuseboard.events import CallProposed
        from fuseboard.policies.ambiguity import AmbiguityPolicy
        from fuseboard.state import EMPTY
        from fuseboard.verdicts import Hold

        assert self.tool is not None
        named, caller, signed = self._who(principal, client, run)
        at = time.time()
        event = CallProposed(
            at, "d-explained", named or _NEW_RUN, "tools/call", caller, self.tool, arguments, signed=signed
        )
        cleaner = Cleaner(self.config.output, self.config.secrets)
        event = Outgoing(cleaner, enforce=self.config.mode == "enforce").imagined(event)
        rules = fuses.rules(self.config)
        policies = fuses.policies(self.config, rules)
        signals = self.config.output.phrases == "signal"
        scorer = AmbiguityPolicy(self.config.approvals.ask_above, self.config.run, rules, phrased=signals)
        keys = (*pipeline.keys(policies, event), *scorer.evidence_keys(event))
        state = self.ledger.state(keys, at=at) if self.ledger else EMPTY
        outcome = pipeline.descend(policies, event, state, enforce=self.config.mode == "enforce")
        asked = self._asked(outcome, at=at) if isinstance(outcome.verdict, Hold) else None
        judged = outcome.event
        assert isinstance(judged, CallProposed)
        return {
            "outcome": _outcome(outcome, asked),
            "tool": {
                "exposed": self.tool.exposed,
                "upstream": self.tool.upstream,
                "name": self.tool.name,
                "effect": str(self.tool.effect),
                "listed": None if self.offline else self.tool.known,
            },
            "principal": caller.principal,
            "roles": list(caller.roles),
            "run": named,
            "config": self.path,
            "digest": digest(self.config),
            "mode": self.config.mode,
            **_verdict(outcome),
            "asked": asked,
            "sent": None if judged.arguments is event.arguments else dict(judged.arguments),
            "ambiguity": {
                **scorer.scored(judged, state).to_json(),
                "ask_above": self.config.approvals.ask_above,
            },
            "checks": [check.to_json() for check in outcome.checks],
            "notes": self.notes,
        }

    def _who(self, principal: str | None, client: str | None, run: str | None) -> tuple[str | None, Caller, bool]:
        """The run, who calls, and whether the operator signed the run."""
        from fuseboard.events import Caller

        named, signed = None, False
        if run is not None:
            from fuseboard.cli.trace import find_run

            if self.ledger is None:
                raise usage(f"--run {run}: there is no ledger in which it could stand")
            known = find_run(self.ledger, run)
            named, signed = known.run, known.run_source == "token"
            principal, client = principal or known.principal, client or known.client
            if signed:
                self.notes.append("the run has a signed token; limits that it states stand in the token alone")
        principal = principal or "local"
        bearer = self.config.auth.bearer.get(principal) if self.config.auth else None
        return named, Caller(principal, bearer.roles if bearer else (), client), signed

    def _asked(self, outcome: Any, *, at: float) -> dict[str, Any]:
        """What a person would be asked, and where; and what one said of the very same call already."""
        from fuseboard import approvals
        from fuseboard.config import digest

        how = self.config.approvals
        about: dict[str, Any] = {
            "about": "the run" if approvals.paused(outcome) else "this call",
            "via": list(how.via),
            "timeout_s": how.timeout_s,
            "on_timeout": how.on_timeout,
            "approval": None,
        }
        if self.ledger is None or approvals.paused(outcome):
            return about
        binding = approvals.of_call(outcome.event, approvals.holds_of(outcome.checks), digest(self.config))
        key = approvals.approval_key(binding.id)
        found = approvals.Approval.of(self.ledger.state((key,), at=at).get(key))
        if found is not None and found.open(at):
            about["approval"] = {"id": found.id, "status": found.status, "by": found.by}
        return about


def _outcome(outcome: Any, asked: Mapping[str, Any] | None) -> str:
    """What would come of the call: an approval that somebody gave already lets it through."""
    if outcome.refused is None:
        return "sent"
    if asked is None:
        return "refused"
    return "sent" if asked["approval"] and asked["approval"]["status"] == "approved" else "asked"


def _verdict(outcome: Any) -> dict[str, Any]:
    from fuseboard.verdicts import name_of

    verdict = outcome.verdict
    return {
        "verdict": name_of(verdict),
        "policy": outcome.policy,
        "rule": verdict.rule,
        "reason": getattr(verdict, "reason", None),
        "enforced": outcome.enforced,
    }


def _object(text: str) -> dict[str, Any]:
    import msgspec

    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise usage(f"ARGS is no JSON: {fault}") from None
    if not isinstance(found, dict):
        raise usage(f"ARGS: expected one JSON object, found {text[:40]}")
    return found


def _ledger(config: Config, folder: Path, open_files: ExitStack, notes: list[str]) -> LedgerReader | None:
    """The state that a proxy of this configuration would use, for reading alone."""
    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.errors import ConfigError
    from fuseboard.places import ledger_path

    if config.store.kind != "sqlite":
        notes.append(f"the run state is not known: it lives in the proxy's own store ({config.store.kind})")
        return None
    path = Path(config.store.location) if config.store.location else ledger_path(folder)
    if not path.is_file():
        notes.append(f"nothing was called yet: there is no ledger at {path}")
        return None
    try:
        return open_files.enter_context(LedgerReader(path))
    except ConfigError as fault:
        raise usage(str(fault)) from fault
