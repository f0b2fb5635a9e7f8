"""Whether a result itself says that it is not there yet, and to ask again. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_FIELDS: Final = frozenset(
    {"status", "state", "phase", "jobstatus", "job_status", "taskstatus", "task_status", "run_status", "stage"}
)
_UNDER_WAY: Final = re.compile(
    r"(?:still[ _-])?(?:pending|queued?|waiting|scheduled|submitted|accepted|running|working|building|deploying|"
    r"starting|"
    r"started|initiali[sz]ing|provisioning|processing|computing|indexing|generating|in[ _-]?progress|"
    r"not[ _-]?(?:yet[ _-]?)?"
    r"(?:ready|started|finished|done|complete)|creating|updating|stopping|uploading|downloading|active_?running|202)",
    re.IGNORECASE,
)
_UNDONE: Final = frozenset(
    {"ready", "done", "completed", "complete", "finished", "is_ready", "is_done", "isready", "isdone"}
)
_LONGEST: Final = 400
_SENTENCE: Final = re.compile(
    r"\W*(?:(?:http\s*)?202\b|(?:(?:the |your |this )?[\w-]+(?: [\w#.:-]+){0,4}? (?:is|are|was|has been)(?: still|"
    r" not)?(?: yet)? |"
    r"status\s*[:=]\s*|still |not |currently |state\s*[:=]\s*)?"
    r"(?:pending|queued|running|processing|building|in[ -]progress|being (?:processed|built|prepared|generated)|"
    r"waiting|ready yet|yet ready|not ready|not (?:yet )?(?:finished|available|complete)|ready)\b)",
    re.IGNORECASE,
)
_NOT_YET: Final = re.compile(
    r"\b(?:not (?:yet )?(?:ready|finished|complete[d]?|done|available yet)|not yet|still (?:running|pending|"
    r"processing|working|building|"
    r"queued|waiting|in progress)|in progress|(?:check|try|poll|ask) (?:back |again )(?:later|soon|in \d|shortly))\b",
    re.IGNORECASE,
)
_NOT_YET_SIGNS: Final = ("not ", "still ", "in progress", "later", "soon", "shortly", " in ")
"""One of them stands in whatever it finds; to look for them takes a tenth of the time."""


def is_pending(text: str, value: Any, *, whole: bool) -> bool:
    """``whole``: the text is all there is, and no longer than a message."""
    if isinstance(value, Mapping) and len(value) <= 64:
        return any(_says_so(name.lower(), inner) for name, inner in value.items())
    if not whole or len(text) > _LONGEST or text.count("\n") > 3:
        return False
    if _SENTENCE.match(text) is not None and not re.match(r"\W*ready\b", text, re.IGNORECASE):
        return True
    folded = text.casefold()
    return any(map(folded.__contains__, _NOT_YET_SIGNS)) and _NOT_YET.search(text) is not None


def _says_so(name: str, value: Any) -> bool:
    if name in _FIELDS:
        return (isinstance(value, str) and len(value) < 40 and _UNDER_WAY.fullmatch(value.strip()) is not None) or (
            value == 202 and value is not True
        )
    return name in _UNDONE and value is False
