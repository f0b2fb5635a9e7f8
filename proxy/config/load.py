"""Finding the configuration file and loading it; or making one up where a single server is wrapped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fuseboard.config.document import Document
from fuseboard.config.findings import ConfigInvalid, Finding
from fuseboard.config.models import Config
from fuseboard.config.secrets import References
from fuseboard.config.servers import Server, alias_of
from fuseboard.errors import ConfigError

_MOST_BYTES = 4_000_000
_NAMES = ("fuseboard.yaml", "fuseboard.yml", "fuseboard.json")

_FACTS = ("expose", "trust", "tools", "share", "timeout_s")
_FACT_KEYS = ("expose", "trust", "tools", "share", "timeout")


def load(path: Path, *, env: Mapping[str, str] = os.environ, servers: Mapping[str, Server] | None = None) -> Config:
    """Read a YAML file, or a client's JSON file with ``mcpServers`` in it.

    ``servers`` stand in for those of the file, which then need not have any (``fuseboard wrap --config``); what the
    file knows of a server of the same name still counts.

    Raises:
        ConfigInvalid: with every problem in the file, each with its line and column.
    """
    # Only here: `wrap` starts without a file, and so without a YAML parser.
    from fuseboard.config.judge import judge
    from fuseboard.config.source import parse

    name = os.fspath(path)
    document, findings = parse(_text(path, name), name, json=path.suffix in (".json", ".jsonc"))
    if document.tree is None and findings:
        raise ConfigInvalid(findings)
    folder = path.absolute().parent
    if servers is not None and isinstance(document.tree, dict):
        document.tree["servers"] = _facts_alone(document.tree, servers)
    sources, unread = _cedar(document, folder)
    config, problems = judge(document, References(env, folder))
    findings = [*findings, *unread, *problems]
    if findings or config is None:
        raise ConfigInvalid(findings)
    if servers is not None:
        config = config.model_copy(update={"servers": _with_facts(servers, config.servers)})
    config._cedar_sources = sources
    return config


def _facts_alone(tree: dict[str, Any], servers: Mapping[str, Server]) -> dict[str, dict[str, Any]]:
    """What the file knows of each server, without how to reach it: that is the caller's affair, and may not resolve."""
    written = tree.get("servers")
    known = written if isinstance(written, dict) else {}
    return {
        alias: {"command": "-"} | {key: known[alias][key] for key in _FACT_KEYS if key in (known.get(alias) or {})}
        for alias in servers
    }


def _with_facts(servers: Mapping[str, Server], known: Mapping[str, Server]) -> dict[str, Server]:
    return {
        alias: server.model_copy(update={name: getattr(known[alias], name) for name in _FACTS})
        for alias, server in servers.items()
    }


def find(explicit: Path | None, env: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Path:
    """The file to load: ``--config``, ``$FUSEBOARD_CONFIG``, ``./fuseboard.yaml``, the user's configuration folder.

    Raises:
        ConfigError: where the named file, or any file, is missing.
    """
    named = explicit or (Path(env["FUSEBOARD_CONFIG"]) if env.get("FUSEBOARD_CONFIG") else None)
    if named is not None:
        if named.is_file() or named.is_fifo():
            return named
        source = "--config" if explicit else "FUSEBOARD_CONFIG"
        raise ConfigError(f"{named}: no such file, named by {source}")
    places = list(_places(cwd))
    for place in places:
        if place.is_file():
            return place
    looked = "\n".join(f"  {place}" for place in places if place.suffix == ".yaml")
    raise ConfigError(
        f"no configuration found. Looked for\n{looked}\n"
        "Name one with --config FILE, or run one server without a file: fuseboard wrap -- COMMAND ARGS…"
    )


def wrapped(
    name: str | None = None,
    *,
    command: Sequence[str] = (),
    url: str | None = None,
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Config:
    """The configuration of ``fuseboard wrap``: one server, every other key at its default.

    Raises:
        ConfigError: the command, URL or name cannot be used.
    """
    from pydantic import ValidationError

    if bool(command) == bool(url):
        raise ConfigError("one of a command and a URL is expected")
    server: dict[str, object]
    if url:
        server = {"url": url, "headers": dict(headers or {})}
    else:
        server = {"command": command[0], "args": list(command[1:]), "env": dict(env or {})}
    try:
        return Config.model_validate({"servers": {name or _name(command, url): server}})
    except ValidationError as error:
        raise ConfigError("; ".join(detail["msg"] for detail in error.errors(include_input=False))) from None


def digest(config: Config) -> str:
    """Twelve hex digits that change when the configuration does: recorded with each decision.

    Over what the file says, with references as they are written and other secrets masked; not over comments and order
    of keys. The texts of Cedar files count.
    """
    content = [config.model_dump(mode="json"), config.cedar_sources]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) <= _MOST_BYTES:
            return raw.decode("utf-8-sig")
        problem = f"cannot be read: larger than {_MOST_BYTES:,} bytes"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        problem = f"cannot be read: byte {error.start} is not UTF-8"
    raise ConfigInvalid([Finding(name, 0, 0, "", problem)])


def _cedar(document: Document, folder: Path) -> tuple[tuple[tuple[str, str], ...], list[Finding]]:
    """The texts of the files that ``cedar`` names, and what could not be read."""
    named = document.tree.get("cedar", ()) if isinstance(document.tree, dict) else ()
    sources: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for index, name in enumerate([named] if isinstance(named, str) else named if isinstance(named, list) else ()):
        try:
            file = folder / Path(str(name)).expanduser()
            sources.append((os.fspath(file), file.read_text("utf-8-sig")))
        except (OSError, RuntimeError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            findings.append(document.finding(("cedar", index), f"the file {name} cannot be read: {reason}"))
    return tuple(sources), findings


def _places(cwd: Path | None) -> Iterator[Path]:
    from platformdirs import user_config_path

    for folder in (cwd or Path.cwd(), user_config_path("fuseboard", appauthor=False)):
        yield from (folder / name for name in _NAMES)


def _name(command: Sequence[str], url: str | None) -> str:
    """A name for the only server: the last word of the command that is no option, or the host."""
    if url:
        return alias_of(url.partition("://")[2].partition("/")[0].partition(":")[0])
    words = [word for word in command if not word.startswith("-") and word not in ("npx", "uvx", "python", "node")]
    return alias_of((words or list(command))[0].rstrip("/").rpartition("/")[2].removesuffix(".py").removesuffix(".js"))
