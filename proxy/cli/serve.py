"""`fuseboard wrap` and `fuseboard serve`: run the proxy."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuseboard.cli import log
from fuseboard.cli.errors import INTERRUPTED, usage

if TYPE_CHECKING:
    from fuseboard.config import Config

Http = Annotated[str | None, typer.Option("--http", metavar="HOST:PORT", help="Serve HTTP there instead of stdio.")]
State = Annotated[Path | None, typer.Option("--state", help="Where ledger, pins and tokens live.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]

_SECRETS = (
    "Others on this machine can see what is written here; a secret stays unseen as '${env:X}' or '${file:PATH}' "
    "('$${' stands for '${')."
)


def wrap(
    server: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL | -- COMMAND ARGS…", help="The one server: its URL, or the command that starts it."
        ),
    ] = None,
    http: Http = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Rules, limits and tool facts from a file."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What rules and traces call the server.")] = None,
    sse: Annotated[bool, typer.Option("--sse", help="The server at URL speaks the older HTTP+SSE transport.")] = False,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME=VALUE", help=f"A header for the server at URL. {_SECRETS}"),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help=f"A variable for the command. {_SECRETS}"),
    ] = None,
    state: State = None,
    verbose: Verbose = False,
) -> None:
    """Run in front of one server, with no file. Names and everything else of the server stay as they are."""
    from fuseboard import config as configuration

    words = server or []
    if not words:
        raise usage("name the server: fuseboard wrap -- COMMAND ARGS…, or fuseboard wrap --http HOST:PORT URL")
    url = words[0] if words[0].startswith(("http://", "https://")) else None
    _refuse_misfits(words, url, header, env, sse=sse)
    chosen = configuration.wrapped(
        name,
        command=() if url else words,
        url=url,
        env=_pairs(env, "--env"),
        headers=_pairs(header, "--header"),
    )
    if sse:
        chosen = chosen.model_copy(update={"servers": _over_sse(chosen)})
    if config is not None:
        chosen = configuration.load(config, servers=chosen.servers)
        _refuse_rules_for_others(chosen)
    _run(chosen, http, state, verbose=verbose)


def _refuse_misfits(
    words: list[str], url: str | None, header: list[str] | None, env: list[str] | None, *, sse: bool
) -> None:
    """What is said and would be passed over in silence."""
    if url and len(words) > 1:
        raise usage(f"after the URL stands {words[1]!r}; a server has a URL or a command, not both")
    if "://" in words[0] and not url:
        raise usage(f"{words[0]}: a server's URL starts with http:// or https://")
    if url and env:
        raise usage("--env is for a command; a server at a URL has an environment of its own")
    if header and not url:
        raise usage("--header is for a server at a URL; a command has --env")
    if sse and not url:
        raise usage("--sse is for a server at a URL")


def _over_sse(chosen: Config) -> dict[str, object]:
    return {alias: server.model_copy(update={"type": "sse"}) for alias, server in chosen.servers.items()}


def _refuse_rules_for_others(chosen: Config) -> None:
    """Rules that were written for a server of another name would let everything through, and nobody would notice."""
    from fnmatch import fnmatchcase

    (alias,) = chosen.servers
    named = {glob.partition("__")[0] for rule in chosen.rules for glob in rule.tools if "__" in glob}
    if named and not any(fnmatchcase(alias, glob) for glob in named):
        raise usage(
            f"the rules speak of {', '.join(sorted(named))}, but this server is called {alias!r}: "
            f"say which it is, for example --name {min(named)}"
        )


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", help="The configuration; ./fuseboard.yaml where none is named.")
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="Serve stdio (the default).")] = False,
    http: Http = None,
    state: State = None,
    verbose: Verbose = False,
) -> None:
    """Run in front of all the servers of a configuration."""
    from fuseboard import config as configuration

    if stdio and http:
        raise usage("--stdio and --http exclude each other")
    _run(configuration.load(configuration.find(config)), http, state, verbose=verbose)


def _run(config: Config, http: str | None, state: Path | None, *, verbose: bool) -> None:
    import anyio

    from fuseboard import app, naming
    from fuseboard.config import unenforced
    from fuseboard.places import state_dir

    stderr = log.start(verbose=verbose or http is not None)
    if keys := unenforced(config):
        logging.getLogger("fuseboard").warning("read but not enforced by this version: %s", ", ".join(keys))
    place = state_dir(state, os.environ)
    # By default the youngest objects are looked through twice a call, which finds nothing and costs up to 8 % of it.
    # The oldest are looked through after some thousands of sessions: what of those is a cycle waits until then.
    gc.set_threshold(10_000, 20, 10)
    ended_by: list[int] = []
    if http is None:
        if sys.stdin.isatty():
            stderr.say("fuseboard speaks MCP on stdin and stdout; it is meant to be started by an MCP client.")
        token = os.environ.get(naming.RUN_VARIABLE)
        serving = partial(app.serve_stdio, config, place, token=token, on_signal=ended_by.append)
        anyio.run(serving, backend_options={"use_uvloop": _uvloop()})
        _exit_as(ended_by)
        return
    host, port = _address(http)
    _refuse_open_door(config, host)

    def ready(bound: int) -> None:
        gc.freeze()  # what is there by now stays, and need not be looked through each time (30 ms)
        stderr.say(f"fuseboard serves http://{_shown(host)}:{bound}/mcp")

    async def main() -> None:
        await app.serve_http(config, place, host, port, ready=ready, tell=stderr.say, on_signal=ended_by.append)

    try:
        anyio.run(main, backend_options={"use_uvloop": _uvloop()})
    except* OSError as group:
        raise usage(f"--http {http}: {_first(group)}") from None
    _exit_as(ended_by)


def _exit_as(ended_by: list[int]) -> None:
    """A service that is told to stop (SIGTERM) and does so has not failed; Ctrl-C is an interruption as everywhere."""
    if signal.SIGINT in ended_by:
        raise typer.Exit(INTERRUPTED)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Task groups nest, and so do their exception groups: the fault itself is a leaf."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _uvloop() -> bool:
    return sys.platform != "win32"


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise usage(f"--http {text}: write it like 127.0.0.1:8080")
    return host.strip("[]") or "127.0.0.1", int(port)


def _refuse_open_door(config: Config, host: str) -> None:
    """Whoever can reach the port can call the tools, so a port that others can reach asks who they are."""
    if config.auth is None and not _is_loopback(host):
        raise usage(
            f"--http {host}: a port that other machines can reach needs `auth:` in the configuration "
            "(bearer tokens that name principals); or bind 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _pairs(words: list[str] | None, option: str) -> dict[str, str]:
    """The values by name, references in them resolved. What is wrong with a word is said without showing it."""
    from fuseboard.config.secrets import References

    references = References(os.environ, Path.cwd())
    pairs = {}
    for word in words or []:
        key, separator, written = word.partition("=")
        if not separator or not key:
            raise usage(f"{option}: write it like NAME=VALUE")
        pairs[key], problems = references.resolve(written)
        if problems:
            raise usage(f"{option} {key}: {'; '.join(problems)}")
    return pairs
