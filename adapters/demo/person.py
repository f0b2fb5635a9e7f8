"""The person of a story, at a terminal: verbs of ``fuseboard``, as processes beside the proxy that runs."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path
from typing import Final

import anyio

from fuseboard.adapters.demo.stage import verb_command
from fuseboard.adapters.demo.story import Answer, Verb

_REFUSALS: Final = ("✗ ", "‖ ")
_PLAIN: Final = {"NO_COLOR": "1", "COLUMNS": "100"}


async def act(verb: Verb, run: str, *, state: Path) -> Answer:
    """Do what the person does, on that run. What was printed is the answer, failed where the exit code says so."""
    words = verb.of(run)
    done = await anyio.run_process(verb_command(words, state), check=False, env={**os.environ, **_PLAIN})
    failed = done.returncode != 0
    said = (done.stderr if failed else done.stdout).decode(errors="replace")
    if not failed:
        said = refusal(said) if verb.refusal else about(run, said)
    return Answer(said.rstrip(), words=words, failed=failed)


def about(run: str, printed: str) -> str:
    """The entries that name the run: a line at the margin, and those indented below it. Other runs may wait too."""
    entries: list[list[str]] = []
    for line in printed.splitlines():
        if entries and line.startswith(" "):
            entries[-1].append(line)
        else:
            entries.append([line])
    return "\n".join(line for entry in entries if any(run in line for line in entry) for line in entry)


def refusal(printed: str) -> str:
    """Of a record its first line, the check that refused, and what is indented below that."""
    lines = printed.splitlines()
    marked = next((at for at, line in enumerate(lines) if line.lstrip().startswith(_REFUSALS)), len(lines))
    below = takewhile(lambda line: _indent(line) > _indent(lines[marked]), lines[marked + 1 :])
    return "\n".join(
        [*lines[:1], *(line.strip() for line in lines[marked : marked + 1]), *(f"  {line.strip()}" for line in below)]
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
