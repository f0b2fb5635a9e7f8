"""The loop that a call was part of, as the timeline draws it: by the numbers of the calls that formed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fuseboard.cli.wording import clean

if TYPE_CHECKING:
    from fuseboard.adapters.stores.reader import Call

_ARROW: Final = " → "


def circle(call: Call, numbers: Mapping[str, int]) -> str | None:
    """``↻ cycle of 2, 3 times: 1 → 2 → 3 → 4 → 5``. ``numbers`` are the calls' own, by their ids."""
    for check in call.checks:
        facts = check["facts"]
        if "loop" in facts and isinstance(facts.get("calls"), list):
            return f"↻ {_kind(facts)}: {_ARROW.join(_number(id, numbers) for id in facts['calls'])}"
    return None


def _kind(facts: Mapping[str, Any]) -> str:
    kind, period, count = clean(str(facts["loop"])), facts.get("period", 1), facts.get("count", 0)
    return f"{kind} of {period}, {count:g} times" if period != 1 else f"{kind}, {count:g} times"


def _number(id: Any, numbers: Mapping[str, int]) -> str:
    """A call of another run, or one that is no longer on file, goes by its id."""
    return str(numbers[id]) if id in numbers else clean(str(id))
