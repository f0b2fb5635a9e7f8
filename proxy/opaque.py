"""Opaque handles: the model holds a name of what a tool gave, and never reads it; what it passes on is put in by us."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from fuseboard import fingerprints, refusals, rest
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed, Sensitivity, Substituted, Trust
from fuseboard.ports import Failure, Reply, Result
from fuseboard.quarantine import Settings, kept_of
from fuseboard.vault import OPAQUE, Held, Vault
from fuseboard.verdicts import Deny
from fuseboard.wire import splice

_log = logging.getLogger("fuseboard.quarantine")

PREFIX: Final = "fuseboard:h-"
_MARK: Final = PREFIX.encode()
LOST: Final = "opaque.lost"

MOST: Final = 64
MOST_BYTES: Final = 16_000_000
"""Of what takes the place of one call's handles: one that stands there a thousand times must not fill the memory."""

_UNKNOWN: Final = "is not known here, or its time is over"
_TOO_MUCH: Final = "is one too many, or stands for too much"

_USE: Final = (
    "[fuseboard] The result is not shown. Give {handle} as a whole argument of another call, and what it stands for is "
    "put in its place."
)


class Handles:
    """``clock`` gives Unix seconds."""

    def __init__(self, vault: Vault, clock: Callable[[], float], settings: Settings) -> None:
        self._vault = vault
        self._clock = clock
        self._settings = settings

    def among(self, params: bytes | None) -> bool:
        """Whether there can be any among the arguments. No encoder has a reason to escape any character of one."""
        return params is not None and _MARK in params

    async def filled(self, event: CallProposed) -> CallProposed:
        """The call with what its handles stand for in their place. What stands for nothing stays, and is told."""
        found = list(_handles(event.arguments, ""))
        if not found:
            return event
        texts: dict[str, Held | None] = {}
        said: list[Substituted] = []
        size_bytes = 0
        for path, handle in found:
            if handle not in texts and len(texts) < MOST:
                texts[handle] = await self._good(handle, event)
            held = texts.get(handle)
            size_bytes += len(held.raw) if held is not None else 0
            too_much = size_bytes > MOST_BYTES or len(said) >= MOST
            said.append(_said(path, handle, held, _TOO_MUCH if too_much else _UNKNOWN if held is None else ""))
            if too_much:
                break
        if any(one.fault for one in said):
            return msgspec.structs.replace(event, handles=tuple(said))
        given = {handle: held.raw.decode("utf-8", "replace") for handle, held in texts.items() if held is not None}
        arguments = _filled(event.arguments, given)
        fingerprint = fingerprints.of_call(event.tool.qualified, arguments, event.tool.volatile)
        clean = event.clean  # where hidden characters went out of the arguments, those are what will be sent
        if clean is not None:
            clean = msgspec.structs.replace(clean, arguments=_filled(clean.arguments, given))
        return msgspec.structs.replace(
            event, arguments=arguments, handles=tuple(said), fingerprint=fingerprint, clean=clean
        )

    async def _good(self, handle: str, event: CallProposed) -> Held | None:
        try:
            held = await self._vault.get(handle.removeprefix("fuseboard:"), at=self._clock())
        except StoreUnavailable as fault:
            _log.error("%s cannot be looked for: %s", handle, fault)
            return None
        if held is None or held.kept.kind != OPAQUE or held.kept.principal != event.caller.principal:
            return None
        return held if held.kept.shared or held.kept.run == (event.root or event.run) else None

    async def veiled(self, judged: CallProposed, reply: Reply, whole: bytes, *, modern: bool) -> Reply:
        """What the model gets in place of a result: ``{handle, type, size}``. ``whole`` is the result before any cut.

        Where it cannot be kept nothing is given: it would have to be shown, or be a handle of nothing.
        """
        failed = isinstance(reply, Failure)
        document = rest.document(whole, judged.method, failure=failed)
        assert document is not None
        kept = kept_of(judged, OPAQUE, at=self._clock(), for_s=self._settings.handles_s, modern=modern)
        try:
            there = await self._vault.put(kept, document.raw)
        except StoreUnavailable as fault:
            _log.error("the result of %s cannot be kept: %s", judged.id, fault)
            there = False
        if not there:
            reason = (
                f"{judged.tool.exposed} was called. Its result may not be shown, and could not be kept: it is lost."
            )
            return refusals.of_call(judged, "opaque", Deny(LOST, reason), modern=modern)
        value = {"handle": "fuseboard:" + kept.handle, "type": document.mime, "size": len(document.raw)}
        return Result(_given(judged, value, failed=failed or _is_error(reply), modern=modern))


def _given(judged: CallProposed, value: dict[str, Any], *, failed: bool, modern: bool) -> bytes:
    reason = "The result is kept; the model gets its handle."
    said = {"id": judged.id, "run": judged.run, "verdict": "rewrite", "policy": "opaque", "rule": "opaque.handle"}
    texts = [msgspec.json.encode(value).decode(), _USE.format(handle=value["handle"])]
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": text} for text in texts],
        "structuredContent": value,
        "isError": failed,
        "_meta": {refusals.DECISION: {**said, "reason": reason}},
    }
    if modern:
        result["resultType"] = "complete"
    return msgspec.json.encode(result)


def _is_error(reply: Reply) -> bool:
    return bytes(splice.fields(reply.raw).get("isError", b"")) == b"true"


def _said(path: str, handle: str, held: Held | None, fault: str) -> Substituted:
    if held is None:
        return Substituted(path, handle[:80], fault or _UNKNOWN)
    kept = held.kept
    trust, sensitivity = Trust(kept.trust), Sensitivity(kept.sensitivity)
    return Substituted(
        path, handle, fault, kept.decision, kept.upstream, kept.qualified, trust, sensitivity, len(held.raw)
    )


def _handles(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each argument that is a handle and nothing else, with its JSON Pointer."""
    if isinstance(value, str):
        if value.startswith(PREFIX) and len(value) <= 64:
            yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str | Mapping | list):
                yield from _handles(inner, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            if isinstance(inner, str | Mapping | list):
                yield from _handles(inner, f"{path}/{at}")


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return given.get(value, value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, given) for key, inner in value.items()}
    return [_filled(inner, given) for inner in value] if isinstance(value, list) else value
