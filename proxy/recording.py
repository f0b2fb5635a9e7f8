"""From a judged call to its ledger record: what is written down, and in which form."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from fuseboard.events import CallProposed
from fuseboard.pipeline import Outcome
from fuseboard.ports import Concluded, Failure, Proposed, Reply
from fuseboard.runs import Run
from fuseboard.truth import Truth
from fuseboard.verdicts import Deny, Hold, Rewrite, name_of

PREVIEW_BYTES: Final = 2048
TASK_CHECK: Final = "task"
TRUTH_CHECK: Final = "truth"
ANSWERS_CHECK: Final = "answers"
ARGUMENTS_BYTES: Final = 65_536
"""Arguments that are longer, as JSON text, are recorded by their head."""
CUT: Final = "fuseboard/cut"
"""The one key of what is recorded in their place: ``{"bytes", "sha256", "head"}``, the digest being that of the whole
in its canonical form, as everywhere in the ledger."""
_MASK: Final = "«secret»"
_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode
_UNICODE_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")
_URLSAFE: Final = str.maketrans("+/", "-_")


class Redactor:
    """Takes out the secrets that the proxy itself holds, wherever they stand in a text.

    Known forms: as it is; escaped in JSON, once and twice; percent-encoded; in hexadecimal; in Base64 of either
    alphabet, alone or within a longer text. Not known: other encodings and encodings of encodings, Base64 or
    hexadecimal broken by white space, escapes where none is needed (``%61`` for ``a``), a secret in pieces,
    or compressed. In Base64 the character at either end that holds bits of its neighbours too stays.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret which contains another is masked whole.
        forms = {form for secret in secrets if len(secret) >= 4 for form in _forms(secret)}
        known = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None
        self.idle = self._pattern is None
        """Whether there is nothing to take out."""
        self._longest_bytes = 6 * max(map(len, known), default=1)  # a character may stand there as \u0000

    def __call__(self, text: str) -> str:
        return self._pattern.sub(_MASK, text) if self._pattern is not None else text

    def head(self, raw: bytes, size_bytes: int) -> str:
        """The first bytes as text. A secret that the cut would halve is left out whole: its half is no longer found."""
        as_text = _plainly if self._pattern is not None else _decoded
        if len(raw) <= size_bytes:
            return self(as_text(raw))
        end = len(as_text(raw[:size_bytes]))
        text = as_text(raw[: size_bytes + self._longest_bytes])
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
        if self._pattern is None or value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self(value)
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        if isinstance(value, Mapping):
            return {self(key): self.value(inner) for key, inner in value.items()}
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
        seq: int,
        asked: Mapping[str, Any],
        raw_arguments: bytes,
        era: str,
        transport: str,
    ) -> Proposed:
        """The first half of the record; ``final`` where the call is refused and nothing follows.

        ``seq`` is the call's number in its run. ``asked`` are the arguments as the client sent them, parsed, and
        ``raw_arguments`` the same in its own bytes; ``proposal`` holds them as they were judged last.
        """
        said = outcome.verdict
        tool = proposal.tool
        digest = digest_of(proposal.arguments)
        rewritten = proposal.arguments is not asked
        final = outcome.refused is not None
        checks = self._checks(outcome)
        return Proposed(
            id=proposal.id,
            run=run.id,
            run_source=run.source,
            seq=seq,
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
            arguments=self._kept(raw_arguments, digest_of(asked) if rewritten else digest),
            arguments_sha256=digest,
            verdict=name_of(said),
            policy=outcome.policy,
            rule=said.rule,
            reason=self._reason(said) if isinstance(said, Deny | Hold | Rewrite) else None,
            checks=checks if proposal.answers is None else checks + self._answers(proposal.answers),
            config=self._config,
            final=final,
            sent=self._kept(msgspec.json.encode(proposal.arguments), digest) if rewritten and not final else None,
            continues=proposal.continues,
            confidence=run.confidence,
            depth=proposal.depth,
            root=proposal.root,
            parent=proposal.parent,
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
        task: str | None = None,
    ) -> Concluded:
        """The second half. ``outcome`` is the judgement on the result, where there was one.

        ``task`` is the id of the task that the result began, or came out of.
        """
        checks: Sequence[Mapping[str, Any]] = self._checks(outcome) if outcome is not None else ()
        if task is not None:
            fact = {"policy": TASK_CHECK, "verdict": "allow", "rule": None, "facts": {"id": self._redact(task)}}
            checks = [*checks, fact]
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
            checks=checks,
        )

    def _checks(self, outcome: Outcome) -> list[dict[str, Any]]:
        checks = [check.to_json() for check in outcome.checks]
        if self._arguments != "full":
            checks = [_without_values(check) for check in checks]
        return checks if self._redact.idle else [self._redact.value(check) for check in checks]

    def _answers(self, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the client said when it was asked: sent with the call, and no part of its arguments."""
        kept = self._kept(_CANONICAL(answers), digest_of(answers))
        facts = {} if kept is None else {"answers": kept if kept.startswith("sha256:") else json.loads(kept)}
        return [{"policy": ANSWERS_CHECK, "verdict": "allow", "rule": None, "facts": facts}]

    def _reason(self, said: Deny | Hold | Rewrite) -> str:
        """What the model read. Its first line names the rule; those that follow may quote the arguments."""
        reason = self._redact(said.reason)
        return reason if self._arguments == "full" else reason.partition("\n")[0]

    def _kept(self, raw: bytes, digest: str) -> str | None:
        match self._arguments:
            case "full":
                return self._redact.json(raw) if len(raw) <= ARGUMENTS_BYTES else self._cut(raw, digest)
            case "hashed":
                return f"sha256:{digest}"
            case _:
                return None

    def _cut(self, raw: bytes, digest: str) -> str:
        head = self._redact.head(raw, ARGUMENTS_BYTES)
        return msgspec.json.encode({CUT: {"bytes": len(raw), "sha256": digest, "head": head}}).decode()

    def _preview(self, raw: bytes) -> str | None:
        if self._arguments != "full":
            return None
        return self._redact.head(raw, PREVIEW_BYTES)

    def _error_of(self, reply: Reply | None) -> str | None:
        return self._redact.head(reply.raw, PREVIEW_BYTES) if isinstance(reply, Failure) else None


def _without_values(check: dict[str, Any]) -> dict[str, Any]:
    """A check without what it found in the arguments: where something did not fit, and what was expected, stay."""
    if check["policy"] == TRUTH_CHECK:
        return {**check, "facts": {name: fact for name, fact in check["facts"].items() if name != "evidence"}}
    mismatches = check["facts"].get("mismatches")
    if not isinstance(mismatches, list):
        return check
    bare = [{key: value for key, value in mismatch.items() if key != "found"} for mismatch in mismatches]
    return {**check, "facts": {**check["facts"], "mismatches": bare}}


def digest_of(arguments: Mapping[str, Any]) -> str:
    """One for equal arguments: keys sorted, no white space. It is what later calls are compared by."""
    return hashlib.sha256(_CANONICAL(arguments)).hexdigest()


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _plainly(raw: bytes) -> str:
    """JSON as text, with what needs no escape written without one, so that nothing hides in it."""
    text = _decoded(raw)
    return _ESCAPE.sub(_resolved, text) if "\\u" in text else text


def _resolved(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16)) if escape[1] else ""
    return character if character.isprintable() and character not in ('"', "\\", "") else escape[0]


def _forms(secret: str) -> Iterator[str]:
    """A secret as it stands in plain text and in the encodings that texts are commonly put through."""
    plain = [secret, *_percent(secret), *_base64(secret.encode())]
    once = {form for text in plain for form in (text, *_escaped(text))}
    yield from once
    yield from (form for text in once for form in _escaped(text))
    yield (digits := secret.encode().hex())
    yield digits.upper()


def _escaped(text: str) -> Iterator[str]:
    """Inside a JSON string: as UTF-8 or ASCII, slashes escaped or not, escapes in small digits or large."""
    for escaped in (msgspec.json.encode(text).decode()[1:-1], json.dumps(text)[1:-1]):
        for form in (escaped, _UNICODE_ESCAPE.sub(lambda found: f"\\u{found[1].upper()}", escaped)):
            yield form
            yield form.replace("/", "\\/")


def _percent(text: str) -> Iterator[str]:
    """Inside a URL, as path, as query or as form."""
    for encoded in (quote(text), quote(text, safe=""), quote_plus(text)):
        yield encoded
        yield _PERCENT.sub(lambda found: found[0].lower(), encoded)


def _base64(secret: bytes) -> Iterator[str]:
    """What the secret alone decides of its Base64, wherever in groups of three bytes it begins."""
    for before in range(3):
        # Six bits a character: those that a neighbour has a part in are left out.
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        encoded = base64.b64encode(bytes(before) + secret)[first:last].decode()
        yield encoded
        yield encoded.translate(_URLSAFE)
