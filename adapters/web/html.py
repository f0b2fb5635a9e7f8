"""The approval pages as HTML: no script, nothing from elsewhere, and every text of a stranger escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from fuseboard.approvals import PENDING, SPENT, Approval
from fuseboard.checkpoint import Note
from fuseboard.petitions import visible

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}h1{font-size:1.3rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;"
    "padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}pre{background:#f5f5f5;border:1px solid #ccc;"
    "padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}dt{font-weight:600;margin-top:.6rem}dd{margin:0}"
    "textarea{width:100%;height:4rem}button{font:inherit;padding:.4rem 1.2rem;margin:.6rem .6rem 0 0}"
    ".destructive{color:#a40000;font-weight:600}"
)

POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of all pages."""

LONGEST_SAY: Final = 1000


def listed(pending: Sequence[Approval]) -> bytes:
    """What waits. Asked for again every few seconds, without a script."""
    if not pending:
        return _page("Nothing waits for you", "<p>Nothing waits for you.</p>", refresh_s=5)
    rows = "".join(
        f'<tr><td><a href="/approvals/{_text(one.id)}">{_text(one.id)}</a></td><td>{_subject(one)}</td>'
        f"<td>{_text(one.why)}</td><td>{_time(one.expires_at)}</td></tr>"
        for one in pending
    )
    head = "<tr><th>id</th><th>what</th><th>why</th><th>open until</th></tr>"
    return _page("Waiting for you", f"<table>{head}{rows}</table>", refresh_s=5)


def one(approval: Approval, mark: str, *, at: float, note: Note | None = None) -> bytes:
    """One question, with a form where it can still be answered. ``note`` is what the agent said of its progress."""
    binding = approval.binding
    facts = [("run", binding.run), ("principal", binding.principal), ("client, as it calls itself", approval.client)]
    facts += [("why", approval.why), ("definition", binding.definition), ("arguments, digest", binding.arguments)]
    if binding.resumes:
        facts = [("run", binding.run), ("why", approval.why)]
        facts += [("in the agent's own words", line) for line in (note.lines() if note is not None else ())]
    listing = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts if value)
    times = f"<dt>asked</dt><dd>{_time(approval.created_at)}</dd><dt>until</dt><dd>{_time(approval.expires_at)}</dd>"
    shown = "" if binding.resumes else f"<h2>Arguments</h2><pre>{_text(approval.arguments)}</pre>"
    form = _form(approval, mark) if approval.status == PENDING and at < approval.expires_at else _answered(approval)
    return _page(approval.id, f"<p>{_subject(approval)}</p><dl>{listing}{times}</dl>{shown}{form}{_BACK}")


def said(title: str, text: str, *, back: str | None = None) -> bytes:
    """A plain message; ``back`` is a path of ours to go on to."""
    link = f'<p><a href="{_text(back)}">Go on</a></p>' if back else ""
    return _page(title, f"<p>{_text(text)}</p>{link}")


_BACK: Final = '<p><a href="/approvals">All that waits</a></p>'


def _form(approval: Approval, mark: str) -> str:
    return (
        f'<form method="post" action="/approvals/{_text(approval.id)}">'
        f'<input type="hidden" name="mark" value="{_text(mark)}">'
        f'<input type="hidden" name="serial" value="{approval.serial}">'
        f'<label>Reason, told to the agent where you reject<textarea name="say" maxlength="{LONGEST_SAY}"></textarea>'
        '</label><button name="decision" value="approve">Approve once</button>'
        '<button name="decision" value="reject">Reject</button></form>'
    )


def _answered(approval: Approval) -> str:
    if approval.status == PENDING:
        return "<p>This has expired. The agent has to ask again.</p>"
    by = f" by {_text(approval.by)}" if approval.by else ""
    say = f": {_text(approval.say)}" if approval.say else ""
    status, since = ("approved", ", and used since") if approval.status == SPENT else (approval.status, "")
    return f"<p>{_text(status)}{by}{say}{since}</p>"


def _subject(approval: Approval) -> str:
    if approval.binding.resumes:
        return f"Let run {_text(approval.binding.run)} go on"
    kind = ' class="destructive"' if approval.effect == "destructive" else ""
    return f"Call {_text(approval.tool)} <span{kind}>({_text(approval.effect)})</span>"


def _page(title: str, body: str, *, refresh_s: int | None = None) -> bytes:
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{_text(title)} - fuseboard</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_text(title)}</h1>{body}</body></html>"
    ).encode(errors="replace")


def _text(value: object) -> str:
    return escape(visible(str(value)))


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
