from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config import Rule
from support.config_files import SERVERS, findings, loaded


def test_every_list_may_be_one_text(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        SERVERS
        + """\
rules:
  - {id: a, tools: t, resources: r, prompts: p, upstream: u, principals: n, effect: write, decide: deny}
  - {id: b, tools: [t], resources: [r], prompts: [p], upstream: [u], principals: [n], effect: [write], decide: deny}
""",
    )
    one, many = config.rules
    assert one == many.model_copy(update={"id": "a"})
    assert one.tools == ("t",)


def test_a_rule_that_names_nothing_asks_about_nothing() -> None:
    rule = Rule(id="a", decide="ask")
    assert (rule.tools, rule.resources, rule.prompts, rule.upstream, rule.principals, rule.effect) == ((),) * 6
    assert (rule.when, rule.say) == (None, None)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param("{decide: deny}", "rules[0].id: nothing found; this key is needed", id="no id"),
        pytest.param("{id: a}", "rules[0].decide: nothing found; this key is needed", id="no decision"),
        pytest.param("{id: a, decide: forbid}", "expected 'allow', 'ask' or 'deny'", id="another decision"),
        pytest.param("{id: 'a b', decide: deny}", "rules[0].id: found 'a b'; expected it to match", id="odd id"),
        pytest.param("{id: 5, decide: deny}", "found 5; expected text: put it in quotes", id="a number for an id"),
        pytest.param("{id: default, decide: deny}", "choose another id", id="the default's name"),
        pytest.param("{id: a, decide: deny, effect: [writ]}", "did you mean 'write'?", id="misspelt effect"),
        pytest.param("{id: a, decide: deny, tool: x}", "did you mean 'tools'?", id="misspelt key"),
        pytest.param("{id: a, decide: deny, when: ''}", "rules[0].when: found nothing in it", id="empty condition"),
        pytest.param("{id: a, decide: deny, tools: {}}", "expected a list", id="keys where a list is due"),
        pytest.param("{id: a, decide: deny, say: '${env:X}'}", "found a reference", id="a reference in a text"),
        pytest.param("{id: a, decide: deny}\n - {id: a, decide: ask}", "which is the id of another rule", id="twice"),
    ],
)
def test_what_is_wrong_with_a_rule(tmp_path: Path, rule: str, message: str) -> None:
    (found,) = findings(tmp_path, f"{SERVERS}rules:\n - {rule}\n")
    assert message in found
