"""What is left of the arguments once what nobody sees and what the proxy keeps secret is out of them?"""

from __future__ import annotations

from typing import Final

from fuseboard.events import CallProposed, CleanArguments, Event
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Rewrite, Verdict

RULE: Final = "output.cleaned"


class OutputPolicy:
    """Puts cleaned arguments in the place of those that came.

    Before any rule reads them: what is judged is what is sent, so no hidden character keeps a rule from matching what
    the upstream will see once the character is gone. Of what has nothing to clean, as nearly all, it is not even asked.
    """

    name = "output"
    judges = (CleanArguments,)
    tells_callers_apart = False
    keyed_by_call = False

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if not isinstance(event, CallProposed) or event.clean is None:
            return _AS_IT_IS
        counts = event.clean.facts["counts"]
        told = ", ".join(f"{what} × {count:,}" for what, count in counts.items())
        return Rewrite(RULE, f"Cleaned before it was judged: {told}", event.clean.arguments, event.clean.facts)


_AS_IT_IS: Final = Allow()
