"""What can go wrong, as one tree. A refusal is not an error: it is a verdict.

FuseboardError
├── ConfigError             the operator's: names the place and the remedy
├── StoreUnavailable        the ledger or the run state cannot be written
├── ProtocolFault           a peer broke JSON-RPC or MCP: becomes the JSON-RPC error that it carries
└── UpstreamFault           theirs: the upstream did not answer
    ├── UpstreamUnreachable     it could not be started or connected; nothing was sent
    │   ├── Undelivered             the same may be sent again, over a new connection or in a new session
    │   └── UpstreamThrottled       it takes no more for now (HTTP 429)
    ├── UpstreamLost            the link died with the request under way: the outcome is unknown
    │   └── UpstreamGarbled         it answered, but with nothing that can be read as an answer
    │       └── UpstreamOversize        the answer is larger than one message may be
    └── UpstreamTimeout         no answer before the deadline
        └── UpstreamCutShort        it was the caller's own caller who had no more time
"""

from __future__ import annotations

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
RESOURCE_NOT_FOUND = -32002

# Own codes stay outside -32768..-32000, which JSON-RPC and MCP reserve (2026-07-28, basic/index, "Error Codes").
DENIED = 4030
UPSTREAM_UNREACHABLE = 5030
UPSTREAM_LOST = 5020
UPSTREAM_JUNK = 5021
UPSTREAM_OVERSIZE = 5022
UPSTREAM_TIMEOUT = 5040
LEDGER_UNAVAILABLE = 5070


class FuseboardError(Exception):
    """Everything that Fuseboard itself raises."""


class ConfigError(FuseboardError):
    """The configuration cannot be used. The message is written for the operator and holds no secret."""


class StoreUnavailable(FuseboardError):
    """The store cannot be reached or written. Calls with effects fail closed on it."""


class ProtocolFault(FuseboardError):
    """A message that breaks JSON-RPC or MCP. ``code`` is the JSON-RPC error code to answer with."""

    def __init__(self, code: int, message: str, *, id: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id


class UpstreamFault(FuseboardError):
    """The upstream did not answer. ``code`` is the JSON-RPC error code that the client gets.

    ``status`` is the HTTP status that came instead of an answer, ``retry_after_s`` how long it asked to be left alone;
    ``None`` where there was no such thing.
    """

    code = UPSTREAM_UNREACHABLE
    status: int | None = None
    retry_after_s: float | None = None

    def __init__(self, upstream: str, message: str) -> None:
        super().__init__(message)
        self.upstream = upstream
        self.message = message


class UpstreamUnreachable(UpstreamFault):
    """Nothing took effect: it could not be started or connected, or refused the message unread.

    ``answered`` says that something at its address did answer, only not in the way of the era that was tried.
    """

    def __init__(self, upstream: str, message: str, *, answered: bool = False) -> None:
        super().__init__(upstream, message)
        self.answered = answered


class Undelivered(UpstreamUnreachable):
    """Nobody took the message: no connection came about, or the session that it was for has ended.

    Other than its parents it says that the same message is worth sending again.
    """


class UpstreamThrottled(UpstreamUnreachable):
    """It refused the message unread, because there were too many of them."""


class UpstreamLost(UpstreamFault):
    """The link died while the request was under way: whether it took effect is unknown."""

    code = UPSTREAM_LOST


class UpstreamGarbled(UpstreamLost):
    """What came is no response. The request was taken, so whether it took effect is unknown."""


class UpstreamOversize(UpstreamGarbled):
    """What came is larger than one message may be, and was not read to its end."""

    code = UPSTREAM_OVERSIZE


class UpstreamTimeout(UpstreamFault):
    """No answer before the deadline: whether it took effect is unknown."""

    code = UPSTREAM_TIMEOUT


class UpstreamCutShort(UpstreamTimeout):
    """No answer before a deadline that was its caller's, and far shorter than its own: that says nothing of it."""
