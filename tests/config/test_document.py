from __future__ import annotations

from fuseboard.config.document import walk
from fuseboard.config.source import parse

TEXT = """\
servers:
  files: {command: npx}
rules:
  - id: a
    tools: files__*
"""


def place(path: tuple[str | int, ...], *, on_key: bool = False) -> tuple[int, int]:
    finding = parse(TEXT, "f")[0].finding(path, "m", on_key=on_key)
    return finding.line, finding.column


def test_a_finding_stands_at_its_value_or_at_its_key() -> None:
    assert place(("servers", "files", "command")) == (2, 20)
    assert place(("servers", "files", "command"), on_key=True) == (2, 11)
    assert place(("rules", 0, "id")) == (4, 9)


def test_a_missing_key_is_told_of_at_the_key_around_it() -> None:
    assert place(("servers", "files", "url")) == (2, 3)
    assert place(("version",)) == (1, 1)


def test_the_first_item_of_a_list_that_was_written_as_one_text_is_that_text() -> None:
    assert place(("rules", 0, "tools", 0)) == (5, 12)


def test_walk_visits_every_scalar() -> None:
    assert dict(walk({"a": [1, {"b": None}], "c": "x"})) == {("a", 0): 1, ("a", 1, "b"): None, ("c",): "x"}
