from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from fuseboard import approvals
from fuseboard.adapters.approvals import webhook
from fuseboard.adapters.approvals.webhook import AT_ONCE, PAUSES_S, SIGNATURE, Webhook, body_of, signature
from fuseboard.approvals import PENDING, Approval
from fuseboard.reviews import RunState
from support.judging import DEPLOY, call
from support.virtual_time import anyio_backend  # noqa: F401

SECRET = "a-secret-of-the-house"


def asked(**changes: Any) -> Approval:
    bound = approvals.of_call(call(DEPLOY), (("p", "r"),), "c")
    return Approval("a-1", bound, PENDING, 1, "ci__deploy", "destructive", "why", '{"n": 1}', ("cli",), 1.0, 60.0)


class Receiver:
    """``answers`` are statuses or faults, the last one for ever."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.got: list[tuple[float, str, bytes, dict[str, str]]] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.got.append((0.0, url, body, headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time does not wait for threads."""

    async def run(send: Any, **kwargs: Any) -> Any:
        return send()

    monkeypatch.setattr(anyio.to_thread, "run_sync", run)


@pytest.mark.usefixtures("in_place")
async def test_a_question_is_told_with_a_signature_that_the_other_side_can_check() -> None:
    receiver = Receiver(204)
    async with anyio.create_task_group() as tasks:
        Webhook("https://h/x", SECRET, tasks, lambda: 99.5, lambda: "http://p/approvals", post=receiver).asked(asked())
    ((_, url, body, headers),) = receiver.got
    assert url == "https://h/x"
    mark = hmac.new(SECRET.encode(), b"99." + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"t=99,v1={mark}"
    told = json.loads(body)
    assert (told["type"], told["id"], told["kind"]) == ("approval.asked", "a-1", "call")
    assert told["url"] == "http://p/approvals/a-1"
    assert SECRET not in body.decode()


def test_of_a_paused_run() -> None:
    told = body_of(
        Approval("a-1", approvals.of_pause("r1", RunState()), PENDING, 1, "t", "", "", "", (), 0.0, 1.0), None
    )
    assert (told["kind"], told["run"], told["url"]) == ("run", "r1", None)


@pytest.mark.usefixtures("in_place")
async def test_it_tries_again_and_then_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(OSError("https://h/secret refused"), 500)
    began = anyio.current_time()
    with caplog.at_level(logging.WARNING):
        async with anyio.create_task_group() as tasks:
            Webhook("https://h/secret", SECRET, tasks, lambda: 0.0, lambda: None, post=receiver).asked(asked())
    assert len(receiver.got) == len(PAUSES_S) + 1
    assert anyio.current_time() - began == sum(PAUSES_S)
    assert "HTTP 500" in caplog.text
    assert "h/secret" not in caplog.text


@pytest.mark.usefixtures("in_place")
async def test_what_comes_too_fast_is_dropped_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(204)
    async with anyio.create_task_group() as tasks:
        hook = Webhook("https://h/x", SECRET, tasks, lambda: 0.0, lambda: None, post=receiver)
        for _ in range(AT_ONCE + 1):
            hook.asked(asked())
    assert len(receiver.got) == AT_ONCE
    assert "is behind" in caplog.text


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(302 if self.path == "/away" else 204)
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            return None

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listener:
        serving = threading.Thread(target=listener.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{listener.server_port}", got
        listener.shutdown()
        serving.join()


def test_over_real_http_and_to_no_other_place(server: tuple[str, list[tuple[str, bytes]]]) -> None:
    url, got = server
    assert webhook._post(f"{url}/here?a=1", b"{}", {}) == 204
    assert webhook._post(f"{url}/away", b"{}", {}) == 302
    assert got == [("/here?a=1", b"{}"), ("/away", b"{}")]


def test_a_signature_is_of_its_time() -> None:
    assert signature(b"k", b"{}", at=1) != signature(b"k", b"{}", at=2)
