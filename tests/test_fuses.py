"""From a configuration to the policies: their order, and what a file can get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.config import Config, ConfigInvalid
from fuseboard.fuses import policies, rules


def configured(**sections: Any) -> Config:
    return Config.model_validate({"servers": {"a": {"command": "x"}}, **sections})


def test_the_policies_are_those_of_the_pipeline_in_its_order() -> None:
    config = configured()
    names = [policy.name for policy in policies(config, rules(config))]
    assert names[:2] == ["exposure", "output"]
    assert "permissions" in names
    assert names[-1] == "schema"
    assert "budgets" in names


def test_a_rule_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ConfigInvalid, match=r"rules\[0\]"):
        rules(configured(rules=[{"id": "broken", "tools": "*", "decide": "deny", "when": "nonsense ("}]))


@pytest.mark.parametrize(
    ("facts", "named"),
    [({}, set()), ({"opaque": True}, {"opaque"}), ({"quarantine": ["(?i)ignore"]}, {"quarantine"})],
)
def test_who_has_nothing_to_look_for_is_not_there(facts: dict[str, Any], named: set[str]) -> None:
    config = Config.model_validate({"servers": {"a": {"command": "x", "tools": {"t": facts}}}})
    names = {policy.name for policy in policies(config, rules(config))}
    assert names & {"opaque", "quarantine"} == named
