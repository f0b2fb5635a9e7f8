"""The storms hold their bars, and without the fuse they would not."""

from __future__ import annotations

import pytest
from storm.run import main
from storm.weather import STORMS, Storm, Told, weather

from fuseboard.config.guards import Retries


@pytest.mark.parametrize("storm", STORMS, ids=lambda storm: storm.name)
def test_a_storm_passes_over(storm: Storm) -> None:
    told = weather(storm._replace(alone=True))
    assert told.missed() == []
    assert told.done > 0.5 * told.offered, "the agents get their work done all the same"


@pytest.mark.parametrize("name", ["fails 100 %", "writes, loses and fails"])
def test_and_so_it_does_with_all_fuses_in_place(name: str) -> None:
    (storm,) = (storm for storm in STORMS if storm.name == name)
    assert weather(storm).missed() == []


@pytest.mark.parametrize("name", ["fails 100 %", "writes, loses 30 % after effect"])
def test_without_the_fuse_it_would_not(name: str) -> None:
    (storm,) = (storm for storm in STORMS if storm.name == name)
    told = weather(storm._replace(agents=10, unprotected=True))
    assert told.missed()


def test_the_same_seed_is_the_same_storm() -> None:
    storm = STORMS[0]._replace(agents=5, alone=True)
    assert weather(storm, seed=3) == weather(storm, seed=3)
    assert weather(storm, seed=3) != weather(storm, seed=4)


def test_a_bar_that_is_missed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(STORMS[0], 100, 900, 800, 1.0, 9.0, 0.0, 50, 2, 40)
    assert len(told.missed()) == 3
    assert main(["--storm", STORMS[0].name, "--alone"]) == 0
    assert "PASS" in capsys.readouterr().out


def test_limits_are_those_of_the_configuration() -> None:
    storm = Storm("fails", fails=1.0, agents=5, alone=True)
    strict, lax = (weather(storm, retries=Retries(per_call=count)) for count in (0, 2))
    assert strict.seen < lax.seen
