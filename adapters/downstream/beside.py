"""What an HTTP request says beside its message of its run: a token in the path or a header, and a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuseboard.adapters.downstream.asgi import Caller, Head, Refusal
from fuseboard.errors import DENIED
from fuseboard.ports import Beside
from fuseboard.tokens import BadToken, Tokens

RUN: Final = b"fuseboard-run"
_TRACEPARENT: Final = b"traceparent"
_TRACESTATE: Final = b"tracestate"
_BAGGAGE: Final = b"baggage"
_NAMES: Final = frozenset({RUN, _TRACEPARENT, _BAGGAGE})
_PREFIX: Final = "/run/"

_TWO: Final = Refusal(400, "the request bears two run tokens; send one, in the path or in the header Fuseboard-Run")
_NONE_ACCEPTED: Final = Refusal(403, "run tokens are not accepted here: `identity.chain` leaves them out", DENIED)


def split(path: str) -> tuple[str, str | None]:
    """``/run/<token>/mcp`` is ``/mcp`` within a run. Any other path is itself."""
    if not path.startswith(_PREFIX):
        return path, None
    token, _, rest = path[len(_PREFIX) :].partition("/")
    return f"/{rest}", token


class Reader:
    """Reads it. Without ``tokens`` none is accepted; ``clock`` gives Unix seconds."""

    def __init__(self, tokens: Tokens | None, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clock = clock

    def read(self, head: Head, caller: Caller, token: str | None) -> Beside | Refusal | None:
        """``None`` where nothing is said. A token that does not hold is refused, whatever it came with.

        It says which run, not who: 403, for a 401 sends clients off to log in, and they show no reason.
        """
        if token is None and not head.has_any(_NAMES):
            return None
        if (written := head.text(RUN)) is not None:
            if RUN in head.repeated or (token is not None and token != written):
                return _TWO
            token = written
        signed = None
        if token is not None:
            if self._tokens is None:
                return _NONE_ACCEPTED
            try:
                signed = self._tokens.read(token, principal=caller.principal, at=self._clock())
            except BadToken as fault:
                return Refusal(403, str(fault), DENIED)
        # Trace Context, 3.2: of more than one traceparent none counts.
        parent = None if _TRACEPARENT in head.repeated else head.text(_TRACEPARENT)
        return Beside(signed, parent, head.text(_TRACESTATE), head.text(_BAGGAGE))
