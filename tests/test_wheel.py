"""What ships: one import name, every package of it, and nothing else.

Other distributions own the names ``proxy``, ``adapters`` and ``policies``, and a folder of such a name in the working
directory would shadow ours, which is a way around the policies.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from support.sources import ROOT, sources

NEEDED = ("proxy", "adapters", "policies", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built from a copy, for a build leaves its traces in the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in NEEDED:
        source = ROOT / name
        shutil.copytree(source, tree / name) if source.is_dir() else shutil.copy(source, tree / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tree),
        str(tree),
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    (wheel,) = tree.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_one_package_and_its_metadata(names: set[str]) -> None:
    tops = {PurePosixPath(name).parts[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fuseboard"}


def test_every_source_file_is_in_the_wheel(names: set[str]) -> None:
    expected = {source.module.replace(".", "/") for source in sources()}
    shipped = {name.removesuffix(".py").removesuffix("/__init__") for name in names if name.endswith(".py")}
    assert expected == shipped


def test_the_wheel_is_typed(names: set[str]) -> None:
    assert "fuseboard/py.typed" in names


def test_the_folders_are_no_import_names(tmp_path: Path) -> None:
    program = "import importlib.util as u; print([n for n in ('proxy', 'adapters', 'policies') if u.find_spec(n)])"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
