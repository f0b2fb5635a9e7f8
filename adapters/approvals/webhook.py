"""A webhook: somebody elsewhere is told that a person is asked. Best effort, in the background; it answers nothing."""

from __future__ import annotations

import functools
import hashlib
import hmac
import http.client
import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import anyio
import anyio.abc
import anyio.to_thread
import msgspec

from fuseboard.approvals import Approval

SIGNATURE: Final = "Fuseboard-Signature"
TIMEOUT_S: Final = 10.0
PAUSES_S: Final = (1.0, 5.0, 25.0)
"""How long after each failure it is tried again."""

AT_ONCE: Final = 16
"""How many notices may be under way; what comes on top is dropped, for the questions stand in the inbox anyway."""

_log = logging.getLogger("fuseboard.webhook")

Post: TypeAlias = Callable[[str, bytes, dict[str, str]], int]
"""Sends a body to a URL and gives the status. May block and raise ``OSError`` or ``http.client.HTTPException``."""


class Webhook:
    """``clock`` gives Unix seconds, ``page`` the address of the approval page, if there is one."""

    def __init__(
        self,
        url: str,
        secret: str,
        tasks: anyio.abc.TaskGroup,
        clock: Callable[[], float],
        page: Callable[[], str | None],
        *,
        post: Post | None = None,
    ) -> None:
        self._url = url
        self._secret = secret.encode()
        self._tasks = tasks
        self._clock = clock
        self._page = page
        self._post = post or _post
        self._under_way = 0

    def asked(self, approval: Approval) -> None:
        """Tell of a new question. Never waits."""
        if self._under_way >= AT_ONCE:
            _log.warning("the webhook is behind: nothing is told of %s", approval.id)
            return
        self._under_way += 1
        self._tasks.start_soon(self._tell, approval.id, msgspec.json.encode(body_of(approval, self._page())))

    async def _tell(self, id: str, body: bytes) -> None:
        try:
            for pause_s in (*PAUSES_S, None):
                if (fault := await self._sent(body)) is None:
                    return
                _log.warning("the webhook was not told of %s: %s", id, fault)
                if pause_s is not None:
                    await anyio.sleep(pause_s)
        finally:
            self._under_way -= 1

    async def _sent(self, body: bytes) -> str | None:
        """What went wrong, if anything did. Never with the address, which may hold a secret."""
        at = int(self._clock())
        headers = {"Content-Type": "application/json", SIGNATURE: signature(self._secret, body, at=at)}
        try:
            send = functools.partial(self._post, self._url, body, headers)
            status = await anyio.to_thread.run_sync(send, abandon_on_cancel=True)
        except (OSError, http.client.HTTPException) as fault:
            return type(fault).__name__
        return None if 200 <= status < 300 else f"HTTP {status}"


def signature(secret: bytes, body: bytes, *, at: int) -> str:
    """``t=…,v1=…``: HMAC-SHA256 of the time, a dot and the body. Whoever checks it refuses old times, too."""
    mark = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mark}"


def body_of(approval: Approval, page: str | None) -> dict[str, Any]:
    binding = approval.binding
    return {
        "type": "approval.asked",
        "id": approval.id,
        "kind": "run" if binding.resumes else "call",
        "run": binding.run,
        "principal": binding.principal,
        "tool": approval.tool,
        "effect": approval.effect,
        "why": approval.why,
        "arguments": approval.arguments,
        "created_at": approval.created_at,
        "expires_at": approval.expires_at,
        "url": f"{page}/{approval.id}" if page else None,
    }


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Follows no redirect: what is signed for one place is for no other."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()
