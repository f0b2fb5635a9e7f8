"""A story as it is told: a line when a step begins, and below it what came of it."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from fuseboard.cli.wording import clean, counted, span

if TYPE_CHECKING:
    from fuseboard.adapters.demo.story import Answer, Call, Chapter, Look, Step

_INDENT = 5
_GOOD = ("✓ ", "green")
_REFUSED = {"deny": ("✗ ", "bold red", "denied"), "hold": ("‖ ", "bold magenta", "held")}
_FAILED = ("▒ ", "yellow")


class Teller:
    """Says each step through ``say``, in at most ``width`` columns. Calls are numbered as the timeline numbers them."""

    def __init__(self, chapters: Iterable[Chapter], say: Callable[[Text], None], *, width: int) -> None:
        self._titles = {id(chapter.steps[0]): chapter.title for chapter in chapters}
        self._say = say
        self._width = width
        self._calls = 0

    def opens(self, task: str) -> None:
        self._say(Text("An agent, six tool servers, and Fuseboard between them. No network, no key.", style="bold"))
        self._say(Text().append("Its task: ", style="dim").append(task))
        self._say(Text("Each is a process of its own. They are starting …", style="dim"))

    def closes(self, took_s: float, hints: Iterable[str]) -> None:
        """``hints`` are commands to go on with."""
        self._say(Text())
        said = f"The story went as told: {counted(self._calls, 'call')} in {span(took_s)}."
        self._say(Text().append(said, style="bold green").append("  Go on with", style="dim"))
        for hint in hints:
            self._say(Text(f"  {hint}"))

    def begins(self, step: Step) -> None:
        from fuseboard.adapters.demo.story import Call

        if title := self._titles.get(id(step)):
            self._say(Text())
            self._say(Text(title, style="bold"))
        number = "·"
        if isinstance(step, Call) and not step.by:
            self._calls += 1
            number = str(self._calls)
        for row, line in enumerate(_wrapped(step.tells, self._width - _INDENT)):
            self._say(Text().append(f"{number if row == 0 else '':>3}  ", style="dim").append(line))

    def ended(self, step: Step, answer: Answer) -> None:
        for line in _lines(step, answer, self._width):
            self._say(Text(" " * _INDENT).append_text(line))


def _lines(step: Step, answer: Answer, width: int) -> Iterator[Text]:
    from fuseboard.adapters.demo.story import Back, Call, Look

    if isinstance(step, Call):
        return _called(step, answer, width)
    if isinstance(step, Back):
        return iter(())
    return _listed(step, answer) if isinstance(step, Look) else _done(answer, width)


def _done(answer: Answer, width: int) -> Iterator[Text]:
    """A person's verb as it was typed, and what it printed."""
    yield Text().append("$ ", style="bold").append(clean(f"fuseboard {shlex.join(answer.words)}"))
    style = _FAILED[1] if answer.failed else "dim"
    for line in answer.text.splitlines():
        for row, part in enumerate(_wrapped(line.strip(), width - _INDENT - 4)):
            indent = "    " if row or line.startswith(" ") else "  "
            yield Text(indent).append(part, style=style)


def _listed(look: Look, answer: Answer) -> Iterator[Text]:
    unseen = [tool for tool in look.hidden if tool not in answer.tools]
    said = counted(len(answer.tools), "tool") + (f", without {', '.join(unseen)}" if unseen else "")
    yield Text().append(*_GOOD).append("tools/list  ").append(said, style="dim")


def _called(call: Call, answer: Answer, width: int) -> Iterator[Text]:
    if answer.refused and answer.decision is not None:
        mark, style, word = _REFUSED[answer.decision["verdict"]]
        head = Text().append(mark, style=style).append(call.tool).append(f"  {word} by ", style=style)
        yield head.append(clean(str(answer.decision["rule"])), style=style)
        text = answer.text.removesuffix(f" [{answer.decision['id']}]")
        yield from (Text(f"  {line}") for line in _wrapped(text, width - _INDENT - 2))
        return
    line = Text().append(*(_FAILED if answer.failed else _GOOD)).append(f"{call.tool}  ")
    yield line.append(_shortened(answer.text, width - _INDENT - len(line.plain)), style="dim")
    if answer.nudge is not None and answer.decision is not None:
        yield from (Text(f"  {line}") for line in _wrapped(str(answer.decision["reason"]), width - _INDENT - 2))


def _shortened(text: str, columns: int) -> str:
    """The first line, with an ellipsis where there is more."""
    first, _, rest = text.strip().partition("\n")
    first = clean(first)
    more = " …" if rest else ""
    return f"{first}{more}" if len(first) + len(more) <= columns else f"{first[: max(0, columns - 1)]}…"


def _wrapped(text: str, columns: int) -> Iterator[str]:
    """Each line of ``text`` folded between words; what is folded of an item stands below its text."""
    for line in text.splitlines():
        indent = "  " if line.startswith("- ") else ""
        yield from textwrap.wrap(
            clean(line), columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
