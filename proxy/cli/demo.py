"""`fuseboard demo`: a story with an agent, tool servers and the proxy between them, played for real and checked."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuseboard.cli.errors import FINDINGS

if TYPE_CHECKING:
    from rich.console import Console

    from fuseboard.adapters.demo.agent import Watch
    from fuseboard.adapters.demo.story import Answer, Step
    from fuseboard.adapters.stores.reader import Call, Run

_LIMIT_S = 120.0
"""Half a minute is what it takes; a machine that is busy with other things takes longer."""
_WIDEST = 100
_LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class Played:
    """What came of the story. ``run`` is ``None`` and ``calls`` are empty where it was cut short."""

    differences: tuple[str, ...]
    run: Run | None = None
    calls: tuple[Call, ...] = ()
    explained: Call | None = None


def demo(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Leave the configuration there, and the ledger.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="The ledger's folder (else that of --keep, or the usual one)."),
    ] = None,
) -> None:
    """Watch an agent at work behind Fuseboard: real tool servers, no network, no key.

    Exit code 0 when the story went as told, 1 when it did not.
    """
    from fuseboard.adapters.demo.chapters import CHAPTERS, TASK
    from fuseboard.cli.telling import Teller
    from fuseboard.places import state_dir

    console, began = _console(quiet=json), time.monotonic()
    teller = Teller(CHAPTERS, partial(console.print, soft_wrap=True), width=min(console.width, _WIDEST))
    teller.opens(TASK)
    place = state_dir(state or keep, os.environ).absolute()
    with _folder(keep) as folder:
        played = _play(folder, place, teller)
    _show(console, played)
    if json:
        typer.echo(_document(played, place))
    for difference in played.differences:
        typer.echo(f"fuseboard demo: {difference}", err=True)
    if played.differences:
        raise typer.Exit(FINDINGS)
    teller.closes(time.monotonic() - began, _hints(keep, state or keep))


def _play(folder: Path, place: Path, watch: Watch) -> Played:
    """Play the story with its configuration in ``folder`` and its ledger in ``place``."""
    import anyio

    from fuseboard.adapters.demo import agent, person, stage
    from fuseboard.adapters.demo.chapters import CHAPTERS
    from fuseboard.adapters.demo.story import steps_of

    steps, log = steps_of(CHAPTERS), folder / "proxy.log"
    command = stage.proxy_command(stage.write_config(folder), place)
    try:
        with log.open("w", encoding="utf-8") as errlog:
            acts = partial(person.act, state=place)
            told = partial(agent.play, steps, command, log=errlog, watch=watch, limit_s=_LIMIT_S, act=acts)
            answers = anyio.run(told)
    except agent.StoryCutShort as fault:
        said = log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        return Played(("\n".join([f"cut short: {fault}", *(f"  {line}" for line in said)]),))
    return _compared(steps, answers, place)


def _compared(steps: tuple[Step, ...], answers: list[Answer], place: Path) -> Played:
    """What the agent got, beside what the ledger says of it."""
    from fuseboard.adapters.demo import outcome
    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.places import ledger_path

    name = outcome.run_of(answers) or ""
    with LedgerReader(ledger_path(place)) as ledger:
        run, calls = ledger.run(name), tuple(ledger.calls(name))
    differences = tuple(outcome.differences(steps, answers, calls))
    return Played(differences, run, calls, outcome.explained(steps, calls))


def _show(console: Console, played: Played) -> None:
    """``trace show`` of the run, and ``trace why`` of one call."""
    from fuseboard.cli.timeline import timeline
    from fuseboard.cli.why import why

    if played.run is not None:
        console.print()
        for line in timeline(played.run, played.calls, width=console.width if console.is_terminal else None):
            console.print(line, soft_wrap=True)
    if played.explained is not None:
        console.print()
        for line in why(played.explained):
            console.print(line, soft_wrap=True)


def _document(played: Played, place: Path) -> str:
    import msgspec

    document = {
        "ok": not played.differences,
        "differences": played.differences,
        "state": str(place),
        "run": msgspec.Raw(played.run.to_json()) if played.run else None,
        "calls": [msgspec.Raw(call.to_json()) for call in played.calls],
        "explained": played.explained.id if played.explained else None,
    }
    return msgspec.json.encode(document).decode()


def _hints(keep: Path | None, named: Path | None) -> Iterator[str]:
    """Commands to go on with. ``named`` is the ledger's folder where an option named it."""
    where = f" --state {shlex.quote(str(named))}" if named else ""
    yield f"fuseboard trace show last{where}"
    yield f"fuseboard trace why last{where}"
    if keep:
        config = shlex.quote(str(keep / "fuseboard.yaml"))
        yield f"fuseboard check --show-cedar --config {config}"
        yield f"fuseboard serve --config {config}{where}"


def _console(*, quiet: bool) -> Console:
    from rich.console import Console

    # Under NO_COLOR rich would still print bold and dim; without a colour system it prints plain text.
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(highlight=False, quiet=quiet, color_system=None if plain else "auto")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where the configuration is written: ``keep``, or a folder that goes when the story is over."""
    if keep is not None:
        yield keep.expanduser().absolute()
        return
    with tempfile.TemporaryDirectory(prefix="fuseboard-demo-") as folder:
        yield Path(folder)
