from __future__ import annotations

from pathlib import Path

import pytest

from support.config_files import SERVERS, findings


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("mode: enforced", "2:7 mode: found 'enforced'; expected 'enforce' or 'observe' - did you mean 'enforce'?"),
        ("version: 2", "2:10 version: found 2; expected 1"),
        ("run: {calls: x}", "2:14 run.calls: found 'x', which is not a count; write it like 200, 250k or 1.5M"),
        ("run: {depth: yes}", "2:14 run.depth: found 'yes'; expected a whole number"),
        ("rules: {}", "2:8 rules: found keys and values; expected a list"),
        ("run: [1]", "2:6 run: found a list; expected keys and values"),
        ("trace: ", "2:8 trace: found nothing; expected keys and values"),
        ("breaker: {strikes: 0}", "2:20 breaker.strikes: found 0; expected more than 0"),
        ("wholly_odd: 1", "2:1 wholly_odd: unknown key 'wholly_odd'; expected one of version, mode, servers, run"),
    ],
)
def test_each_finding_says_where_what_was_found_and_what_is_expected(tmp_path: Path, text: str, finding: str) -> None:
    (found,) = findings(tmp_path, SERVERS + text)
    assert found.startswith(finding)


def test_a_value_that_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "servers: {x: {command: x, env: {TOKEN: [s3cret]}}}")
    assert found == "1:40 servers.x.env.TOKEN: found a value; expected text"
