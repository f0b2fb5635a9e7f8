from __future__ import annotations

import pytest

from fuseboard.config.findings import ConfigInvalid, Finding, did_you_mean, dotted
from fuseboard.errors import ConfigError


def test_a_finding_names_its_place_and_points_at_it() -> None:
    finding = Finding("f.yaml", 14, 9, "run.time", "found '1 hoar'; expected better", "  time: 1 hoar")
    assert str(finding) == (
        "f.yaml:14:9: run.time: found '1 hoar'; expected better\n   14 |   time: 1 hoar\n      |         ^"
    )


def test_a_finding_about_the_whole_file_has_no_line() -> None:
    assert str(Finding("f.yaml", 0, 0, "", "cannot be read")) == "f.yaml: cannot be read"


def test_the_caret_of_an_endless_line_stays_in_view() -> None:
    source = "x" * 5000 + "HERE" + "y" * 5000
    _, excerpt, caret = str(Finding("f.json", 1, 5001, "a", "b", source)).splitlines()
    assert len(excerpt) < 160
    assert excerpt[caret.index("^") :].startswith("HERE")


def test_tabs_before_the_caret_are_kept() -> None:
    assert str(Finding("f.json", 1, 3, "a", "b", '\t\t"x"')).splitlines()[-1] == "      | \t\t^"


def test_findings_come_in_the_order_of_the_file() -> None:
    error = ConfigInvalid([Finding("f", 3, 1, "c", "z"), Finding("f", 1, 9, "b", "y"), Finding("f", 1, 2, "a", "x")])
    assert [finding.path for finding in error.findings] == ["a", "b", "c"]
    assert isinstance(error, ConfigError)
    assert str(error).splitlines() == ["f:1:2: a: x", "f:1:9: b: y", "f:3:1: c: z"]


def test_a_finding_as_json() -> None:
    assert Finding("f", 1, 2, "a.b", "m", "s").to_json() == {
        "file": "f",
        "line": 1,
        "column": 2,
        "path": "a.b",
        "message": "m",
        "source": "s",
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a",), "a"), (("rules", 1, "decide"), "rules[1].decide"), (("a", 0, 1), "a[0][1]")],
)
def test_dotted_paths(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("word", "near"),
    [("braker", "breaker"), ("Rules", "rules"), ("timeot", "timeout"), ("zzz", None)],
)
def test_the_nearest_word_is_meant(word: str, near: str | None) -> None:
    assert did_you_mean(word, ["breaker", "rules", "timeout"]) == near
