"""The approval pages: raw ASGI beside the HTTP edge, which has looked at Host and Origin already.

An answer takes the operator's cookie, a mark that only our own form knows, and an Origin that is ours. The edge's
bearer tokens open nothing here: an agent has one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

from fuseboard.adapters.web import html
from fuseboard.adapters.web.door import Door, Visitor
from fuseboard.adapters.web.withheld import Withheld
from fuseboard.approvals import Unsettled
from fuseboard.errors import StoreUnavailable
from fuseboard.inbox import Inbox
from fuseboard.quarantine import Unknown

ROOT: Final = "/approvals"
BODY_BYTES: Final = 16_384

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Fields: TypeAlias = dict[str, list[str]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]

_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", html.POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, browsers say "Origin: null" when they send our own form
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_CLOSED: Final = (
    "Open the link that stands on the operator's terminal; it is good once, and a new one is printed each time. "
    "If you did so in this browser already, just go on."
)


class Answer(Exception):
    """An answer that is no page of what waits."""

    def __init__(self, status: int, title: str, text: str, *, back: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.page = html.said(title, text, back=back)


class Pages:
    """The ASGI application for :data:`ROOT` and below.

    ``operator`` is who answers here, as the trace will say. ``anywhere`` lets in others than this machine's own.
    ``withheld`` are the results that wait for a person, where any are kept.
    """

    def __init__(
        self,
        inbox: Inbox,
        door: Door,
        now: Callable[[], float],
        *,
        operator: str,
        anywhere: bool = False,
        withheld: Withheld | None = None,
    ) -> None:
        self._inbox = inbox
        self._door = door
        self._now = now
        self._operator = operator
        self._anywhere = anywhere
        self._withheld = withheld

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        try:
            status, body, headers = await self._answer(scope, receive)
        except Answer as answer:
            status, body, headers = answer.status, answer.page, ()
        except (Unsettled, Unknown) as fault:
            status, body, headers = 409, html.said("Not any more", str(fault), back=ROOT), ()
        except StoreUnavailable:
            text = "The ledger cannot be read or written; the log of the proxy says more."
            status, body, headers = 503, html.said("No ledger", text, back=ROOT), ()
        head = [*_HEADERS, (b"content-length", b"%d" % len(body)), *headers]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: _Message, receive: _Receive) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        if not self._anywhere and not _is_local(scope):
            raise Answer(403, "Not from there", "These pages are for this machine alone.")
        path: str = scope["path"]
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if scope["method"] not in ("GET", "POST"):
            raise Answer(405, "Not so", "These pages know GET and POST.")
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET" and "token" in query:
            return self._enter(path, query["token"][-1])
        visitor = self._door.visitor(headers.get(b"cookie"))
        if visitor is None:
            raise Answer(401, "Who are you?", _CLOSED, back=path if _is_ours(path) else ROOT)
        if path == ROOT and scope["method"] == "GET":
            withheld = await self._withheld.table() if self._withheld is not None else ""
            return 200, html.listed(await self._inbox.pending(), withheld), ()
        if not _is_ours(path) or path == ROOT:
            raise Answer(404, "Nothing is here", "There is no such page.", back=ROOT)
        id = path.removeprefix(ROOT + "/")
        if scope["method"] == "POST":
            form = await _form(headers, receive)
            if self._withheld is not None and self._withheld.owns(id):
                return await self._judge(id, visitor, form, self._withheld)
            return await self._decide(id, visitor, form)
        if self._withheld is not None and self._withheld.owns(id):
            return 200, await self._withheld.one(id, visitor, query.get("from", ["0"])[-1]), ()
        return await self._show(id, visitor)

    def _enter(self, path: str, token: str) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        cookie = self._door.enter(token)
        if cookie is None:
            raise Answer(403, "Not good any more", "This link was used already, or is no link of ours. " + _CLOSED)
        # Away from the address that holds the token: histories and logs keep addresses.
        place = path if _is_ours(path) else ROOT
        return 303, b"", ((b"set-cookie", cookie.encode()), (b"location", place.encode()))

    async def _show(self, id: str, visitor: Visitor) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        approval = await self._inbox.find(id)
        if approval is None:
            raise Answer(404, "Not known", "There is no such question, or not any more.", back=ROOT)
        mark = visitor.mark(f"{approval.id}.{approval.serial}")
        note = await self._inbox.checkpoint(approval.binding.run) if approval.binding.resumes else None
        return 200, html.one(approval, mark, at=self._now(), note=note), ()

    async def _judge(
        self, id: str, visitor: Visitor, form: _Fields, withheld: Withheld
    ) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        decision, mark = (form.get(name, [""])[-1] for name in ("decision", "mark"))
        if not visitor.marked(id, mark):
            raise Answer(403, "Not from there", "An answer must come from a page of ours (CSRF).", back=ROOT)
        if decision not in ("release", "drop"):
            raise Answer(400, "Not so", "Release or drop.", back=ROOT)
        await withheld.decide(id, decision, by=self._operator)
        return 303, b"", ((b"location", ROOT.encode()),)

    async def _decide(
        self, id: str, visitor: Visitor, form: _Fields
    ) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        decision, serial, mark = (form.get(name, [""])[-1] for name in ("decision", "serial", "mark"))
        if not visitor.marked(f"{id}.{serial}", mark):
            raise Answer(403, "Not from there", "An answer must come from a page of ours (CSRF).", back=ROOT)
        if decision not in ("approve", "reject") or not serial.isdigit():
            raise Answer(400, "Not so", "Approve or reject.", back=ROOT)
        await self._inbox.decide(
            id,
            approve=decision == "approve",
            by=self._operator,
            through="web",
            say=form.get("say", [""])[-1][: html.LONGEST_SAY],
            serial=int(serial),
        )
        return 303, b"", ((b"location", f"{ROOT}/{id}".encode()),)


async def _form(headers: dict[bytes, str], receive: _Receive) -> _Fields:
    """What was sent by a form of ours, in the operator's own browser."""
    if urlsplit(headers.get(b"origin", "")).netloc.lower() != headers.get(b"host", "?").lower():
        raise Answer(403, "Not from there", "An answer must come from a page of ours (Origin).")
    if headers.get(b"sec-fetch-site", "same-origin") != "same-origin":
        raise Answer(403, "Not from there", "An answer must come from a page of ours (Sec-Fetch-Site).")
    if headers.get(b"content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Answer(415, "Not so", "An answer is a form.")
    return parse_qs((await _body(receive)).decode(errors="replace"), max_num_fields=16)


async def _body(receive: _Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Answer(400, "Not so", "The answer broke off.")
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            raise Answer(413, "Too long", "An answer is short.")
        if not message.get("more_body", False):
            return bytes(body)


def _is_ours(path: str) -> bool:
    """Whether a path may stand in a header or a link of ours."""
    rest = path.removeprefix(ROOT)
    return (
        path.startswith(ROOT)
        and (not rest or (rest[0] == "/" and rest[1:].replace("-", "").isalnum()))
        and path.isascii()
    )


def _is_local(scope: _Message) -> bool:
    client = scope.get("client")
    if not client:
        return False
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
