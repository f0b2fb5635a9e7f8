"""`fuseboard pins`: which definitions were accepted, what changed since, and a person's word on that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fuseboard.cli.errors import FINDINGS, OK, REFUSED, UNREACHABLE, usage
from fuseboard.cli.inbox import State
from fuseboard.cli.wording import clean, counted

if TYPE_CHECKING:
    from fuseboard.config import Config
    from fuseboard.pins.compare import Row
    from fuseboard.pins.lock import Lock
    from fuseboard.upstreams.inspection import Probe

pins = typer.Typer(
    help="Definitions of tools, prompts and resource templates as they were accepted; what changed; accept it.",
    no_args_is_help=True,
    add_completion=False,
)

Where = Annotated[Path | None, typer.Option("--config", "-c", help="The configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Some = Annotated[str | None, typer.Argument(metavar="[SERVER[__TOOL]]", help="A server, or one name of it.")]


class Side(NamedTuple):
    """One server: how the lock file names it, what it answered, and how that compares."""

    alias: str
    key: str
    target: str
    probe: Probe
    rows: Sequence[Row]


@pins.command("ls")
def ls(config: Where = None, as_json: Json = False, state: State = None) -> None:
    """Show what was accepted, of which servers. Nothing is connected."""
    from fuseboard.cli.pinned import accepted_lines

    path, lock = _held(_configured(config), state)
    if as_json:
        import json

        from fuseboard.pins.lock import written

        typer.echo(json.dumps({"file": str(path), **json.loads(written(lock))}, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not lock.servers:
        console.print(f"Nothing was accepted yet; {clean(str(path))} holds nothing.", soft_wrap=True)
    for line in accepted_lines(lock):
        console.print(line, soft_wrap=True)


@pins.command("diff")
def diff(name: Some = None, config: Where = None, as_json: Json = False, state: State = None) -> None:
    """Connect the servers and show what their definitions say now that they did not say when they were accepted.

    Exit codes: 0 nothing changed; 1 something did; 2 the configuration cannot be used; 3 a server cannot be reached.
    """
    path, sides = _sides(config, state, name)
    if as_json:
        import json

        typer.echo(json.dumps({"file": str(path), "servers": [_document(side) for side in sides]}, indent=2))
    else:
        _show(sides)
    raise typer.Exit(_code(sides))


@pins.command("accept")
def accept(
    name: Some = None,
    config: Where = None,
    also: Annotated[
        bool, typer.Option("--also", help="Keep what was accepted before as well: for a server that shows both.")
    ] = False,
    state: State = None,
) -> None:
    """Connect the servers, show what changed, and accept it. Proxies that run see it at once.

    Exit codes: 0 done; 2 the configuration cannot be used; 3 a server cannot be reached; 4 it cannot be written.
    """
    from fuseboard.adapters.pins import PinFile
    from fuseboard.pins import compare
    from fuseboard.pins.lock import Identity, Unreadable

    path, sides = _sides(config, state, name)

    def act(lock: Lock) -> None:
        for side in sides:
            if side.probe.ok:
                said = side.probe.server or {}
                claims = (str(said.get(key) or "")[:200] for key in ("name", "version"))
                compare.accept(lock, side.key, Identity(side.target, *claims), side.rows, also=also)

    _show(sides)
    try:
        PinFile(path).change(act)
    except (OSError, Unreadable) as fault:
        typer.echo(f"fuseboard: {path} cannot be written: {fault}", err=True)
        raise typer.Exit(REFUSED) from None
    done = [row for side in sides for row in side.rows if row.state is not compare.State.ACCEPTED]
    typer.echo(f"accepted {counted(len(done), 'definition')}" if done else "nothing had changed")
    raise typer.Exit(OK if all(side.probe.ok for side in sides) else UNREACHABLE)


@pins.command("drop")
def drop(
    name: Annotated[str, typer.Argument(metavar="SERVER[__TOOL]", help="A server, or one name of it.")],
    config: Where = None,
    state: State = None,
) -> None:
    """Forget what was accepted: what is listed next counts as new.

    Exit codes: 0 done; 2 there is nothing of that name; 4 it cannot be written.
    """
    from fuseboard.adapters.pins import PinFile
    from fuseboard.pins import compare
    from fuseboard.pins.identity import alias_of
    from fuseboard.pins.lock import Unreadable

    found = _configured(config)
    path, _ = _held(found, state)
    alias, _, tool = name.partition("__")
    gone: list[tuple[str, str, str]] = []

    def act(lock: Lock) -> None:
        from fuseboard.pinning import keys

        known = keys(found) if found is not None else {}
        named = [key for key in lock.servers if key == name or alias_of(key) == alias]
        own = [key for key in named if key == known.get(alias)]
        gone.extend(compare.drop(lock, own or named, tool or None))

    try:
        PinFile(path).change(act)
    except (OSError, Unreadable) as fault:
        typer.echo(f"fuseboard: {path} cannot be written: {fault}", err=True)
        raise typer.Exit(REFUSED) from None
    if not gone:
        raise usage(f"{clean(str(path))} holds nothing of {clean(name)!r}")
    typer.echo(f"forgot {counted(len(gone), 'definition')} of {clean(alias)}")


def _configured(path: Path | None, *, need: bool = False) -> Config | None:
    """The configuration; ``None`` where there is none and none is needed: ``wrap`` goes without."""
    from fuseboard.config import find, load
    from fuseboard.errors import ConfigError

    try:
        path = find(path)
    except ConfigError:
        if need or path is not None:
            raise
        return None
    return load(path)


def _held(config: Config | None, state: Path | None) -> tuple[Path, Lock]:
    """The lock file and what it holds."""
    import os

    from fuseboard.adapters.pins import PinFile
    from fuseboard.errors import ConfigError
    from fuseboard.pins.lock import NAME, Unreadable, read
    from fuseboard.places import state_dir

    own = config.pins.file if config is not None else None
    path = own or state_dir(state, os.environ) / NAME
    try:
        return path, read(PinFile(path).load())
    except (OSError, Unreadable) as fault:
        raise ConfigError(f"pins: the lock file {path} cannot be used: {fault}") from None


def _sides(where: Path | None, state: Path | None, name: str | None) -> tuple[Path, list[Side]]:
    """Each server that is meant, asked and compared."""
    from functools import partial

    import anyio

    from fuseboard.app import probe
    from fuseboard.cli import log
    from fuseboard.pinning import keys
    from fuseboard.pins.compare import compare
    from fuseboard.pins.identity import target

    config = _configured(where, need=True)
    assert config is not None
    path, lock = _held(config, state)
    alias, _, tool = (name or "").partition("__")
    if alias and alias not in config.servers:
        there = ", ".join(clean(one) for one in config.servers)
        raise usage(f"there is no server {clean(alias)!r}; there are {there}")
    log.start(verbose=False)
    only = [alias] if alias else list(config.servers)
    probes: Iterable[Probe] = anyio.run(partial(probe, config, only=only, whole=True))
    named = keys(config)
    sides = []
    for one in probes:
        key = named[one.alias]
        rows = compare(lock.servers.get(key), one.definitions, one.era) if one.ok else []
        rows = [row for row in rows if not tool or row.name == tool]
        sides.append(Side(one.alias, key, target(config.servers[one.alias]), one, rows))
    if tool and not any(side.rows for side in sides) and all(side.probe.ok for side in sides):
        raise usage(f"{clean(alias)} lists nothing called {clean(tool)!r}, and nothing of that name was accepted")
    return path, sides


def _code(sides: Sequence[Side]) -> int:
    from fuseboard.pins.compare import changed

    if not all(side.probe.ok for side in sides):
        return UNREACHABLE
    return FINDINGS if any(changed(side.rows) for side in sides) else OK


def _document(side: Side) -> dict[str, Any]:
    probe = side.probe
    rows = [row.to_json() for row in side.rows]
    said = {"server": side.alias, "key": side.key, "ok": probe.ok, "error": probe.error, "identity": probe.server}
    return {**said, "definitions": rows}


def _show(sides: Sequence[Side]) -> None:
    from rich.console import Console

    from fuseboard.cli.pinned import side_lines

    console = Console(highlight=False)
    for side in sides:
        for line in side_lines(side.alias, side.probe.error, side.rows):
            console.print(line, soft_wrap=True)
