from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config.guards import Breaker, Limits, Loops, Milestone, PrincipalLimits, Retries, RunLimits
from fuseboard.config.units import Rate
from support.config_files import SERVERS, findings, loaded


def test_the_limits_of_a_run(tmp_path: Path) -> None:
    spent = "calls: 1k, time: 30m, output: 10MB, tokens: 250k, money: 5.00"
    run = f"{{{spent}, depth: 4, parallel: 8, rate: 60/min burst 20, pause_at: 50%}}"
    assert loaded(tmp_path, f"{SERVERS}run: {run}").run == RunLimits(
        calls=1000,
        time_s=1800.0,
        output_bytes=10_000_000,
        tokens=250_000,
        money=5.0,
        depth=4,
        parallel=8,
        rate=Rate(60, 60.0, 20),
        pause_at=0.5,
    )


def test_null_lifts_a_limit(tmp_path: Path) -> None:
    keys = ("calls", "time", "output", "tokens", "money", "depth", "parallel", "rate", "pause_at")
    run = loaded(tmp_path, SERVERS + "run: {" + ", ".join(f"{key}: null" for key in keys) + "}").run
    assert set(run.model_dump().values()) == {None}


def test_the_other_guards(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        SERVERS
        + """\
principal: {calls: 10, window: 1m}
milestones: [{tool: files__x, truth: empty}]
loops: {repeat: 4, cycle: 5, barren: 6, then: nudge}
breaker: {strikes: 2, open: 10s}
retries: {per_call: 0, budget: 0%}
limits: {body: 1MB, frame: 2MB, headers: 3KB, depth: 64, sessions: 5, session_idle: 1m}
""",
    )
    assert config.principal == PrincipalLimits(calls=10, window_s=60.0)
    assert config.milestones == (Milestone(tool="files__x", truth="empty"),)
    assert config.loops == Loops(repeat=4, cycle=5, barren=6, then="nudge")
    assert config.breaker == Breaker(strikes=2, open_s=10.0)
    assert config.retries == Retries(per_call=0, budget=0.0)
    assert config.limits == Limits(
        body_bytes=10**6, frame_bytes=2 * 10**6, header_bytes=3000, depth=64, sessions=5, session_idle_s=60.0
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: {calls: 0}", "run.calls: found 0; expected more than 0"),
        ("run: {time: 0s}", "run.time: found '0s'; expected more than 0"),
        ("run: {money: -1}", "run.money: found -1; expected at least 0"),
        ("run: {money: .nan}", "run.money: found nan; expected a number"),
        ("run: {depth: 1.5}", "run.depth: found 1.5; expected a whole number"),
        ("run: 5", "run: found 5; expected keys and values"),
        ("loops: {cycle: 1}", "loops.cycle: found 1; expected at least 2"),
        ("loops: {repeat: 6}", "loops: found repeat_stop 5 below repeat 6; expected at least as much"),
        ("loops: {novelty: 24}", "loops: found novelty as large as its window; expected less, or every run is a loop"),
        ("limits: {depth: 100000}", "limits.depth: found 100000; expected at most 512"),
        ("milestones: {tool: x}", "milestones: found keys and values; expected a list"),
        ("milestones: [{}]", "milestones[0].tool: nothing found; this key is needed"),
    ],
)
def test_what_is_out_of_bounds(tmp_path: Path, text: str, message: str) -> None:
    (found,) = findings(tmp_path, SERVERS + text)
    assert found.split(" ", 1)[1] == message


@pytest.mark.parametrize(
    ("text", "offer", "counts"),
    [("", False, False), ("{offer: true}", True, False), ("{offer: true, counts: true}", True, True)],
)
def test_the_tool_of_our_own_is_offered_and_counts_only_when_told_so(
    tmp_path: Path, text: str, offer: bool, counts: bool
) -> None:
    found = loaded(tmp_path, SERVERS + (f"checkpoint: {text}" if text else "")).checkpoint
    assert (found.offer, found.counts) == (offer, counts)


def test_what_is_not_offered_cannot_count(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, SERVERS + "checkpoint: {counts: true}")
    assert "expected `offer: true`" in str(finding)
