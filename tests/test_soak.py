"""The soak as a test: twenty seconds of everything at once, and the measures that it judges by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.sources import ROOT

SOAK = ROOT / "tests/soak"


def test_a_short_soak_stays_within_its_bounds(tmp_path: Path) -> None:
    command = [sys.executable, str(SOAK / "run.py"), "--minutes", "0.33", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["unexpected"] == {}
    assert report["calls"]["ok"] > 200
    assert {"http", "sse", "listen"} <= report["sessions"].keys()
    assert report["ledger_records"] >= report["calls"]["answered"]
    assert report["proxies"].keys() == {"wide", "narrow", "pipe"}


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SOAK))
    import measures

    module: ModuleType = measures
    return module


@pytest.mark.parametrize(
    ("rss_kb", "slope"),
    [
        pytest.param([100] * 10, 0, id="flat"),
        pytest.param([1000, 900, 800, 700, 600, 100, 100, 100, 100, 100], 0, id="the first half is for warming up"),
        pytest.param(range(0, 100, 10), 600, id="ten KB a second"),
        pytest.param([5], 0, id="one sample"),
    ],
)
def test_the_slope_is_that_of_the_second_half(measures: ModuleType, rss_kb: list[int], slope: float) -> None:
    samples = [measures.Sample(float(at), kb, 10, 1) for at, kb in enumerate(rss_kb)]
    assert measures.slope_kb_per_min(samples) == pytest.approx(slope)


def test_a_process_is_measured(measures: ModuleType) -> None:
    before = measures.sample(os.getpid(), at_s=1.0)
    with open(os.devnull):
        during = measures.sample(os.getpid(), at_s=2.0)
    assert during.descriptors == before.descriptors + 1
    assert before.rss_kb > 5_000
    assert before.threads >= 1


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SOAK))
    import tally

    module: ModuleType = tally
    return module


def test_a_fault_is_excused_only_after_a_disturbance(tally: ModuleType) -> None:
    counts = tally.Tally()
    lost = {"error": {"code": 5020, "message": "gone"}}
    counts.answer(lost, "", at_s=1.0)
    assert dict(counts.unexpected) == {"upstream lost: gone": 1}
    counts.disturbed(2.0)
    counts.answer(lost, "", at_s=3.0)
    assert dict(counts.faults) == {"upstream lost": 1}
    counts.answer(lost, "", at_s=2.0 + tally.EXCUSED_S)
    assert counts.unexpected.total() == 2
    counts.answer({"result": {"content": [{"type": "text", "text": "another's"}]}}, "mine", at_s=3.0)
    assert counts.unexpected["wrong answer: another's"] == 1
    counts.answer({"error": {"code": -32603, "message": "internal"}}, "", at_s=3.0)
    assert counts.unexpected["error -32603: internal"] == 1
    assert counts.answered == 5
