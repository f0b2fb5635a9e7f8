"""How links that die are mourned and replaced: what may be sent again, how long is waited, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

FREE: Final = frozenset(
    {
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "logging/setLevel",
    }
)
"""What may be sent again even where the first one may have arrived: a second does no more than the first."""

PATIENCE_S: Final = 5.0
"""How long a server that was there a moment ago is waited for: it may just be starting anew."""

FIRST_TRY_S: Final = 0.1
LONGEST_TRY_S: Final = 0.5
"""The first pause between two tries within that time, and the longest; each is twice as long as the one before."""

SHORT_LIFE_S: Final = 10.0
SHORT_LIVES: Final = 5
"""So many links in a row that each died sooner than that, and the upstream is left alone for a while."""

COOL_DOWN_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.5


class Lives:
    """The lives of one seat's links, one after the other. ``clock`` gives seconds.

    Kept for each seat, not for the upstream: a client whose calls kill its own child must not take the children of
    others with it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at: float | None = None
        self._ended_at = -math.inf
        self._retry_at = -math.inf
        self._paused_s = 0.0
        self.short = 0
        """How many in a row were short."""
        self.last_words = ""

    def began(self) -> None:
        self._began_at = self._clock()

    def ended(self, reason: str) -> None:
        """The link has died. Idempotent until the next begins."""
        if self._began_at is None:
            return
        now = self._clock()
        self.short = self.short + 1 if now - self._began_at < SHORT_LIFE_S else 0
        self.last_words = reason
        self._began_at, self._ended_at = None, now
        self._paused_s = self._pause_s()
        self._retry_at = now + self._paused_s

    def over(self) -> None:
        """The link was closed on purpose."""
        self._began_at = None

    def _pause_s(self) -> float:
        """The first death costs no time: whoever calls next hardly notices it."""
        if self.short <= 1:
            return 0.0
        return COOL_DOWN_S if self.short >= SHORT_LIVES else _FIRST_PAUSE_S * 2.0 ** (self.short - 2)

    @property
    def wait_s(self) -> float:
        """How long it is until another link may be opened. A clock that was put back makes no pause longer."""
        return min(self._paused_s, max(0.0, self._retry_at - self._clock()))

    @property
    def spent(self) -> bool:
        """Whether the last ones died so soon that nobody should wait for the next."""
        return self.short >= SHORT_LIVES and self.wait_s > 0

    @property
    def patience_s(self) -> float:
        """How much longer a server is waited for that was there until lately."""
        return min(PATIENCE_S, max(0.0, self._ended_at + PATIENCE_S - self._clock()))
