"""Words by which results try to give orders. A signal, never a gate and no claim: see ``facts, security 3.1``. Pure.

Published lists of such phrases find 0 to 2 % of realistic injections and shout at honest writing about them, so all
that follows from one is that a person is asked a little sooner about what the run does next. The list is short on
purpose: each entry is a phrase that hardly any document says to its reader.
"""

from __future__ import annotations

import re
from typing import Final

_BETWEEN: Final = r"[\s\W]{1,8}"
_PRIOR: Final = "(?:previous|prior|above|earlier|preceding|foregoing|former)"
_ORDERS: Final = "(?:instructions?|prompts?|rules?|directions?|guidelines?|commands?|orders?)"


def _words(*words: str) -> str:
    return r"\b" + _BETWEEN.join(words) + r"\b"


_FORMS: Final = (
    (
        "ignore what came before",
        _words(
            "(?:ignore|disregard|forget|override)",
            f"(?:(?:all|any|the|your|my|of|every){_BETWEEN}){{0,3}}{_PRIOR}",
            _ORDERS,
        ),
    ),
    ("new instructions", _words("(?:your|these are your|here are your)", "(?:new|updated|real|actual|true)", _ORDERS)),
    ("a system's voice", r"<\|im_start\|>|<<SYS>>|\[/?INST\]|<(?:system|important|admin|information)>"),
    (
        "kept from the user",
        _words("(?:do not|don't|never|without)", "(?:tell|inform|notify|alert|telling|informing|notifying|alerting)")
        + rf"{_BETWEEN}(?:the{_BETWEEN})?user\b",
    ),
    ("another role", _words("you are", "(?:now|no longer)", "(?:a|an|in|the|bound|restricted|dan)")),
    (
        "a message to the model",
        _words("(?:message|note|notice|instructions?|attention)", "(?:for|to)", "(?:(?:the|any|all|every) )?")
        + r"(?:ai|llm|language|assistant|agent)s?(?: (?:models?|assistants?|agents?))?\b",
    ),
    (
        "first do something else",
        _words("before", "(?:you )?(?:can )?(?:use|using|call|calling|answer|answering|continue|continuing|proceed)")
        + r"[^.\n]{0,60}\byou (?:must|have to|need to|should) (?:first )?(?:read|call|send|run|open|execute)\b",
    ),
    (
        "secrets sent away",
        _words("(?:send|forward|email|mail|upload|post|submit|exfiltrate)")
        + r"[^.\n]{0,60}\b(?:passwords?|credentials?|api[ _-]?keys?|private keys?|access tokens?|system prompt)\b"
        r"[^.\n]{0,40}\bto\b",
    ),
)
NAMES: Final = tuple(name for name, _ in _FORMS)
_PATTERNS: Final = tuple((name, re.compile(form, re.IGNORECASE)) for name, form in _FORMS)
_BREAKS: Final = re.compile(r"\\[nrt]")


def found(raw: bytes) -> tuple[str, ...]:
    """The names of those that a message says, whatever field it says them in."""
    text = _BREAKS.sub(" ", raw.decode("utf-8", "replace"))
    return tuple(name for name, pattern in _PATTERNS if pattern.search(text) is not None)


def key(run: str) -> str:
    """Under which it is kept how many results of a run said any."""
    return f"phrases/{run}"
