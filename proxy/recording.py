"""From a judged call to its ledger record: what is written down, and in which form."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from fuseboard.events import CallProposed
from fuseboard.pipeline import Outcome
from fuseboard.ports import Concluded, Failure, Proposed, Reply
from fuseboard.runs import Run
from fuseboard.truth import Truth
from fuseboard.verdicts import Deny, Hold, Rewrite, name_of

PREVIEW_BYTES: Final = 2048
_MASK: Final = "«secret»"
_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode


class Redactor:
    """Takes out the secrets that the proxy itself holds, wherever they stand in a text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret which contains another is masked whole.
        forms = {form for secret in secrets if len(secret) >= 4 for form in _forms(secret)}
        known = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None
        self._longest_bytes = max([4, *(len(form.encode()) for form in known)])  # four for the longest character

    def __call__(self, text: str) -> str:
        return self._pattern.sub(_MASK, text) if self._pattern is not None else text

    def head(self, raw: bytes, size_bytes: int) -> str:
        """The first bytes as text. A secret that the cut would halve is left out whole: its half is no longer found."""
        end = len(raw[:size_bytes].decode(errors="replace"))
        text = raw[: size_bytes + self._longest_bytes].decode(errors="replace")
        for match in self._pattern.finditer(text) if self._pattern is not None else ():
            if match.start() < end < match.end():
                end = match.start()
        return self(text[:end])

    def json(self, raw: bytes) -> str:
        """A JSON text, which stays one: masked as text, it might lose the second half of an escape."""
        text = raw.decode()
        if self._pattern is None or not (b"\\u" in raw or self._pattern.search(text)):
            return text
        masked = self.value(value := json.loads(text))
        return text if masked == value else msgspec.json.encode(masked).decode()

    def value(self, value: Any) -> Any:
        """A JSON value, masked in all its depth."""
        match value:
            case str():
                return self(value)
            case Mapping():
                return {self(key): self.value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case _:
                return value


class Recorder:
    """Makes ledger entries. ``arguments`` is ``full``, ``hashed`` or ``none``; ``config`` the configuration's digest.

    Each text that a caller or an upstream could have put a secret into is masked.
    """

    def __init__(self, *, arguments: str, config: str, redact: Redactor) -> None:
        self._arguments = arguments
        self._config = config
        self._redact = redact

    def proposed(
        self,
        outcome: Outcome,
        proposal: CallProposed,
        run: Run,
        *,
        raw_arguments: bytes,
        era: str,
        transport: str,
    ) -> Proposed:
        """The first half of the record; ``final`` where the call is refused and nothing follows."""
        said = outcome.verdict
        tool = proposal.tool
        digest = hashlib.sha256(_canonical(proposal.arguments)).hexdigest()
        return Proposed(
            id=proposal.id,
            run=run.id,
            run_source=run.source,
            seq=run.next_seq(),
            at=proposal.at,
            principal=proposal.caller.principal,
            client=proposal.caller.client,
            era=era,
            transport=transport,
            upstream=tool.upstream,
            tool=tool.name,
            exposed=tool.exposed,
            method=proposal.method,
            effect=tool.effect,
            arguments=self._kept(raw_arguments, digest),
            arguments_sha256=digest,
            verdict=name_of(said),
            policy=outcome.policy,
            rule=said.rule,
            reason=self._reason(said) if isinstance(said, Deny | Hold | Rewrite) else None,
            checks=self._checks(outcome),
            config=self._config,
            final=outcome.refused is not None,
        )

    def concluded(
        self,
        proposal: CallProposed,
        *,
        at: float,
        truth: Truth,
        reply: Reply | None,
        error: str | None = None,
        outcome: Outcome | None = None,
    ) -> Concluded:
        """The second half. ``outcome`` is the judgement on the result, where there was one."""
        raw = reply.raw if reply is not None else b""
        said = outcome.verdict if outcome is not None and isinstance(outcome.verdict, Deny | Hold) else None
        return Concluded(
            id=proposal.id,
            at=at,
            duration_ms=(at - proposal.at) * 1000,
            truth=truth,
            result_bytes=len(raw),
            result_sha256=hashlib.sha256(raw).hexdigest() if reply is not None else None,
            preview=self._preview(raw) if reply is not None else None,
            error=self._redact(error) if error is not None else self._error_of(reply),
            verdict=name_of(said) if said is not None else None,
            policy=outcome.policy if said is not None and outcome is not None else None,
            rule=said.rule if said is not None else None,
            reason=self._reason(said) if said is not None else None,
            checks=self._checks(outcome) if outcome is not None else (),
        )

    def _checks(self, outcome: Outcome) -> list[dict[str, Any]]:
        checks = [check.to_json() for check in outcome.checks]
        if self._arguments != "full":
            checks = [_without_values(check) for check in checks]
        return [self._redact.value(check) for check in checks]

    def _reason(self, said: Deny | Hold | Rewrite) -> str:
        """What the model read. Its first line names the rule; those that follow may quote the arguments."""
        reason = self._redact(said.reason)
        return reason if self._arguments == "full" else reason.partition("\n")[0]

    def _kept(self, raw: bytes, digest: str) -> str | None:
        match self._arguments:
            case "full":
                return self._redact.json(raw)
            case "hashed":
                return f"sha256:{digest}"
            case _:
                return None

    def _preview(self, raw: bytes) -> str | None:
        if self._arguments != "full":
            return None
        return self._redact.head(raw, PREVIEW_BYTES)

    def _error_of(self, reply: Reply | None) -> str | None:
        return self._redact.head(reply.raw, PREVIEW_BYTES) if isinstance(reply, Failure) else None


def _without_values(check: dict[str, Any]) -> dict[str, Any]:
    """A check without what it found in the arguments: where something did not fit, and what was expected, stay."""
    mismatches = check["facts"].get("mismatches")
    if not isinstance(mismatches, list):
        return check
    bare = [{key: value for key, value in mismatch.items() if key != "found"} for mismatch in mismatches]
    return {**check, "facts": {**check["facts"], "mismatches": bare}}


def _canonical(arguments: Mapping[str, Any]) -> bytes:
    """One text for equal arguments: keys sorted, no white space. The digest is what later calls are compared by."""
    return _CANONICAL(arguments)


def _forms(secret: str) -> Iterator[str]:
    """A secret as it stands in plain text and, escaped in one way or another, in JSON."""
    yield secret
    for escaped in (msgspec.json.encode(secret).decode()[1:-1], json.dumps(secret)[1:-1]):
        yield escaped
        yield escaped.replace("/", "\\/")
