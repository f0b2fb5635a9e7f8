"""The failure-mode benchmark runs, its bars hold, and it would say where they do not. ``run.py`` prints the figures."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from failures import harmful, honest
from failures.drive import Run, play_all
from failures.run import main, missed, report
from failures.scripts import EXACT, VARIED, Case, Step, spelt

CASES = (*harmful.CASES, *honest.CASES)


@pytest.fixture(scope="module")
def runs() -> Sequence[Run]:
    return play_all(CASES, range(2))


def test_the_bars_hold(runs: Sequence[Run]) -> None:
    assert missed(runs) == [], "\n".join(report(runs, verbose=False))


def test_there_are_sixty_kinds_and_half_of_them_are_honest() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert len(honest.CASES) * 2 >= len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_seed_is_one_run_and_stays_below_the_limit_of_calls_at_once(case: Case) -> None:
    first, again = (list(case.script(random.Random(3))) for _ in range(2))
    assert first == again
    # More at once is refused by the rate (60/min), whatever they are.
    assert case.harmful or len(first) < 60


def test_every_report_has_its_figures(runs: Sequence[Run]) -> None:
    said = "\n".join(report(runs, verbose=True))
    assert "recall" in said
    assert "false alarms" in said
    assert all(case.name in said for case in CASES)


def nothing(rng: random.Random) -> Iterator[Step]:
    yield Step("a", {}, "b")


def test_a_loop_that_is_not_found_is_missed() -> None:
    quiet = Run(Case("bad", nothing, EXACT, "repeat"), 0, 9)
    assert missed([quiet]) == ["recall 0/1 is below 95%"]


def test_a_loop_that_is_found_late_is_missed() -> None:
    late = Run(Case("bad", nothing, VARIED, "barren"), 0, 40, 13, 13, "nudge", "loops", "loops.barren")
    assert missed([late]) == ["'bad' (seed 0) took 13 calls, its bar is 12"]


def test_an_honest_run_that_is_disturbed_is_missed() -> None:
    good = [Run(Case("good", nothing, None), seed, 9) for seed in range(9)]
    assert missed([*good, Run(Case("good", nothing, None), 9, 9, 3, 3, "deny", "loops", "loops.repeat")]) == [
        "1/10 honest runs were disturbed, more than 2%"
    ]


def test_the_command_says_by_its_exit_code_how_it_went(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(honest, "CASES", (Case("one call", nothing, None),))
    monkeypatch.setattr(harmful, "CASES", (Case("one file", harmful.the_same_file, EXACT, "repeat"),))
    assert main(["--seeds", "1"]) == 0
    monkeypatch.setattr(harmful, "CASES", (Case("one call", nothing, EXACT, "repeat"),))
    assert main(["--seeds", "1", "--verbose"]) == 1
    assert "MISSED: recall 0/1" in capsys.readouterr().out


def test_another_spelling_changes_no_argument_but_in_its_looks() -> None:
    given = {"path": "a/b", "query": "two words", "limit": 5}
    for seed in range(20):
        said = spelt(random.Random(seed), given)
        assert said.keys() == given.keys()
        assert said["limit"] == 5
        assert said["query"].split() == ["two", "words"]
