"""The person of a story, at a terminal: verbs of ``fuseboard``, as processes beside the proxy that runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import anyio

from fuseboard.adapters.demo.stage import verb_command
from fuseboard.adapters.demo.story import Answer, Verb

_PLAIN: Final = {"NO_COLOR": "1", "COLUMNS": "100"}


async def act(verb: Verb, run: str, *, state: Path) -> Answer:
    """Do what the person does, on that run. What was printed is the answer, failed where the exit code says so."""
    words = verb.of(run)
    done = await anyio.run_process(verb_command(words, state), check=False, env={**os.environ, **_PLAIN})
    failed = done.returncode != 0
    said = (done.stderr if failed else done.stdout).decode(errors="replace")
    return Answer(said.rstrip() if failed else about(run, said), words=words, failed=failed)


def about(run: str, printed: str) -> str:
    """The entries that name the run: a line at the margin, and those indented below it. Other runs may wait too."""
    entries: list[list[str]] = []
    for line in printed.splitlines():
        if entries and line.startswith(" "):
            entries[-1].append(line)
        else:
            entries.append([line])
    return "\n".join(line for entry in entries if any(run in line for line in entry) for line in entry)
