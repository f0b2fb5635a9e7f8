from __future__ import annotations

from typing import Any

import pytest

from fuseboard.cedar.names import mistakable, tree

READ = tree([("path",), ("to", "Host"), ("to", "port")])


def test_paths_become_a_tree() -> None:
    assert READ == {"path": {}, "to": {"Host": {}, "port": {}}}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param({"path": 1, "to": {"Host": 1}}, None, id="the names as they are read"),
        pytest.param({"path": 1, "n": 1}, None, id="and others"),
        pytest.param({"PATH": 1}, ("PATH", "path"), id="capitals"),
        pytest.param({"path": 1, "Path": 1}, ("Path", "path"), id="besides the right one"),
        pytest.param({"to": {"host": 1}}, ("host", "Host"), id="the read name may have capitals"),
        pytest.param({"to": [{"host": 1}]}, None, id="no rule reads inside of a list"),
        pytest.param({"\uff50ath": 1}, ("\uff50ath", "path"), id="a wide letter"),
        pytest.param({"to": {"ho\u017ft": 1}}, ("ho\u017ft", "Host"), id="a long s"),
    ],
)
def test_a_name_that_only_folds_to_one_that_is_read_is_found(arguments: dict[str, Any], found: object) -> None:
    assert mistakable(arguments, READ) == found
