"""``fuseboard status``: which proxies run, how their upstreams and runs stand, and what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuseboard.cli import breaker, locked
from fuseboard.cli.errors import OK, UNREACHABLE
from fuseboard.cli.wording import budgets, clean, day, span, told

if TYPE_CHECKING:
    from rich.text import Text

    from fuseboard.adapters.stores.reader import LedgerReader

_EVERY_S = 1.0
_QUIET_S = 900.0
"""A run that called nothing for so long is hardly running, whatever its state."""


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many runs, newest first.")] = 10,
    state: Annotated[Path | None, typer.Option("--state", help="Where ledger, pins and tokens live.")] = None,
) -> None:
    """Show the proxies that run on this machine, their upstreams, the newest runs with their budgets, and what waits.

    Exit codes: 0 every upstream answers, or nothing runs; 3 one of them does not. With --watch and --json one document
    a line.
    """
    import os

    from fuseboard.places import state_dir

    place = state_dir(state, os.environ)
    if watch:
        _watch(place, limit, as_json=as_json)
    found = look(place, limit)
    if as_json:
        import json

        typer.echo(json.dumps(found, indent=2))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for line in lines(found):
            console.print(line, soft_wrap=True)
    down = any(one["state"] == "down" for proxy in found["proxies"] for one in proxy["upstreams"].values())
    raise typer.Exit(UNREACHABLE if down else OK)


def look(place: Path, limit: int) -> dict[str, Any]:
    """One document of everything, at this moment. Nothing is written, and nobody is asked to wait."""
    import time

    from fuseboard.adapters.presence import running
    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.places import ledger_path

    at = time.time()
    found: dict[str, Any] = {"at": at, "proxies": running(place), "runs": [], "holds": [], "breakers": []}
    found |= {"locks": [], "waits": []}
    path = ledger_path(place)
    if path.is_file() and path.stat().st_size:
        with LedgerReader(path) as ledger:
            found["runs"] = list(_runs(ledger, limit, at))
            found["holds"] = list(_holds(ledger, at))
            found["breakers"] = list(breaker.standing(ledger, at))
            found["locks"] = list(locked.standing(ledger, at))
            found["waits"] = list(locked.waiting(ledger, at))
    return found


def _runs(ledger: LedgerReader, limit: int, at: float) -> Iterator[dict[str, Any]]:
    from fuseboard.spending import keys, spending

    for run in ledger.recent_runs(limit):
        state = ledger.state(keys(run.run, run.config), at=at)
        spent = spending(run.run, run.config, state, signed=run.run_source == "token", at=at)
        yield {
            "run": run.run,
            "run_source": run.run_source,
            "principal": run.principal,
            "client": run.client,
            "state": spent.state.state,
            "by": spent.state.by,
            "why": spent.state.why,
            "under_way": spent.under_way,
            "began_at": run.began_at,
            "last_at": run.last_at,
            "calls": run.calls,
            "denied": run.denied,
            "failed": run.failed,
            "budgets": spent.budgets(),
            **_told(ledger, run.run, at),
            **_labelled(ledger, run.run, at),
        }


def _labelled(ledger: LedgerReader, run: str, at: float) -> dict[str, Any]:
    """The worst that was delivered to a run, where that was anything but trusted and public."""
    from fuseboard.labels import Label, label_key

    stored = ledger.state((label_key(run),), at=at).get(label_key(run))
    if stored is None:
        return {}
    label = Label.of(stored)
    return {"label": {"trust": label.trust, "sensitivity": label.sensitivity.value, "origins": sorted(label.origins)}}


def _told(ledger: LedgerReader, run: str, at: float) -> dict[str, Any]:
    """What the agent of a run said last of its progress, where it said anything."""
    from fuseboard.checkpoint import Note, checkpoint_key

    note = Note.last(run, ledger.state((checkpoint_key(run),), at=at))
    return {} if note is None else {"checkpoint": note.to_json()}


def _holds(ledger: LedgerReader, at: float) -> Iterator[dict[str, Any]]:
    from fuseboard.approvals import INDEX, PENDING, Approval, Index, approval_key

    for id, run, expires_at in Index.of(ledger.state((INDEX,), at=at), at=at).entries:
        key = approval_key(id)
        one = Approval.of(ledger.state((key,), at=at).get(key))
        if one is not None and one.status == PENDING:
            yield {
                "id": id,
                "run": run,
                "principal": one.binding.principal,
                "tool": None if one.binding.resumes else one.tool,
                "effect": one.effect,
                "why": one.why,
                "created_at": one.created_at,
                "expires_at": expires_at,
            }


def _watch(place: Path, limit: int, *, as_json: bool) -> None:
    """Look again and again; only Ctrl-C, or a reader who leaves, ends it."""
    import time

    if as_json:
        import json

        while True:
            typer.echo(json.dumps(look(place, limit)))
            time.sleep(_EVERY_S)
    from rich.console import Console, Group
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            live.update(Group(*lines(look(place, limit))), refresh=True)
            time.sleep(_EVERY_S)


_COLOURS = {"up": "green", "down": "red", "unknown": "yellow"}
_STATES = {"running": "green", "quiet": "dim", "paused": "bold magenta", "stopped": "red"}


def lines(found: dict[str, Any]) -> Iterator[Text]:
    """What a terminal shows of a document."""
    from rich.text import Text

    if not found["proxies"]:
        yield Text("No proxy runs with this state folder.")
    for proxy in found["proxies"]:
        yield from _proxy(proxy)
    if found["runs"]:
        yield Text("runs", style="bold")
    for run in found["runs"]:
        yield from _run(run, found["at"])
    if found["breakers"]:
        yield Text("cut off", style="bold")
    for one in found["breakers"]:
        yield from breaker.lines(one, found["at"])
    yield from locked.lines(found)
    if found["holds"]:
        yield Text("waiting for a person", style="bold")
    for hold in found["holds"]:
        yield from _hold(hold, found["at"])


def _proxy(proxy: dict[str, Any]) -> Iterator[Text]:
    """A proxy and its upstreams. What an upstream says of itself is shown, never acted upon."""
    from rich.text import Text

    head = Text().append(clean(str(proxy["serves"])), style="bold")
    yield head.append(f"  pid {proxy['pid']}  since {day(proxy['since'])}")
    for alias, one in proxy["upstreams"].items():
        server = one["server"] or {}
        who = " ".join(clean(str(server[key])) for key in ("name", "version") if key in server)
        line = Text("  ").append(f"{one['state']:<8}", style=_COLOURS[one["state"]])
        line.append(f" {clean(alias):<20} {who}")
        if busy := one.get("busy"):
            line.append(f"  {busy['under_way']} under way, {busy['waiting']} wait for a place", style="yellow")
        yield line
        if one["error"]:
            yield Text(f"           {clean(one['error'])}", style="dim")


def _run(run: dict[str, Any], at: float) -> Iterator[Text]:
    from rich.text import Text

    from fuseboard.checkpoint import Note

    silent_s = max(0.0, at - run["last_at"])
    quiet = run["state"] == "running" and not run["under_way"] and silent_s > _QUIET_S
    word = "quiet" if quiet else run["state"]
    line = Text("  ").append(f"{word:<8}", style=_STATES.get(word, "")).append(f" {clean(run['run'])}", style="cyan")
    line.append(f"  {clean(run['principal'])}  {clean(run['client'] or 'unknown client')}")
    line.append(f"  (known by: {clean(run['run_source'])})  last call {span(silent_s)} ago", style="dim")
    yield line.append(f"  {run['under_way']} under way" if run["under_way"] else "")
    if run["budgets"]:
        yield Text(f"           {budgets(run['budgets'])}")
    if "label" in run:
        label = run["label"]
        names = ", ".join(clean(name) for name in label["origins"][:4]) + (", …" if len(label["origins"]) > 4 else "")
        yield Text(f"           read {label['trust']}, {label['sensitivity']} data from {names}", style="dim")
    if run["why"] and run["state"] != "running":
        yield Text(f"           {run['state']} by {clean(run['by'])}: {clean(run['why'])}", style="magenta")
    if "checkpoint" in run and run["state"] != "stopped":
        yield from (Text(f"           {line}") for line in told(Note(**run["checkpoint"])))


def _hold(hold: dict[str, Any], at: float) -> Iterator[Text]:
    from rich.text import Text

    subject = f"{clean(hold['tool'])} ({clean(hold['effect'])})" if hold["tool"] else "that the run goes on"
    line = Text("  ").append(clean(hold["id"]), style="bold").append(f"  {subject}")
    left = span(max(0.0, hold["expires_at"] - at))
    yield line.append(f"  of run {clean(hold['run'])}, {left} left", style="dim")
    yield Text(f"           {clean(hold['why'])}")
