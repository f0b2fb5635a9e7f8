"""From a configuration to the policies that judge by it."""

from __future__ import annotations

from fuseboard import pipeline
from fuseboard.budgets import limits_of
from fuseboard.cedar.check import RuleError
from fuseboard.cedar.rules import RuleSet, compile_rules
from fuseboard.config import Config, ConfigInvalid, placed
from fuseboard.recording import Redactor


def policies(config: Config, compiled: RuleSet) -> pipeline.Policies:
    """Everything that judges a call, in its order."""
    asked = config.approvals.ask_above
    redact, own = Redactor(config.secrets), config.checkpoint
    upstreams = {
        alias: limits_of(server.limits, window_s=server.limits.window_s)
        for alias, server in config.servers.items()
        if server.limits is not None
    }
    fuses = pipeline.Fuses(config.run, config.principal, config.milestones, asked, own, redact, upstreams)
    return pipeline.standard(compiled, fuses)


def rules(config: Config) -> RuleSet:
    """
    Raises:
        ConfigInvalid: one of them cannot be used.
    """
    try:
        return compile_rules(config.rules, config.default, config.cedar_sources)
    except RuleError as error:
        raise ConfigInvalid([placed(config, finding) for finding in error.findings]) from None
