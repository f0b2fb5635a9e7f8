"""The project's own source files, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"proxy": "fuseboard", "policies": "fuseboard.policies", "adapters": "fuseboard.adapters"}
"""Folder by import name: the folders' own names are never imported."""


@dataclass(frozen=True)
class Import:
    """One import statement's target. ``lazy`` where it stands inside a function, or for type checkers only."""

    module: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Source:
    """One file. ``path`` is relative to the repository, ``module`` is its import name."""

    path: Path
    module: str

    @property
    def text(self) -> str:
        return (ROOT / self.path).read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def imports(self) -> Iterator[Import]:
        """``from fuseboard.wire import frames`` counts as ``fuseboard.wire.frames``, if there is such a module."""
        inside = {id(child) for node in ast.walk(self.tree) if _is_lazy(node) for child in ast.walk(node)}
        for node in ast.walk(self.tree):
            for module in _targets(node):
                yield Import(module, getattr(node, "lineno", 0), id(node) in inside)


def _is_lazy(node: ast.AST) -> bool:
    """Whether what stands inside runs later than the module, or never."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import in line {node.lineno}: imports name their whole module here"
        base = node.module or ""
        return [f"{base}.{a.name}" if _is_module(f"{base}.{a.name}") else base for a in node.names]
    return []


def _is_module(name: str) -> bool:
    """Whether ``name`` is a module of ours."""
    return any((ROOT / stem).with_suffix(".py").exists() or (ROOT / stem).is_dir() for stem in _stems(name))


def _stems(name: str) -> Iterator[str]:
    for folder, package in PACKAGES.items():
        if name == package or name.startswith(package + "."):
            yield folder + name.removeprefix(package).replace(".", "/")


def sources() -> list[Source]:
    """Every source file that is shipped."""
    found = []
    for folder, package in PACKAGES.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            inner = file.relative_to(ROOT / folder).with_suffix("").parts
            parts = inner[:-1] if inner[-1] == "__init__" else inner
            found.append(Source(file.relative_to(ROOT), ".".join([package, *parts])))
    return found
