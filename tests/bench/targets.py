"""What is measured: each target is a name, a command for a site, and what must be installed for it."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wire import MODERN

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Site:
    """Where a target is started: ``front`` and ``back`` are ``stdio`` or ``http``, ``home`` is a folder of its own."""

    front: str
    back: str
    era: str
    port: int
    urls: tuple[str, ...]
    command: tuple[str, ...]
    home: Path

    @property
    def front_args(self) -> list[str]:
        return ["--stdio"] if self.front == "stdio" else ["--port", str(self.port)]

    @property
    def back_args(self) -> list[str]:
        return ["--url", self.urls[0]] if self.back == "http" else ["--command", shlex.join(self.command)]

    def servers(self) -> dict[str, dict[str, Any]]:
        """The upstreams as an ``mcpServers`` block."""
        command, *args = self.command
        stdio = {"command": command, "args": args}
        return {f"u{i}": {"url": url} if self.back == "http" else stdio for i, url in enumerate(self.urls)}


@dataclass(frozen=True, slots=True)
class Target:
    """``missing`` says why it cannot run here, or nothing."""

    name: str
    command: Callable[[Site], list[str]] | None
    missing: Callable[[], str | None]
    fronts: tuple[str, ...] = ("stdio", "http")
    backs: tuple[str, ...] = ("stdio", "http")


def needs(*modules: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        return f"pip install {' '.join(absent)}" if absent else None

    return missing


def direct() -> Target:
    """The client at the echo server itself, which is what every `added` is counted from."""
    return Target("direct", lambda site: list(site.command), lambda: None)


def relay_govern() -> Target:
    def command(site: Site) -> list[str]:
        audit = ["--audit", str(site.home / "audit.jsonl")]
        return [sys.executable, str(HERE / "floors/relay.py"), *site.front_args, *site.back_args, *audit]

    return Target("relay-govern", command, needs("orjson", "uvloop", "jsonschema_rs"))


def asgi_govern() -> Target:
    def command(site: Site) -> list[str]:
        audit = ["--audit", str(site.home / "audit.jsonl")]
        return [sys.executable, str(HERE / "floors/asgi.py"), *site.front_args, *site.back_args, *audit]

    modules = needs("orjson", "aiohttp", "uvicorn", "httptools", "uvloop", "jsonschema_rs")
    return Target("asgi-govern", command, modules, ("http",), ("http",))


def sdk_min() -> Target:
    def command(site: Site) -> list[str]:
        mode = ["--mode", "auto" if site.era == MODERN else "legacy"]
        return [sys.executable, str(HERE / "floors/sdk.py"), *site.front_args, *site.back_args, *mode]

    return Target("sdk-min", command, needs("mcp", "uvicorn"))


def fastmcp(python: str | None) -> Target:
    def command(site: Site) -> list[str]:
        servers = site.home / "servers.json"
        servers.write_text(json.dumps({"mcpServers": site.servers()}))
        script = str(HERE / "floors/fastmcp_proxy.py")
        return [python or sys.executable, script, *site.front_args, "--servers", str(servers)]

    def missing() -> str | None:
        if python or importlib.util.find_spec("fastmcp"):
            return None
        return "pip install fastmcp into an environment of its own and name it: --fastmcp-python PYTHON"

    return Target("fastmcp", command, missing)


def nginx() -> Target:
    def command(site: Site) -> list[str]:
        text = (HERE / "floors/nginx.conf").read_text()
        values = {"@HOME@": str(site.home), "@PORT@": str(site.port), "@UPSTREAM@": site.urls[0].split("/")[2]}
        for word, value in values.items():
            text = text.replace(word, value)
        (site.home / "nginx.conf").write_text(text)
        return ["nginx", "-e", str(site.home / "error.log"), "-p", str(site.home), "-c", str(site.home / "nginx.conf")]

    missing = "install nginx"
    return Target("nginx", command, lambda: None if shutil.which("nginx") else missing, ("http",), ("http",))


def fuseboard(variant: str, program: list[str]) -> Target:
    """Ours under ``configs/VARIANT.yaml``, with the site's upstreams in the place of the file's only one."""

    def command(site: Site) -> list[str]:
        config = site.home / "fuseboard.yaml"
        config.write_text(json.dumps(configuration(variant, site)))
        front = ["--stdio"] if site.front == "stdio" else ["--http", f"127.0.0.1:{site.port}"]
        return [*program, "serve", "--config", str(config), *front, "--state", str(site.home / "state")]

    def missing() -> str | None:
        return None if shutil.which(program[0]) else f"{program[0]} is not there: pip install -e ."

    return Target(f"fuseboard-{variant}", command, missing)


def configuration(variant: str, site: Site) -> dict[str, Any]:
    from ruamel.yaml import YAML

    document: dict[str, Any] = YAML(typ="safe").load(HERE / f"configs/{variant}.yaml")
    facts = {"tools": document["servers"]["up"].get("tools", {})}
    document["servers"] = {name: {**server, **facts} for name, server in site.servers().items()}
    return document


def fuseboard_wrap(program: list[str]) -> Target:
    """Ours as a user without a file starts it."""

    def command(site: Site) -> list[str]:
        front = [] if site.front == "stdio" else ["--http", f"127.0.0.1:{site.port}"]
        back = ["--", *site.command] if site.back == "stdio" else [site.urls[0]]
        return [*program, "wrap", "--state", str(site.home / "state"), *front, *back]

    def missing() -> str | None:
        return None if shutil.which(program[0]) else f"{program[0]} is not there: pip install -e ."

    return Target("fuseboard-wrap", command, missing)
