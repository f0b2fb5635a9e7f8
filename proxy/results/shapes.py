"""Errors that come as successes: the whole answer is one, though ``isError`` does not say so. Pure.

A document that merely talks about errors is none. So a pattern counts only at the very beginning of a short answer, and
only where nothing follows that an error would not say. An error within another text is that text's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fuseboard.results.complaints import THROTTLED_WORDS, UPSTREAM_WORDS, Complaint, complaint
from fuseboard.results.examine import NOTHING, Seen


def _words(text: str) -> list[str]:
    return text.split()


_SENTENCE_CHARS: Final = 400
_LINES: Final = 4


class Shape(NamedTuple):
    """``kind`` says what it is, in the words of the evidence.

    ``program``: also what a program may print that failed, or what may stand in a file. ``page``: HTML; ``status`` is
    the one that it names.
    """

    kind: str
    complaint: Complaint
    program: bool = False
    page: bool = False
    status: int = 0


_STATUS: Final = re.compile(
    r"\s*(?:(?:api |server |client |request |http )?(?:error|failed|"
    r"failure)\W{1,3}(?:with )?)?(?:http(?:/\d(?:\.\d)?)?\W{0,2})?"
    r"(?:(?:error|status)(?: code)?\W{0,3}|response code\W{1,3})?([45]\d\d)\b\W{0,3}"
    r"(?:server error|client error|internal|bad|service|gateway|not|unauthori[sz]ed|forbidden|too many|payment|"
    r"method|request|"
    r"conflict|gone|unprocessable|error|$)",
    re.IGNORECASE,
)
_SAID_STATUS: Final = re.compile(
    r"\s*(?:(?:\w+ ){0,3}?(?:error|failed|failure)\b.{0,80}?\b)?(?:status(?: code)?|http(?: error)?|"
    r"code)\W{1,3}([45]\d\d)\b",
    re.IGNORECASE,
)
_THROTTLED: Final = re.compile(
    rf"\s*(?:\W|error\W{{1,3}}|you(?:'ve| have)? |sorry\W{{1,3}}|the |an? |api |\w+ api )*?(?:{THROTTLED_WORDS})\b",
    re.IGNORECASE,
)
_DOWN: Final = re.compile(
    rf"\s*(?:error\W{{1,3}}|the |an |\d{{3}} |server\W{{1,3}})*(?:{UPSTREAM_WORDS})\b", re.IGNORECASE
)
_NAMED: Final = re.compile(
    r"\s*(?:[❌⚠️🚫]\s*)?(?:(?:fatal|unexpected|unhandled|uncaught|internal|mcp|tool|api|server|an?) ){0,3}"
    r"(?:[A-Z]\w{0,60}(?:Error|Exception)|error|fatal|exception|failure)(?: \(?-?\d{1,6}\)?)?\s*:\s*(?!\s*(?:0|"
    r"none|no|nil|null)\b)\S",
)
_NAMED_ANY: Final = re.compile(_NAMED.pattern, re.IGNORECASE)
_FAILED: Final = re.compile(
    r"\s*(?:[❌⚠️🚫]\s*)?(?:sorry, )?(?:i |we )?(?:failed to|unable to|could not|couldn't|cannot|can't|"
    r"an error occurred|something went wrong)"
    r"(?= (?:connect|reach|fetch|load|open|read|retrieve|get|process|parse|execute|complete|access|authenticate|"
    r"resolve|"
    r"create|update|delete|write|save|send|perform|establish|launch|start|communicate|while|during)\b|[.!:]|\s*$)",
    re.IGNORECASE,
)
_PYTHON: Final = re.compile(r"\s*Traceback \(most recent call last\):\s*\n")
_OTHER_TRACE: Final = re.compile(
    r"\s*(?:(?:uncaught |exception in thread \S{1,40} )?[\w.$]*(?:Error|Exception)\b[^\n]{0,300}\n\s+at |panic: |"
    r"thread '[^'\n]{1,80}' panicked at )"
)
_TRACE_LINE: Final = re.compile(
    r"\s|$|[\w.$]+(?:Error|Exception|Exit|Interrupt|Warning|Fault|Timeout)?(?::|$)|Traceback |During handling|"
    r"The above|Caused by|goroutine |note: "
)
_TITLE: Final = re.compile(r"<title[^>]{0,80}>\s*([^<]{1,200})", re.IGNORECASE)
_ERROR_TITLE: Final = re.compile(
    r"(?:error\W{0,3})?([45]\d\d)\b|internal server error|bad gateway|service (?:temporarily )?unavailable|"
    r"gateway time-?out|"
    r"too many requests|access denied|error\b",
    re.IGNORECASE,
)
_LOGIN_TITLE: Final = re.compile(
    r"[^<]{0,60}\b(?:log[ -]?(?:in|on)|sign[ -]?(?:in|on)|authenticat\w+|session (?:has )?expired|just a moment|"
    r"attention required|"
    r"verify you are)\b",
    re.IGNORECASE,
)
_LOGIN_FIELD: Final = re.compile(r"<input[^>]{0,200}type=[\"']?password", re.IGNORECASE)

_ERROR_FIELDS: Final = frozenset(
    _words(
        "error errors message msg code status statuscode status_code errorcode error_code error_message errormessage "
        "detail details success ok type title trace_id traceid request_id requestid timestamp path data result reason "
        "description instance hint retry_after retryafter documentation_url retry_after_ms retryafterms "
        "error_description"
    )
)


def disguised(seen: Seen) -> Shape | None:
    """What error the whole answer is, ``None`` where it is none."""
    if isinstance(seen.value, Mapping):
        return _of_value(seen.value)
    if seen.value is not NOTHING or not seen.whole:
        return None
    if seen.shape == "html":
        return _of_page(seen.text)
    if (trace := _of_trace(seen.text)) is not None:
        return trace
    return _of_sentence(seen.text.strip())


def _of_sentence(text: str) -> Shape | None:
    if not text or len(text) > _SENTENCE_CHARS or text.count("\n") >= _LINES:
        return None
    if _THROTTLED.match(text) is not None and _ends(text):
        return Shape("a limit of calls, told as a success", Complaint.THROTTLED)
    if ("4" in text or "5" in text) and (status := _STATUS.match(text) or _SAID_STATUS.match(text)) is not None:
        return Shape(f"HTTP {status[1]}, told as a success", _of_status(int(status[1])), program=True)
    if _DOWN.match(text) is not None and _ends(text):
        return Shape("an outage, told as a success", Complaint.UPSTREAM, program=True)
    if (":" in text and _NAMED_ANY.match(text) is not None) or _FAILED.match(text) is not None:
        return Shape("an error, told as a success", complaint(text), program=True)
    return None


def _ends(text: str) -> bool:
    """No more than a sentence or two: prose about limits goes on."""
    return len(text) <= 250 and "\n\n" not in text


def _of_trace(text: str) -> Shape | None:
    if "\n" not in text and "panic" not in text:
        return None  # none of them is told otherwise, and next to no answer has to be looked at twice
    if _PYTHON.match(text) is None and _OTHER_TRACE.match(text) is None:
        return None
    lines = text.strip().split("\n")[1:]
    if len(lines) > 1 and not all(_TRACE_LINE.match(line) is not None for line in lines[:-1]):
        return None
    return Shape("a traceback, told as a success", Complaint.OTHER, program=True)


def _of_page(text: str) -> Shape | None:
    found = _TITLE.search(text)
    title = found[1].strip() if found is not None else ""
    if (error := _ERROR_TITLE.match(title)) is not None:
        kind = _of_status(int(error[1])) if error[1] else complaint(title)
        return Shape(f"a page titled {title[:60]!r}", kind, page=True, status=int(error[1] or 0))
    if _LOGIN_TITLE.match(title) is not None or _LOGIN_FIELD.search(text) is not None:
        return Shape("a login page", Complaint.CREDENTIALS, page=True)
    return None


def _of_value(value: Mapping[str, Any]) -> Shape | None:
    """A lone error object: nothing beside it that would be an answer."""
    fields = {name.lower(): inner for name, inner in value.items()}
    if not fields or not fields.keys() <= _ERROR_FIELDS or _answers(fields):
        return None
    told = _told(fields)
    code = next(
        (_as_status(fields[name]) for name in ("status", "statuscode", "status_code", "code") if name in fields), 0
    )
    if not told and code < 400:
        return None
    said = complaint(
        " ".join([told, *(str(fields[name]) for name in ("message", "detail", "code", "type") if name in fields)])
    )
    if code >= 400 and said is Complaint.OTHER:
        said = _of_status(code)
    return Shape("a lone error object", said, program=True)


def _told(fields: Mapping[str, Any]) -> str:
    """The error that it holds, in its own words; empty where it holds none."""
    error = fields.get("error") or fields.get("errors")
    if isinstance(error, list):
        error = error[0] if error and len(error) <= 20 and isinstance(error[0], dict | str) else None
    if isinstance(error, Mapping):
        return str(error.get("message") or error)[:500]
    if isinstance(error, str) and error.strip():
        return error[:500]
    said = fields.get("message") or fields.get("detail") or fields.get("error_message") or fields.get("reason")
    failed = error is True or fields.get("success") is False or fields.get("ok") is False
    failed = failed or str(fields.get("status", "")).lower() in ("error", "failed", "failure", "fail")
    return (str(said)[:500] if said else "failed") if failed else ""


def _answers(fields: Mapping[str, Any]) -> bool:
    return (
        any(bool(fields.get(name)) for name in ("data", "result"))
        or fields.get("ok") is True
        or fields.get("success") is True
    )


def _as_status(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and 400 <= value <= 599 else 0


def _of_status(status: int) -> Complaint:
    if status == 429:
        return Complaint.THROTTLED
    if status in (401, 403, 407):
        return Complaint.CREDENTIALS
    return Complaint.UPSTREAM if status >= 500 else Complaint.ARGUMENTS if status in (400, 422) else Complaint.OTHER
