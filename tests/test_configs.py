"""The files in ``configs/`` load, the reference leaves nothing out, and the README names every top-level key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from fuseboard.cedar.rules import compile_rules
from fuseboard.config import Config, lint, load
from fuseboard.config.outline import fields, walk_keys
from fuseboard.config.schema import json_schema

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))
ENV = {"GITHUB_TOKEN": "not-a-real-token-1", "ANA_TOKEN": "not-a-real-token-2", "BUILD_TOKEN": "not-a-real-token-3"}
WRITE_IT_ANEW = "fuseboard schema > configs/fuseboard.schema.json"


def _plain(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text("utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_configuration_loads_compiles_and_fits_its_schema(path: Path) -> None:
    config = load(path, env=ENV)
    assert lint(config) == ()
    assert compile_rules(config.rules, config.default, config.cedar_sources).findings == ()
    jsonschema_rs.validator_for(json_schema()).validate(_plain(path))
    assert path.read_text("utf-8").startswith("# yaml-language-server: $schema=./fuseboard.schema.json\n")


def test_the_schema_file_is_the_one_that_the_models_make() -> None:
    found = json.loads((CONFIGS / "fuseboard.schema.json").read_text("utf-8"))
    assert found == json_schema(), f"stale; write it anew: {WRITE_IT_ANEW}"


def _holds(tree: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    step, rest = path[0], path[1:]
    if step == "*":
        inner = tree if isinstance(tree, list) else tree.values() if isinstance(tree, dict) else ()
        return any(_holds(item, rest) for item in inner)
    return isinstance(tree, dict) and step in tree and _holds(tree[step], rest)


@pytest.mark.parametrize("path", sorted(set(walk_keys())), ids=".".join)
def test_every_option_stands_in_the_reference(path: tuple[str, ...]) -> None:
    assert _holds(_plain(CONFIGS / "reference.yaml"), path)


def test_the_reference_shows_the_defaults() -> None:
    """Every section whose keys all have defaults is written out with just these."""
    config = load(CONFIGS / "reference.yaml", env=ENV)
    plain = Config.model_validate({"servers": {"x": {"command": "x"}}})
    examples = {"servers", "rules", "milestones", "auth"}
    differing = {name for name in Config.model_fields if getattr(config, name) != getattr(plain, name)}
    assert differing == examples


@pytest.mark.parametrize("key", sorted(fields(Config)))
def test_the_readme_names_every_top_level_key(key: str) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert re.search(rf"`{key}:?`|(^|[\s{{,`]){key}:", readme, re.MULTILINE), f"`{key}` is not in README.md"
