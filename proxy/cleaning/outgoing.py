"""What goes to an upstream is cleaned too: what nobody sees in it, and the secrets that the proxy itself holds. Pure.

Nothing else goes: a token of somebody else's in an argument may be what the call is about, and so may any link.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from fuseboard import fingerprints
from fuseboard.cleaning.fields import Root
from fuseboard.cleaning.result import Cleaned, Cleaner
from fuseboard.events import CallProposed, CleanArguments
from fuseboard.ports import Request
from fuseboard.wire import splice

_ARGUMENTS: Final = "arguments"
_ANSWERS: Final = "inputResponses"
"""What a client says when it is asked travels with its next request (2026-07-28, basic/patterns/mrtr)."""
_ROOTS: Final = {"elicitation/create": Root.ANSWER}


class _Asked(Protocol):
    @property
    def request(self) -> Request: ...


_Ask = TypeVar("_Ask", bound=_Asked)


class Outgoing:
    """``cleaner`` is one for what comes in; from it this one has its secrets. Without ``enforce`` it only tells."""

    def __init__(self, cleaner: Cleaner | None, *, enforce: bool = True) -> None:
        self._cleaner = cleaner.outgoing() if cleaner is not None else None
        self._enforce = enforce

    def taken(self, event: CallProposed, ask: _Ask) -> tuple[CallProposed, _Ask]:
        """A call as it is to be judged: with what cleaning leaves of its arguments, and with its answers cleaned."""
        clean = self._of_call(ask.request)
        if clean is None:
            return event, ask
        event = self._with(event, clean)
        request = _with_answers(ask.request, clean) if self._enforce else ask.request
        if request is not ask.request:
            ask = cast(_Ask, msgspec.structs.replace(cast(Any, ask), request=request))
        return event, ask

    def imagined(self, event: CallProposed) -> CallProposed:
        """A call that nobody makes, as it would be judged."""
        params = msgspec.json.encode({_ARGUMENTS: event.arguments})
        clean = self._of_call(Request(b"0", event.method, params))
        return event if clean is None else self._with(event, clean)

    def _with(self, event: CallProposed, clean: CleanArguments) -> CallProposed:
        if not self._enforce:
            return msgspec.structs.replace(event, clean=clean)
        # the same call is the same, whatever nobody sees in it: else a loop hides behind a character
        same = fingerprints.of_call(event.tool.qualified, clean.arguments, event.tool.volatile)
        return msgspec.structs.replace(event, clean=clean, fingerprint=same)

    def _of_call(self, request: Request) -> CleanArguments | None:
        """What is left of a governed request's arguments and answers; ``None``, nearly always, where that is all."""
        params = request.params
        if self._cleaner is None or params is None or self._cleaner.passes(params):
            return None
        fields = splice.fields(params)
        said: dict[str, msgspec.Raw] = {name: fields[name] for name in (_ARGUMENTS, _ANSWERS) if name in fields}
        clean = self._cleaner.clean(request.method, splice.join(said), Root.ARGUMENTS)
        if not clean.counts:
            return None
        value: dict[str, Any] = msgspec.json.decode(clean.raw)
        return CleanArguments(value.get(_ARGUMENTS) or {}, value.get(_ANSWERS), clean.facts)

    def of_params(self, method: str, raw: bytes) -> Cleaned:
        """The parameters of what no policy judges."""
        return Cleaned(raw) if self._cleaner is None else self._cleaner.clean(method, raw, Root.ARGUMENTS)

    def of_answers(self, raw: bytes) -> bytes:
        """The parameters of a governed request whose arguments were cleaned before they were judged."""
        if self._cleaner is None or _ANSWERS.encode() not in raw or self._cleaner.passes(raw):
            return raw
        fields = splice.fields(raw)
        if _ANSWERS not in fields:
            return raw
        clean = self._cleaner.clean("", splice.join({_ANSWERS: fields[_ANSWERS]}), Root.ARGUMENTS)
        return splice.join({**fields, **splice.fields(clean.raw)}) if clean.counts else raw

    def of_answer(self, method: str, raw: bytes) -> Cleaned:
        """What a client answered to the question ``method``."""
        if self._cleaner is None:
            return Cleaned(raw)
        return self._cleaner.clean(method, raw, _ROOTS.get(method, Root.RESULT))


def _with_answers(request: Request, clean: CleanArguments) -> Request:
    """The request with what is left of its answers. Its arguments are the pipeline's to replace."""
    value = request.value
    if clean.answers is None or value is None or clean.answers == value.get(_ANSWERS):
        return request
    params = splice.with_fields(request.params, **{_ANSWERS: clean.answers})
    return msgspec.structs.replace(request, params=params, value={**value, _ANSWERS: clean.answers})
