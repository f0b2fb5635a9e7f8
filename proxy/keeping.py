"""What becomes of a result that the model does not get as it came: withheld, given by a handle, or cut.

Only on these roads is the vault touched; a plain result passes none of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from fuseboard import rest
from fuseboard.cleaning.result import Cleaned
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed
from fuseboard.opaque import Handles
from fuseboard.pipeline import Outcome
from fuseboard.ports import Failure, Reply, Result
from fuseboard.quarantine import Quarantine, Settings, kept_of
from fuseboard.truth import Truth
from fuseboard.vault import RESULT, Vault, uri_of
from fuseboard.verdicts import Deny, Hold

_log = logging.getLogger("fuseboard.quarantine")

_UNFINISHED: Final = (Truth.TASK, Truth.INPUT_REQUIRED)


class Asked(Protocol):
    """What is needed of the call as its client made it."""

    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def links(self) -> bool:
        """Whether the client's revision knows links to resources among a result's blocks (2025-06-18 and later)."""
        ...


class Given(NamedTuple):
    """What is passed on, and what is still to be said of it."""

    reply: Reply
    cleaned: Cleaned | None


class Keeping:
    """``rests`` says whether the whole of a cut result is kept (``output.rest``)."""

    def __init__(
        self, vault: Vault, quarantine: Quarantine, handles: Handles | None, settings: Settings, *, rests: bool
    ) -> None:
        self.quarantine = quarantine
        self.handles = handles
        self.rests = rests
        self._vault = vault
        self._settings = settings

    def rest_of(self, judged: CallProposed) -> str | None:
        """Where all of a result could be had if it had to be cut."""
        return uri_of(RESULT, judged.id) if self.rests and not judged.tool.opaque else None

    async def withheld(
        self,
        judged: CallProposed,
        reply: Reply,
        outcome: Outcome,
        cleaned: Cleaned | None,
        *,
        modern: bool,
        ask: Asked | None = None,
    ) -> Reply:
        """A policy refused what came back: that goes to a person, all of it."""
        refused = outcome.refused
        assert isinstance(refused, Deny | Hold)
        whole = type(reply)(cleaned.uncut) if cleaned is not None and cleaned.uncut is not None else reply
        # what is given by handles alone is not quoted either
        why = refused.reason.partition("\n")[0] if judged.tool.opaque else refused.reason
        return await self.quarantine.quarantined(
            judged,
            whole,
            refused.rule,
            why,
            modern=modern,
            policy=outcome.policy,
            asked=ask.arguments if ask is not None else None,
            unfit=outcome.policy == "schema",
        )

    async def given(
        self,
        judged: CallProposed,
        reply: Reply,
        cleaned: Cleaned | None,
        said: Truth,
        *,
        modern: bool,
        ask: Asked | None = None,
    ) -> Given:
        """Nothing speaks against what came back. ``said`` is what it was at first sight."""
        if judged.tool.opaque:
            if said in _UNFINISHED or self.handles is None:
                return Given(reply, cleaned)
            whole = cleaned.uncut if cleaned is not None and cleaned.uncut is not None else reply.raw
            return Given(await self.handles.veiled(judged, reply, whole, modern=modern), None)
        if cleaned is None or cleaned.uncut is None or not self.rests:
            return Given(reply, cleaned)
        return Given(await self._cut(judged, reply, cleaned.uncut, modern=modern, ask=ask), cleaned)

    async def _cut(self, judged: CallProposed, reply: Reply, whole: bytes, *, modern: bool, ask: Asked | None) -> Reply:
        kept = kept_of(judged, RESULT, at=judged.at, for_s=self._settings.handles_s, modern=modern)
        kept = msgspec.structs.replace(kept, failure=isinstance(reply, Failure), size_bytes=len(whole))
        try:
            there = await self._vault.put(kept, whole)
        except StoreUnavailable as fault:
            _log.error("what was cut of %s cannot be kept: %s", judged.id, fault)
            there = False
        if not there:
            return type(reply)(rest.unpromised(reply.raw, uri_of(RESULT, judged.id)))
        links = ask is None or ask.links
        if isinstance(reply, Failure) or judged.method != "tools/call" or not links:
            return reply
        document = rest.document(whole, judged.method)
        assert document is not None
        return Result(rest.linked(reply.raw, kept, document.mime))
