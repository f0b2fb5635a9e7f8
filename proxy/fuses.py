"""From a configuration to the policies that judge by it."""

from __future__ import annotations

from fuseboard import pipeline
from fuseboard.budgets import limits_of
from fuseboard.cedar.check import RuleError
from fuseboard.cedar.rules import RuleSet, compile_rules
from fuseboard.config import Config, ConfigInvalid, placed
from fuseboard.lock_names import Rule, rules_of
from fuseboard.recording import Redactor


def policies(config: Config, compiled: RuleSet, *, process: str = "") -> pipeline.Policies:
    """Everything that judges a call, in its order. ``process`` tells this proxy from others with the same store."""
    asked = config.approvals.ask_above
    redact, own = Redactor(config.secrets), config.checkpoint
    upstreams = {
        alias: limits_of(server.limits, window_s=server.limits.window_s)
        for alias, server in config.servers.items()
        if server.limits is not None
    }
    fuses = pipeline.Fuses(config.run, config.principal, config.milestones, asked, own, redact, upstreams)
    fuses = fuses._replace(retries=config.retries, process=process, loops=config.loops)
    fuses = fuses._replace(locks=_locks(config), agents=agents(config), breaker=config.breaker, pins=config.pins)
    facts = [facts for server in config.servers.values() for facts in server.tools.values()]
    fuses = fuses._replace(opaque=any(one.opaque for one in facts), patterns=any(one.quarantine for one in facts))
    trusts = {server.trust for server in config.servers.values()} | {one.trust for one in facts if one.trust}
    fuses = fuses._replace(flow=config.flow, mixed=len(trusts) > 1)
    fuses = fuses._replace(phrases=config.output.phrases == "signal")
    return pipeline.standard(compiled, fuses)


def _locks(config: Config) -> dict[str, tuple[Rule, ...]]:
    own = config.locks
    return {
        f"{alias}__{tool}": rules_of(facts.lock, ttl_s=own.ttl_s, wait_s=own.wait_s)
        for alias, server in config.servers.items()
        for tool, facts in server.tools.items()
        if facts.lock
    }


def agents(config: Config) -> frozenset[str]:
    """The servers that call tools through this proxy themselves, by the operator's word."""
    return frozenset(alias for alias, server in config.servers.items() if server.agent)


def rules(config: Config) -> RuleSet:
    """
    Raises:
        ConfigInvalid: one of them cannot be used.
    """
    try:
        return compile_rules(config.rules, config.default, config.cedar_sources)
    except RuleError as error:
        raise ConfigInvalid([placed(config, finding) for finding in error.findings]) from None
