"""What an error complains of, by its own words: too many calls, the arguments, the upstream's state, or neither. Pure.

For texts of which it is known that they are errors. What says that it succeeded is looked at more narrowly, in
:mod:`fuseboard.results.shapes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

HEAD_CHARS: Final = 2048

LOOKED_THROUGH_BYTES: Final = 64 * 1024
"""Of the arguments of a call that failed."""


class Complaint(StrEnum):
    THROTTLED = "throttled"
    UPSTREAM = "upstream"
    """It, or what it stands on, does not work just now."""
    CREDENTIALS = "credentials"
    """The operator's to mend: nobody's failure."""
    ARGUMENTS = "arguments"
    OTHER = "other"


THROTTLED_WORDS: Final = (
    r"too many (?:requests|calls|concurrent)|rate[-_ ]?limit(?:s|ed|ing)?[-_ :]*(?:\w+ ){0,3}?(?:exceeded|reached|"
    r"hit|error)|"
    r"rate[-_ ]?limited|(?:exceed\w*|hit|reached|over) (?:\w+ ){0,4}?(?:rate[-_ ]?limits?|request limits?|quota)|"
    r"(?:request|api|usage|daily|hourly|call)s? (?:rate |call )?(?:quota|limit) (?:\w+ ){0,2}?(?:exceeded|reached|"
    r"exhausted|hit)|"
    r"\w*throttl(?:ed|ing)\w*|slow ?down|resource_exhausted|rate_limit\w*"
)
_THROTTLED: Final = re.compile(
    rf"\b(?:{THROTTLED_WORDS}|(?:http|status|code|error)\W{{0,3}}(?:code\W{{0,3}})?429|429\W{{0,3}}(?:too|rate|"
    rf"error|client))\b",
    re.IGNORECASE,
)
UPSTREAM_WORDS: Final = (
    r"internal server error|bad gateway|service (?:is )?(?:temporarily |currently )?unavailable|gateway time-?out|"
    r"upstream connect error|connection (?:was |is )?(?:refused|reset|timed out|aborted|closed|error)|connect timeout|"
    r"econnrefused|econnreset|etimedout|enotfound|eai_again|ehostunreach|epipe|socket hang up|broken pipe|"
    r"name or service not known|temporary failure in name resolution|no route to host|network is unreachable|"
    r"(?:request|read|query|operation|server|call) timed out|too many connections|database is locked|out of memory"
)
_UPSTREAM: Final = re.compile(
    rf"\b(?:{UPSTREAM_WORDS}|(?:http|status|code)\W{{0,3}}(?:code\W{{0,3}})?5\d\d)\b|\A\W*5\d\d\b", re.IGNORECASE
)
ARGUMENTS_WORDS: Final = (
    r"validation (?:errors?|failed)|validationerror|zoderror|input validation|invalid[-_ ](?:\w+[-_ ]){0,2}?"
    r"(?:arguments?|param(?:eter)?s?|inputs?|values?|types?|request|params|enum\w*|date|format|regex|pattern|json|"
    r"url|path|id|query|syntax)|"
    r"missing (?:\d+ )?(?:required |positional )?(?:arguments?|param(?:eter)?s?|fields?|propert(?:y|ies)|keyword|"
    r"value)|"
    r"(?:is|are|field|argument|parameter|property) (?:a )?required|required (?:param(?:eter)?|property|field|argument)|"
    r"must (?:be|have|match|contain|not be|start with) |unexpected (?:keyword )?argument|unrecognized (?:key|"
    r"argument|option)|"
    r"unknown (?:param(?:eter)?|argument|field|option|property|key|column)|additional propert(?:y|ies)|"
    r"does not match (?:the )?(?:schema|pattern)|"
    r"not a valid |expected \w+,? (?:but )?(?:received|got)|is not one of|should be (?:a|an|one) |not of type|"
    r"-32602|invalid params|"
    r"syntax error|no such (?:column|table|function)|(?:column|relation|table|function|"
    r"field) \S{1,80} does not exist|parse error|"
    r"out of range|bad request|unprocessable"
)
_ARGUMENTS: Final = re.compile(rf"\b(?:{ARGUMENTS_WORDS})|-32602\b|\A\W*(?:http\W{{0,3}})?4(?:00|22)\b", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(
    r"\b(?:unauthori[sz]ed|forbidden|not authenticated|authentication (?:required|failed)|bad credentials|"
    r"(?:invalid|expired|missing) (?:api[- ]?key|access token|token|credentials)|(?:http|status|"
    r"code)\W{0,3}40[13])\b|\A\W*40[13]\b",
    re.IGNORECASE,
)

_ORDER: Final = (
    (Complaint.THROTTLED, _THROTTLED),
    (Complaint.CREDENTIALS, _CREDENTIALS),
    (Complaint.ARGUMENTS, _ARGUMENTS),
    (Complaint.UPSTREAM, _UPSTREAM),
)


def quoted(kind: Complaint, arguments: Mapping[str, Any]) -> bool:
    """Whether the call itself holds words that complain so: then an answer with them may only quote its caller, and
    nobody else shall suffer for it. Of arguments too long to look through it is taken that they do.
    """
    words = dict(_ORDER).get(kind)
    raw = msgspec.json.encode(arguments)
    return words is not None and (len(raw) > LOOKED_THROUGH_BYTES or words.search(raw.decode()) is not None)


def complaint(text: str) -> Complaint:
    """The first that fits. What the arguments are blamed for comes before the upstream: that shuts nobody else out."""
    head = text[:HEAD_CHARS]
    return next((kind for kind, words in _ORDER if words.search(head) is not None), Complaint.OTHER)
