from __future__ import annotations

from pathlib import Path

from fuseboard.config import unenforced
from support.config_files import SERVERS, loaded


def test_what_the_file_sets_and_this_version_does_not_act_upon(tmp_path: Path) -> None:
    text = """\
servers:
  x: {command: x, tools: {t: {effect: read, timeout: 1s, lock: a, poll: 5s, cost: 1}}}
run: {calls: 1}
loops: {}
output: {max: 64KB}
pins: {on_change: ask}
store: redis://h
trace: {keep: 1d}
limits: {depth: 64}
"""
    assert unenforced(loaded(tmp_path, text)) == ("store",)


def test_defaults_are_not_spoken_of(tmp_path: Path) -> None:
    assert unenforced(loaded(tmp_path, SERVERS + "store: memory")) == ()
