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


def listed(pending: Sequence[Approval], withheld: str = "") -> bytes:
    """What waits. Asked for again every few seconds, without a script. ``withheld`` is a table that is safe to show."""
    if not pending and withheld:
        return sheet("Waiting for you", withheld, refresh_s=5)
    if not pending:
        return sheet("Nothing waits for you", "<p>Nothing waits for you.</p>", refresh_s=5)
    rows = "".join(
        f'<tr><td><a href="/approvals/{safe(one.id)}">{safe(one.id)}</a></td><td>{_subject(one)}</td>'
        f"<td>{safe(one.why)}</td><td>{when(one.expires_at)}</td></tr>"
        for one in pending
    )
    head = "<tr><th>id</th><th>what</th><th>why</th><th>open until</th></tr>"
    return sheet("Waiting for you", f"<table>{head}{rows}</table>{withheld}", refresh_s=5)


def one(approval: Approval, mark: str, *, at: float, note: Note | None = None) -> bytes:
    """One question, with a form where it can still be answered. ``note`` is what the agent said of its progress."""
    binding = approval.binding
    facts = [("run", binding.run), ("principal", binding.principal), ("client, as it calls itself", approval.client)]
    facts += [("why", approval.why), ("definition", binding.definition), ("arguments, digest", binding.arguments)]
    if binding.resumes:
        facts = [("run", binding.run), ("why", approval.why)]
        facts += [("in the agent's own words", line) for line in (note.lines() if note is not None else ())]
    listing = "".join(f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>" for name, value in facts if value)
    times = f"<dt>asked</dt><dd>{when(approval.created_at)}</dd><dt>until</dt><dd>{when(approval.expires_at)}</dd>"
    shown = (
        "" if binding.resumes or not approval.arguments else f"<h2>Arguments</h2><pre>{safe(approval.arguments)}</pre>"
    )
    form = _form(approval, mark) if approval.status == PENDING and at < approval.expires_at else _answered(approval)
    return sheet(approval.id, f"<p>{_subject(approval)}</p><dl>{listing}{times}</dl>{shown}{form}{BACK}")


def said(title: str, text: str, *, back: str | None = None) -> bytes:
    """A plain message; ``back`` is a path of ours to go on to."""
    link = f'<p><a href="{safe(back)}">Go on</a></p>' if back else ""
    return sheet(title, f"<p>{safe(text)}</p>{link}")


BACK: Final = '<p><a href="/approvals">All that waits</a></p>'


def _form(approval: Approval, mark: str) -> str:
    return (
        f'<form method="post" action="/approvals/{safe(approval.id)}">'
        f'<input type="hidden" name="mark" value="{safe(mark)}">'
        f'<input type="hidden" name="serial" value="{approval.serial}">'
        f'<label>Reason, told to the agent where you reject<textarea name="say" maxlength="{LONGEST_SAY}"></textarea>'
        '</label><button name="decision" value="approve">Approve once</button>'
        '<button name="decision" value="reject">Reject</button></form>'
    )


def _answered(approval: Approval) -> str:
    if approval.status == PENDING:
        return "<p>This has expired. The agent has to ask again.</p>"
    by = f" by {safe(approval.by)}" if approval.by else ""
    say = f": {safe(approval.say)}" if approval.say else ""
    status, since = ("approved", ", and used since") if approval.status == SPENT else (approval.status, "")
    return f"<p>{safe(status)}{by}{say}{since}</p>"


def _subject(approval: Approval) -> str:
    if approval.binding.resumes:
        return f"Let run {safe(approval.binding.run)} go on"
    kind = ' class="destructive"' if approval.effect == "destructive" else ""
    return f"Call {safe(approval.tool)} <span{kind}>({safe(approval.effect)})</span>"


def sheet(title: str, body: str, *, refresh_s: int | None = None) -> bytes:
    """A whole page. Whatever of a stranger stands in ``body`` went through :func:`safe`."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{safe(title)} - fuseboard</title><style>{_STYLE}</style></head>"
        f"<body><h1>{safe(title)}</h1>{body}</body></html>"
    ).encode(errors="replace")


def safe(value: object) -> str:
    """Any text as text: nothing in it is markup, and what nobody sees is escaped."""
    return escape(visible(str(value)))


def when(at: float) -> str:
    """Unix seconds as the local date and time."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
