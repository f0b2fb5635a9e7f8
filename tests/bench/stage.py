"""The stage: upstreams that run, targets that run in front of them, connections to those."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import counters
import processes
from targets import Site, Target
from wire import Connection, Http, Pipe, Question, WireError, answer

READY_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Shape:
    """How many upstreams, with how many tools each, in front and behind."""

    front: str
    back: str
    era: str
    upstreams: int = 1
    tools: int = 10

    @property
    def path(self) -> str:
        return f"{self.front}->{self.back}"


@dataclass(slots=True)
class Act:
    """A target that runs, ready to be called."""

    target: Target
    shape: Shape
    site: Site
    process: subprocess.Popen[bytes] | None
    counters: Path
    upstream_pids: list[int]
    log: Path
    tool: str = "echo"
    ready_s: float = 0.0
    _pipe: Pipe | None = None
    _last_id: int = 100

    @property
    def pids(self) -> list[int]:
        return processes.tree(self.process.pid) if self.process else self.upstream_pids

    def received(self) -> Counter[str]:
        """What the upstreams behind this target have received so far."""
        return counters.total(self.counters)

    def take_ids(self, count: int) -> int:
        self._last_id += count
        return self._last_id - count

    async def connect(self, count: int) -> list[Connection]:
        """Callers: sessions of their own over HTTP, places on the one pipe over stdio."""
        if self.shape.front == "stdio":
            assert self.process
            self._pipe = self._pipe or await Pipe.open(self.process, self.shape.era)
            return [self._pipe] * count
        return list(await asyncio.gather(*(Http.open(self.site.port, self.shape.era) for _ in range(count))))

    def release(self, callers: list[Connection]) -> None:
        if self.shape.front == "http":
            for caller in callers:
                caller.close()

    async def wait_until_ready(self, started: float) -> None:
        """Wait for the first listing that has the echo tool, and learn by what name.

        Raises:
            WireError: the target ended or never came that far.
        """
        end = started + READY_LIMIT_S
        reason = "it took too long"
        while time.perf_counter() < end and (self.process is None or self.process.poll() is None):
            try:
                self.tool = await self._find_echo()
                self.ready_s = time.perf_counter() - started
                return
            except (OSError, WireError, StopIteration) as fault:
                reason = f"{type(fault).__name__}: {fault}"
                await asyncio.sleep(0.01)
        tail = self.log.read_bytes()[-1500:].decode(errors="replace")
        raise WireError(f"{self.target.name} is not ready: {reason}\n{tail}")

    async def _find_echo(self) -> str:
        callers = await self.connect(1)
        try:
            tools = await answer(callers[0], self.take_ids(1), Question.of(self.shape.era, "tools/list", {}))
        finally:
            self.release(callers)
        names = [tool["name"] for tool in tools["tools"] if tool["name"].endswith("echo")]
        if len(names) < self.shape.upstreams and self.target.name.startswith("fuseboard"):
            raise WireError(f"only {len(names)} of {self.shape.upstreams} upstreams are listed")
        if not names:
            raise WireError("no echo tool is listed")
        name: str = names[0]
        return name


@contextmanager
def upstreams(
    target: Target, shape: Shape, folder: Path, cores: processes.Cores
) -> Iterator[tuple[list[int], tuple[str, ...]]]:
    """Echo servers over HTTP: their process ids and addresses. Over stdio the targets start their own."""
    ports = [processes.free_port() for _ in range(shape.upstreams)]
    urls = tuple(f"http://127.0.0.1:{port}/mcp" for port in ports)
    if shape.back == "stdio" and not is_upstream(target, shape):
        yield [], urls
        return
    command = [sys.executable, str(processes.ECHO), "--tools", str(shape.tools), "--counters", str(folder)]
    started = []
    try:
        for port in ports:
            arguments = [*command, "--port", str(port)]
            started.append(subprocess.Popen(arguments, preexec_fn=processes.pin(cores.client), start_new_session=True))
        for port, process in zip(ports, started, strict=True):
            if not processes.wait_for_port(port, process):
                raise WireError("an echo upstream did not start")
        yield [process.pid for process in started], urls
    finally:
        for process in started:
            processes.end(process)


@contextmanager
def running(target: Target, shape: Shape, cores: processes.Cores) -> Iterator[tuple[Act, float]]:
    """Start a target on upstreams of its own; also the time of the start, of ``perf_counter``."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuseboard-bench-")))
        counts = home / "counters"
        counts.mkdir()
        pids, urls = stack.enter_context(upstreams(target, shape, counts, cores))
        alone = is_upstream(target, shape)
        port = int(urls[0].split(":")[2].split("/")[0]) if alone else processes.free_port()
        site = Site(shape.front, shape.back, shape.era, port, urls, echo_command(shape, counts, cores), home)
        started, process, log = time.perf_counter(), None, home / "log"
        log.touch()
        if not alone:
            assert target.command
            process = start(target.command(site), shape, home, log, cores)
            stack.callback(processes.end, process)
        yield Act(target, shape, site, process, counts, pids, log), started


def is_upstream(target: Target, shape: Shape) -> bool:
    """Whether the target is the HTTP echo server itself."""
    return target.name == "direct" and shape.front == "http"


def echo_command(shape: Shape, counts: Path, cores: processes.Cores) -> tuple[str, ...]:
    pinned = [] if cores.client is None else ["--cpu", str(cores.client)]
    options = ["--stdio", "--tools", str(shape.tools), "--counters", str(counts), *pinned]
    return (sys.executable, str(processes.ECHO), *options)


def start(command: list[str], shape: Shape, home: Path, log: Path, cores: processes.Cores) -> subprocess.Popen[bytes]:
    piped: Any = subprocess.PIPE if shape.front == "stdio" else subprocess.DEVNULL
    with log.open("ab") as err:
        return subprocess.Popen(
            command,
            stdin=piped,
            stdout=piped if shape.front == "stdio" else err,
            stderr=err,
            cwd=home,
            bufsize=0,
            preexec_fn=processes.pin(cores.proxy),
            start_new_session=True,
        )
