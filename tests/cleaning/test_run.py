"""The bars of cleaning, in short; ``python tests/cleaning/run.py`` holds them in full."""

from __future__ import annotations

import pytest

from support.cleaning_bars import BARS, Effort


@pytest.mark.parametrize("name", BARS)
def test_cleaning_reaches_its_bars(name: str) -> None:
    said = BARS[name](Effort.short())
    assert said.met, said.figure
