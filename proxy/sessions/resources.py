"""Whose resource a URI is, and who completes what: neither has an upstream's name in it.

URIs are not renamed: links between resources, and those of tools to their ``ui://`` views, have to hold. So an upstream
is found by what it listed. Where two list the same URI, or both have a template that it fits, it is the first one's in
the order of the configuration, and the other's cannot be had by that URI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from fuseboard.errors import INVALID_PARAMS, ProtocolFault, UpstreamFault
from fuseboard.listings import RESOURCES, TEMPLATES, TOOLS
from fuseboard.ports import Reply, Request, Scope
from fuseboard.routing import split
from fuseboard.sessions.lists import Lists
from fuseboard.upstreams.seats import Absent, Refused, Seat
from fuseboard.wire import splice

VIEWS: Final = "ui://"
"""What MCP Apps are shown by."""


class Resources(Lists):
    """Finds the upstream that a URI, a template or a prompt means."""

    async def _seat_even_if_down(self, alias: str, request: Request) -> Seat:
        try:
            return await self._seat(alias, request)
        except Refused:
            raise
        except UpstreamFault as fault:
            return Absent(self._board.upstreams[alias], self.era, fault)

    def _alias_of(self, exposed: str, method: str) -> str:
        if self._only is not None:
            return self._only
        parts = split(exposed)
        if parts is None or parts[0] not in self._board.upstreams:
            what = "tool" if method == "tools/call" else "prompt"
            raise ProtocolFault(INVALID_PARAMS, f"Unknown {what}: {exposed}")
        return parts[0]

    async def _seat_of_resource(self, uri: str, request: Request) -> Seat:
        """The upstream that listed the URI; where none did, the one whose template it fits."""
        if (alias := (await self._owners([uri], request)).get(uri)) is None:
            raise ProtocolFault(INVALID_PARAMS, f"Resource not found: {uri}; no upstream listed it")
        return await self._seat_even_if_down(alias, request)

    async def _owners(self, uris: Sequence[str], request: Request) -> Mapping[str, str]:
        """Whose each of these resources is; those that nobody has are missing. However many they are, all is listed
        once at most.
        """
        if self._only is not None:
            return dict.fromkeys(uris, self._only)
        origins = self._origins
        missing = [uri for uri in uris if origins.find(uri) is None]
        if missing:
            await self._explore(RESOURCES, request)
            await self._explore(TEMPLATES, request)
            missing = [uri for uri in missing if origins.find(uri) is None]
        if any(uri.startswith(VIEWS) and origins.of_view(uri) is None for uri in missing):
            await self._explore(TOOLS, request)  # a view need not be listed: the tool that it is of names it
        found = {uri: origins.find(uri) or origins.of_view(uri) for uri in uris}
        return {uri: alias for uri, alias in found.items() if alias is not None}

    async def _complete(self, request: Request, scope: Scope) -> Reply:
        if self._only is not None:
            seat = await self._seat(self._only, request)
            return await seat.request(request.method, request.params, self._way_back(seat, scope))
        fields = splice.fields(request.params)
        ref = msgspec.json.decode(fields.get("ref", b"{}"), type=dict[str, Any])
        params = request.params
        if ref.get("type") == "ref/prompt":
            exposed = str(ref.get("name"))
            seat = await self._seat(self._alias_of(exposed, request.method), request)
            ref["name"] = seat.upstream.names.own(exposed)
            params = splice.with_fields(params, ref=ref)
        else:
            seat = await self._seat_of_reference(str(ref.get("uri")), request)
        return await seat.request(request.method, params, self._way_back(seat, scope))

    async def _seat_of_reference(self, uri: str, request: Request) -> Seat:
        """A reference is a template as it was listed, or a resource's own URI."""
        if (alias := self._origins.of_template(uri)) is None and self._origins.listed(uri) is None:
            await self._explore(TEMPLATES, request)
            alias = self._origins.of_template(uri)
        if alias is not None:
            return await self._seat_even_if_down(alias, request)
        return await self._seat_of_resource(uri, request)
