"""The table of features in the README: each entry has its test, and each test its entry."""

from __future__ import annotations

import re

from wire.test_cells import FEATURES

from support.cells import CELLS
from support.sources import ROOT

SECTION = re.search(r"## Transports and eras\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.S)
assert SECTION is not None
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in SECTION[1].splitlines() if line[:1] == "|"]
COLUMNS = {"L → L": "LL", "M → M": "MM", "M → L": "ML", "L → M": "LM"}
SAID = {"carried", "bridged", "answered here", "gone"}


def _entries() -> dict[str, list[str]]:
    start = next(at for at, row in enumerate(ROWS) if row[0] == "feature")
    assert ROWS[start][1:] == list(COLUMNS)
    found = {}
    for row in ROWS[start + 2 :]:
        named = re.fullmatch(r"[^(]+ \(`(\w+)`\)", row[0])
        if named is None:
            break
        found[named[1]] = row[1:]
    return found


def test_every_feature_has_its_row_and_every_row_its_test() -> None:
    assert _entries().keys() == FEATURES.keys()


def test_every_entry_says_what_becomes_of_it() -> None:
    assert {word for entries in _entries().values() for word in entries} == SAID
    assert {cell.name for cell in CELLS} == set(COLUMNS.values())


def test_every_loss_names_a_test_that_exists() -> None:
    start = next(at for at, row in enumerate(ROWS) if row[-1] == "shown by")
    named = [row[-1].strip("`") for row in ROWS[start + 2 :]]
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert [name for name in named if f"def {name}(" not in written] == []
