"""``fuseboard trace``: read the ledger. Never writes it, never loads the SDK."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from fuseboard.cli.errors import FINDINGS, INTERRUPTED, usage
from fuseboard.cli.wording import clean
from fuseboard.errors import ConfigError
from fuseboard.places import ledger_path, state_dir

if TYPE_CHECKING:
    from rich.text import Text

    from fuseboard.adapters.stores.reader import Call, LedgerReader, Run
    from fuseboard.spending import Spending

_POLL_S = 0.25
_MOST_OPEN = 500
_MOST_HELD = 50

trace = typer.Typer(name="trace", help="Look at what was decided, and why.", no_args_is_help=True)

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="The ledger's folder (else FUSEBOARD_STATE_DIR, or the platform's)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run, the beginning of its name, or `last`.")]


@trace.command()
def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    principal: Annotated[str | None, typer.Option(help="Only runs of this principal.")] = None,
    json: Json = False,
    state: State = None,
) -> None:
    """List the runs, newest first. With --json one line a run."""
    with _ledger(state) as ledger:
        runs = ledger.runs(limit, principal=principal)
        if json:
            _write(run.to_json() for run in runs)
        elif runs:
            from fuseboard.cli.timeline import runs_table

            _show(runs_table(runs))
        else:
            typer.echo("no runs on record", err=True)


@trace.command()
def show(run: RunName, json: Json = False, state: State = None) -> None:
    """Show one run as a timeline. With --json one document: the run and its calls."""
    with _ledger(state) as ledger:
        summary = find_run(ledger, run)
        calls = list(ledger.calls(summary.run))
        spent = _spent(ledger, summary)
        taken_back = revoked_of(ledger)
        if json:
            import msgspec

            joined = b",".join(_line(call, taken_back) for call in calls)
            budgets = msgspec.json.encode({"state": spent.state.state, "budgets": spent.budgets()})[1:-1]
            _write([b'{"run":' + summary.to_json() + b"," + budgets + b',"calls":[' + joined + b"]}"])
        else:
            from fuseboard.cli.timeline import timeline

            revoked = {call.id: acts for call in calls if (acts := taken_back(call))}
            _show(timeline(summary, calls, width=_width(), spent=spent, revoked=revoked))


@trace.command()
def why(
    call: Annotated[
        str,
        typer.Argument(
            metavar="CALL", help="A call's id or its beginning, RUN#NUMBER, or `last` (the newest refusal)."
        ),
    ],
    json: Json = False,
    state: State = None,
) -> None:
    """Explain one decision.

    What was asked, what each policy said and on what evidence, what the model was told, what was sent and came back.
    """
    with _ledger(state) as ledger:
        found = _find_call(ledger, call)
        if json:
            _write([found.to_json()])
        else:
            from fuseboard.cli.why import why as explain

            _show(explain(found))


@trace.command()
def tail(
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the newest to begin with.")] = 10,
    json: Json = False,
    state: State = None,
) -> None:
    """Follow the calls as they end. Ctrl-C leaves."""
    with _ledger(state) as ledger:
        calls = follow(ledger, lines, lambda: time.sleep(_POLL_S))
        if json:
            _write(call.to_json() for call in calls)
        else:
            from fuseboard.cli.timeline import tail_line

            _show(tail_line(call) for call in calls)


@trace.command()
def export(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; everything if left out.")] = None,
    state: State = None,
) -> None:
    """Print one JSON object a call, a line each."""
    with _ledger(state) as ledger:
        name = None if run is None else find_run(ledger, run).run
        taken_back = revoked_of(ledger)
        _write((_line(call, taken_back) for call in ledger.calls(name)), live=False)


def follow(ledger: LedgerReader, lines: int, wait: Callable[[], None]) -> Iterator[Call]:
    """Calls as they end, for ever: first those of the newest ``lines`` that have ended, then all that follow.

    A call that has begun is looked at again until it ends, and given up where 500 newer ones are open. One that is held
    is told of when it begins to wait, and once more if anything comes of it: of the newest 50, that is.
    """
    newest = ledger.newest(lines + 1)
    after = 0 if len(newest) <= lines else newest[0].rowid
    begun: list[int] = []
    held: list[int] = []
    while True:
        calls = (ledger.at_rows(begun + held) if begun or held else []) + ledger.since(after)
        told = frozenset(held)
        begun = [call.rowid for call in calls if not call.ended][-_MOST_OPEN:]
        held = [call.rowid for call in calls if _is_held(call)][-_MOST_HELD:]
        after = max([after, *(call.rowid for call in calls)])
        yield from (call for call in calls if call.ended and not (call.rowid in told and _is_held(call)))
        wait()


def _is_held(call: Call) -> bool:
    return call.final and call.verdict == "hold"


@contextmanager
def _ledger(state: Path | None) -> Iterator[LedgerReader]:
    """The ledger, and the one place that turns what may befall a reading verb into its exit code."""
    from fuseboard.adapters.stores.reader import LedgerReader

    try:
        with LedgerReader(ledger_path(state_dir(state, os.environ))) as ledger:
            yield ledger
            sys.stdout.flush()
    except ConfigError as error:
        raise usage(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read us has seen enough (`| head`). Python would flush once more at exit and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _spent(ledger: LedgerReader, run: Run) -> Spending:
    from fuseboard.spending import keys, spending

    at = time.time()
    state = ledger.state(keys(run.run, run.config), at=at)
    return spending(run.run, run.config, state, signed=run.run_source == "token", at=at)


def find_run(ledger: LedgerReader, name: str) -> Run:
    """The run that a person names: in full, by its beginning, or as `last`. What fits none or many ends the verb."""
    if name == "last":
        newest = ledger.last()
        names = [newest.run] if newest else []
    else:
        names = ledger.runs_like(name)
    found = ledger.run(_only(names, "run", name))
    assert found is not None
    return found


def _find_call(ledger: LedgerReader, name: str) -> Call:
    run, hash_, number = name.rpartition("#")
    if name == "last":
        found = ledger.last(refused=True) or ledger.last()
    elif hash_ and number.isdecimal():
        found = ledger.call_of(find_run(ledger, run or "last").run, int(number))
    else:
        found = ledger.call(_only(ledger.ids_like(name), "call", name))
    return found or _missing("call", name)


def _only(names: list[str], kind: str, asked: str) -> str:
    if not names:
        _missing(kind, asked)
    if len(names) > 1:
        raise usage(f"more than one {kind} begins with {asked!r}: {', '.join(map(clean, names))}")
    return names[0]


def revoked_of(ledger: LedgerReader) -> Callable[[Call], list[str]]:
    """Of a call: by which acts a person took its result back."""
    from fuseboard.cli.revoked import covering, revocations

    known = revocations(ledger)
    return lambda call: [one.id for one in covering(known, call)]


def _line(call: Call, taken_back: Callable[[Call], list[str]]) -> bytes:
    """One call as JSON; ``revoked`` is in it only where there is something to say."""
    import msgspec

    acts = taken_back(call)
    return call.to_json()[:-1] + b',"revoked":' + msgspec.json.encode(acts) + b"}" if acts else call.to_json()


def _missing(kind: str, asked: str) -> NoReturn:
    typer.echo(f"fuseboard: no {kind} {asked!r} on record; `fuseboard trace ls` lists the runs", err=True)
    raise typer.Exit(FINDINGS)


def _write(lines: Iterable[bytes], *, live: bool = True) -> None:
    for line in lines:
        sys.stdout.buffer.write(line + b"\n")
        if live:
            sys.stdout.buffer.flush()


def _show(lines: Iterable[Text]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)


def _width() -> int | None:
    """The terminal's columns, or ``None`` where the output goes elsewhere and nothing is to be folded."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else None
