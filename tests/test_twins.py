"""Every source file has its twin test, so that one looks for a file's tests in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sources import ROOT, sources

EXEMPT = {
    "proxy/ports.py": "protocols and plain records: nothing in it runs",
    "proxy/policy.py": "a protocol: nothing in it runs",
}
"""Files without a twin, and why."""

FILES = [source.path for source in sources() if source.path.name != "__init__.py"]


def twin(path: Path) -> Path:
    """``proxy/config/y.py`` -> ``tests/config/test_y.py``; other folders keep their own name."""
    inner = path.parent.relative_to("proxy") if path.parts[0] == "proxy" else path.parent
    return Path("tests") / inner / f"test_{path.name}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_source_file_has_its_twin(path: Path) -> None:
    there = (ROOT / twin(path)).exists()
    if str(path) in EXEMPT:
        assert not there, f"{path} has a twin now: take it out of EXEMPT"
    else:
        assert there, f"{path} needs {twin(path)}"


def test_no_exemption_is_stale() -> None:
    assert EXEMPT.keys() <= {str(path) for path in FILES}
