"""The configurations in this folder, as this Fuseboard can read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

SUITES: Final = ("workspace", "travel", "banking", "slack")
LABELS: Final = ("trust", "sensitivity", "outward")
"""What is declared of single tools for the flow rules. A Fuseboard without those refuses the words."""


def declared(name: str) -> dict[str, Any]:
    """What ``NAME.yaml`` says."""
    return dict(YAML(typ="safe").load(Path(__file__).with_name(f"{name}.yaml")))


def served(name: str) -> tuple[str, list[str]]:
    """The text of a configuration, and the words that had to be left out."""
    config = declared(name)
    (facts,) = config["servers"].values()
    missing = [word for word in LABELS if word not in _known_words()]
    for tool in facts.get("tools", {}).values():
        for word in missing:
            tool.pop(word, None)
    return json.dumps(config, indent=1), missing


def _known_words() -> set[str]:
    from fuseboard.config.servers import ToolFacts

    return {str(field.validation_alias or name) for name, field in ToolFacts.model_fields.items()}
