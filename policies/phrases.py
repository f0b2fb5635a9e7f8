"""Did a result speak to the model like somebody who gives it orders?"""

from __future__ import annotations

from typing import Final

from fuseboard.cleaning import phrases
from fuseboard.events import CallReturned, Event
from fuseboard.state import Add, Snapshot
from fuseboard.verdicts import Allow, Verdict

RULE: Final = "phrases.seen"


class PhrasesPolicy:
    """Counts such results of a run, for the score of what the run does next. It refuses nothing and changes nothing.

    It stands in the list only where ``output.phrases`` says so.
    """

    name = "phrases"
    judges = (CallReturned,)
    tells_callers_apart = False
    keyed_by_call = False

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallReturned) or not event.phrases:
            return _NOTHING
        call = event.proposal
        count = Add(phrases.key(call.run), 1, None, call.kept_s)
        return Allow(RULE, {"phrases": list(event.phrases)}, (count,))


_NOTHING: Final = Allow()
