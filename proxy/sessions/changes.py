"""Whether a change of an upstream's list is one for this client, which may see only a part of it, or nothing of it.

Clients list anew at every notice, so a notice that changes nothing for them costs them, and us, a list for nothing; and
one that tells of a hidden tool tells that there is one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.abc

from fuseboard.errors import ProtocolFault, UpstreamFault
from fuseboard.listings import PROMPTS, RESOURCES, TEMPLATES, TOOLS, Kind, Shown
from fuseboard.ports import Reply, Scope
from fuseboard.sessions.relists import JOIN_S

_log = logging.getLogger("fuseboard.session")

NOTICES: Final[Mapping[str, tuple[Kind, ...]]] = {
    "notifications/tools/list_changed": (TOOLS,),
    "notifications/prompts/list_changed": (PROMPTS,),
    "notifications/resources/list_changed": (RESOURCES, TEMPLATES),
}
"""What each notice says may have changed."""

WINDOW_S: Final = JOIN_S
"""How long notices are gathered before anybody is asked."""

LONGEST_WINDOW_S: Final = 5.0
"""The same while they keep coming: each round of a storm waits twice as long as the one before."""

NOTHING: Final = b""
"""The digest of a list without items, and of one that an upstream does not have."""


def added(digest: bytes, page: Shown) -> bytes:
    """The digest of a list that goes on with ``page``. How items are spread over pages counts, an empty page not."""
    return hashlib.blake2b(digest + page.digest, digest_size=16).digest() if page.count else digest


@dataclass(slots=True)
class _Seen:
    """``next`` is the cursor of the page that is still to come, ``None`` where the whole list was seen."""

    digest: bytes
    next: str | None = None
    filtered: bool = False


class Known:
    """What one client was last shown, as digests by upstream and kind of list."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def listed(self, kind: Kind, alias: str, shown: Shown | None, cursor: str | None) -> None:
        """The client was shown the page that ``cursor`` leads to, ``None`` where the upstream has no such list."""
        seen = self._seen.get((alias, kind.method))
        if cursor is None:
            seen = self._seen[alias, kind.method] = _Seen(NOTHING)
        elif seen is None or cursor != seen.next:
            self._seen.pop((alias, kind.method), None)  # pages in another order than ours: nothing is known
            return
        seen.next = None
        if shown is not None:
            seen.digest, seen.next = added(seen.digest, shown), shown.cursor
            seen.filtered = seen.filtered or shown.filtered

    def put(self, kind: Kind, alias: str, digest: bytes) -> None:
        """The client is told of the whole list, or knows it."""
        seen = self._seen.get((alias, kind.method))
        self._seen[alias, kind.method] = _Seen(digest, filtered=seen.filtered if seen is not None else False)

    def has_any(self, kind: Kind, alias: str) -> bool:
        return (alias, kind.method) in self._seen

    def digest(self, kind: Kind, alias: str) -> bytes | None:
        """``None`` where the client does not know the whole list."""
        seen = self._seen.get((alias, kind.method))
        return seen.digest if seen is not None and seen.next is None else None

    def filtered(self, kinds: Iterable[Kind], alias: str) -> bool:
        """Whether anything was left out when the client listed."""
        return any((seen := self._seen.get((alias, kind.method))) is not None and seen.filtered for kind in kinds)


class Changes:
    """Takes upstreams' notices for one client, and says at most one bare notice for all that come together.

    ``view`` gives the digest of an upstream's list as the client would be shown it now; ``say`` sends the notice.
    """

    def __init__(
        self,
        tasks: anyio.abc.TaskGroup,
        known: Known,
        *,
        view: Callable[[str, Kind], Awaitable[bytes]],
        say: Callable[[str], None],
        relayed: bool = False,
    ) -> None:
        """``relayed``: notices of an upstream that hides nothing from the client go on as they come."""
        self._tasks = tasks
        self._known = known
        self._view = view
        self._say = say
        self._relayed = relayed
        self._pending: dict[str, set[str]] = {}
        self._settling: set[str] = set()
        self._closed = False

    def takes(self, alias: str, method: str) -> bool:
        """Whether a notification is one to be looked at here, and not to go on as it came."""
        kinds = NOTICES.get(method)
        return kinds is not None and not (self._relayed and not self._known.filtered(kinds, alias))

    def take(self, alias: str, method: str) -> None:
        """The upstream says that its list changed, or may have changed unheard."""
        self._pending.setdefault(method, set()).add(alias)
        if method not in self._settling and not self._closed:
            self._settling.add(method)
            self._tasks.start_soon(self._settle, method)

    def close(self) -> None:
        """The client has gone, and is let go of: it holds this, and the two would keep each other alive."""
        self._closed = True
        self._view = _nothing
        self._say = lambda method: None

    async def learn(self, alias: str, method: str) -> None:
        """Note what the client can see now, as what it knows; where that cannot be had, its first notice passes."""
        for kind in NOTICES[method]:
            try:
                self._known.put(kind, alias, await self._view(alias, kind))
            except (UpstreamFault, ProtocolFault) as fault:
                _log.debug("%s of %s: %s", kind.method, alias, fault)

    async def _settle(self, method: str) -> None:
        window_s = WINDOW_S
        try:
            while self._pending.get(method) and not self._closed:
                await anyio.sleep(window_s)
                window_s = min(2 * window_s, LONGEST_WINDOW_S)
                if await self._any_differs(method, self._pending.pop(method)) and not self._closed:
                    self._say(method)
                if not self._pending.get(method):
                    await anyio.sleep(window_s)  # what comes in this time belongs to the same storm
        except Exception:  # a task's root: a client's odd list must not end the board
            _log.exception("%s is not passed on", method)
        finally:
            self._settling.discard(method)

    async def _any_differs(self, method: str, aliases: set[str]) -> bool:
        differing: list[bool] = []

        async def compare(alias: str, kind: Kind) -> None:
            differing.append(await self._differs(alias, kind))

        async with anyio.create_task_group() as tasks:
            for alias in aliases:
                for kind in NOTICES[method]:
                    tasks.start_soon(compare, alias, kind)
        return any(differing)

    async def _differs(self, alias: str, kind: Kind) -> bool:
        """Whether the client has to list anew. In doubt it has."""
        if self._closed:
            return False
        if not self._known.has_any(kind, alias):
            return kind is not TEMPLATES  # never listed; one notice stands for both lists of resources
        before = self._known.digest(kind, alias)
        try:
            now = await self._view(alias, kind)
        except (UpstreamFault, ProtocolFault) as fault:
            _log.info("whether %s of %s changed is unknown: %s", kind.method, alias, fault)
            return True
        known = self._known.digest(kind, alias)  # it may have listed meanwhile
        if known == before:
            self._known.put(kind, alias, now)
        return known != now


async def _nothing(alias: str, kind: Kind) -> bytes:
    return NOTHING


class Heard:
    """A way back to the client on which one upstream's list changes are looked at first."""

    def __init__(self, scope: Scope, alias: str, changes: Changes) -> None:
        self._scope = scope
        self._alias = alias
        self._changes = changes

    @property
    def request_id(self) -> bytes | None:
        return self._scope.request_id

    def __getattr__(self, name: str) -> Any:
        """What only some scopes have: a pipe's names its connection."""
        return getattr(self._scope, name)

    def notify(self, method: str, params: bytes | None) -> None:
        if self._changes.takes(self._alias, method):
            self._changes.take(self._alias, method)
        else:
            self._scope.notify(method, params)

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        return await self._scope.request(method, params)
