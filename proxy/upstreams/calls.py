"""The calls under way on one link, and the way back for each: ids of the upstream's side are put right on it."""

from __future__ import annotations

from typing import Final

import msgspec

from fuseboard.era import SUBSCRIPTION_KEY
from fuseboard.ports import Reply, Scope
from fuseboard.wire import splice

PROGRESS: Final = "notifications/progress"
LISTEN: Final = "subscriptions/listen"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"


class _Meta(msgspec.Struct):
    progress_token: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="progressToken", default=msgspec.UNSET)
    subscription_id: msgspec.Raw | msgspec.UnsetType = msgspec.field(name=SUBSCRIPTION_KEY, default=msgspec.UNSET)


class _Params(msgspec.Struct):
    meta: _Meta | msgspec.UnsetType = msgspec.field(name="_meta", default=msgspec.UNSET)


_PARAMS: Final = msgspec.json.Decoder(_Params)
_NO_META: Final = _Meta()


def progress_token(params: bytes | None) -> bytes | None:
    """The progress token (raw JSON) in a request's ``_meta``, if any."""
    token = _meta(params).progress_token
    return None if token is msgspec.UNSET else bytes(token)


def with_progress_token(params: bytes, token: bytes) -> bytes:
    """The request with another progress token in its ``_meta``."""
    return _with_meta(params, "progressToken", token)


class CallScope:
    """The scope that a link gets for one call. ``token`` is the client's own progress token."""

    __slots__ = ("_scope", "request_id", "token")

    def __init__(self, scope: Scope, token: bytes | None) -> None:
        self._scope = scope
        self.request_id = scope.request_id
        self.token = token

    def notify(self, method: str, params: bytes | None) -> None:
        if params is not None:
            if method == PROGRESS and self.token is not None:
                params = _with_own_token(params, self.token)
            elif self.request_id is not None:
                params = _with_own_subscription(params, self.request_id)
        self._scope.notify(method, params)

    @property
    def connection(self) -> object:
        """The pipe that the call came over, if that names its client; over HTTP each call is a stranger to the next."""
        return getattr(self._scope, "connection", self)

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        return await self._scope.request(method, params)


class Calls:
    """Finds the caller of what arrives without a stream of its own, as everything does over a pipe."""

    def __init__(self) -> None:
        self._open: dict[CallScope, None] = {}
        self._by_token: dict[bytes, CallScope] = {}
        self._by_subscription: dict[bytes, CallScope] = {}

    def subscribed(self, call: CallScope, id: bytes) -> None:
        """``id`` is what the subscription's notices will carry."""
        self._by_subscription[id] = call

    def of_subscription(self, params: bytes | None) -> CallScope | None:
        id = subscription_id(params)
        return self._by_subscription.get(id) if id is not None else None

    def unsubscribed(self, call: CallScope) -> None:
        self._by_subscription = {id: kept for id, kept in self._by_subscription.items() if kept is not call}

    def add(self, call: CallScope, token: bytes | None) -> None:
        """``token`` is the progress token as the upstream sees it."""
        self._open[call] = None
        if token is not None:
            self._by_token[token] = call

    def remove(self, call: CallScope, token: bytes | None) -> None:
        self._open.pop(call, None)
        if token is not None and self._by_token.get(token) is call:
            del self._by_token[token]

    def of_progress(self, params: bytes | None) -> CallScope | None:
        try:
            token = splice.fields(params).get("progressToken")
        except msgspec.MsgspecError:
            return None
        return self._by_token.get(bytes(token)) if token is not None else None

    def latest(self) -> CallScope | None:
        return next(reversed(self._open), None)

    def only(self) -> CallScope | None:
        """The one call under way, ``None`` where there are none or several."""
        return next(iter(self._open)) if len(self._open) == 1 else None


def subscription_id(params: bytes | None) -> bytes | None:
    """The id (raw JSON) of the subscription that a notice belongs to, if any."""
    id = _meta(params).subscription_id
    return None if id is msgspec.UNSET else bytes(id)


def _meta(params: bytes | None) -> _Meta:
    """What ``_meta`` holds of concern here. Parsed, for a key has many spellings: ``progress\\u0054oken`` is one."""
    if params is None or not splice.may_hold_meta(params):
        return _NO_META
    try:
        meta = _PARAMS.decode(params).meta
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NO_META
    return _NO_META if meta is msgspec.UNSET else meta


def _with_own_token(params: bytes, token: bytes) -> bytes:
    fields = splice.fields(params)
    if bytes(fields.get("progressToken", b"")) == token:
        return params
    fields["progressToken"] = msgspec.Raw(token)
    return splice.join(fields)


def _with_own_subscription(params: bytes, request_id: bytes) -> bytes:
    """2026-07-28, subscriptions: the id is that of the client's own ``subscriptions/listen`` request."""
    return _with_meta(params, SUBSCRIPTION_KEY, request_id) if subscription_id(params) is not None else params


def _with_meta(params: bytes, key: str, value: bytes) -> bytes:
    fields = splice.fields(params)
    meta = splice.fields(fields.get("_meta"))
    meta[key] = msgspec.Raw(value)
    fields["_meta"] = msgspec.Raw(splice.join(meta))
    return splice.join(fields)
