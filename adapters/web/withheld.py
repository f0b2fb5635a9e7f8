"""Results that were withheld, on the approval pages: looked at as text, let go or forgotten; behind the same door."""

from __future__ import annotations

from typing import Final

from fuseboard import rest
from fuseboard.adapters.web import html
from fuseboard.adapters.web.door import Visitor
from fuseboard.errors import StoreUnavailable
from fuseboard.quarantine import Quarantine, Unknown
from fuseboard.vault import WITHHELD, Held, Kept

SHOWN_BYTES: Final = 65_536
"""Of a result stand on one page."""

_MOST: Final = 200
"""So many stand in the table, the newest of them."""


class Withheld:
    """Nothing of a result is markup here: it is shown as the text that it is."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine

    def owns(self, id: str) -> bool:
        """Whether that is the handle of something withheld, and no approval's id."""
        return id.startswith("q-")

    async def table(self) -> str:
        """Those that wait, as HTML; empty where none do, or nobody knows. The approvals beside it matter more."""
        try:
            kept = [one for one in await self._quarantine.listed() if one.status == WITHHELD]
        except StoreUnavailable:
            return "<p>What was withheld cannot be looked for now; the log of the proxy says more.</p>"
        if not kept:
            return ""
        rows = "".join(
            f'<tr><td><a href="/approvals/{html.safe(one.handle)}">{html.safe(one.handle)}</a></td>'
            f"<td>{html.safe(one.exposed)}, {one.size_bytes:,} bytes</td><td>{html.safe(one.rule)}</td>"
            f"<td>{html.when(one.expires_at)}</td></tr>"
            for one in kept[-_MOST:]
        )
        head = "<tr><th>id</th><th>result of</th><th>why</th><th>kept until</th></tr>"
        return f"<h2>Withheld results</h2><table>{head}{rows}</table>"

    async def one(self, handle: str, visitor: Visitor, start: str) -> bytes:
        """
        Raises:
            Unknown: it is not there.
        """
        held = await self._quarantine.find(handle)
        kept = held.kept
        facts = [
            ("run", kept.run), ("principal", kept.principal), ("decision", kept.decision), ("rule", kept.rule),
            ("why", kept.why), ("withheld", html.when(kept.at)), ("kept until", html.when(kept.expires_at)),
        ]  # fmt: skip
        listing = "".join(f"<dt>{html.safe(name)}</dt><dd>{html.safe(value)}</dd>" for name, value in facts)
        form = _form(kept, visitor.mark(handle)) if kept.status == WITHHELD else f"<p>{html.safe(_became(kept))}</p>"
        about = f"<p>Result of {html.safe(kept.exposed)}, {kept.size_bytes:,} bytes</p>"
        return html.sheet(kept.handle, f"{about}<dl>{listing}</dl>{_shown(held, start)}{form}{html.BACK}")

    async def decide(self, handle: str, decision: str, *, by: str) -> None:
        """
        Raises:
            Unknown: it is not there, or was released before.
        """
        await (self._quarantine.release if decision == "release" else self._quarantine.drop)(handle, by=by)


def _shown(held: Held, start: str) -> str:
    document = rest.document(held.raw, held.kept.method, failure=held.kept.failure)
    number = int(start) if start.isascii() and start.isdecimal() and len(start) <= 12 else 0
    page = rest.page(document.raw, number, SHOWN_BYTES) if document is not None else None
    if page is None:
        raise Unknown(f"{held.kept.handle} has no such page")
    more = ""
    if page.end < page.of:
        href = f"/approvals/{html.safe(held.kept.handle)}?from={page.end}"
        more = f'<p>{page.end:,} of {page.of:,} bytes. <a href="{href}">Read on</a></p>'
    return f"<h2>Result</h2><pre>{html.safe(page.text)}</pre>{more}"


def _form(kept: Kept, mark: str) -> str:
    return (
        f'<form method="post" action="/approvals/{html.safe(kept.handle)}">'
        f'<input type="hidden" name="mark" value="{html.safe(mark)}">'
        '<button name="decision" value="release">Release to the agent</button>'
        '<button name="decision" value="drop">Forget it</button></form>'
    )


def _became(kept: Kept) -> str:
    return f"{kept.status} by {kept.by}" if kept.by else kept.status
