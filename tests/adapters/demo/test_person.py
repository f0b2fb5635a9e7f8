from __future__ import annotations

import time
from pathlib import Path

from fuseboard.adapters.demo.person import about, act, refusal
from fuseboard.adapters.demo.story import Verb
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.reviews import RunState
from fuseboard.state import EMPTY

PRINTED = """\
a-1  ci__deploy (destructive)
  run r-other of ana
  why: it says so
a-2  let the run go on
  run r-1, asked just now
    | more
r-1 goes on
Nothing else.
"""


async def paused(folder: Path) -> None:
    store, at = SqliteStore.open(folder / "ledger.db"), time.time()
    put = RunState().paused(at=at, by="fuseboard", why="half").written("r-1")
    assert await store.commit([put], EMPTY, None, at=at, durable=True)
    await store.close()


async def test_a_verb_is_used_for_real_on_the_run_of_the_story(tmp_path: Path) -> None:
    await paused(tmp_path)
    verb = Verb("lets it go on", ("resume", "{run}", "--why", "fine"))
    done = await act(verb, "r-1", state=tmp_path)
    assert (done.text, done.words, done.failed) == ("r-1 goes on", ("resume", "r-1", "--why", "fine"), False)


async def test_a_verb_that_cannot_be_done_has_failed_and_says_why(tmp_path: Path) -> None:
    await paused(tmp_path)
    done = await act(Verb("lets it go on", ("resume", "{run}")), "r-2", state=tmp_path)
    assert done.failed
    assert "run r-2 is not known here" in done.text


def test_of_what_is_printed_only_the_entries_of_the_run_are_shown() -> None:
    assert about("r-1", PRINTED).splitlines() == [
        "a-2  let the run go on",
        "  run r-1, asked just now",
        "    | more",
        "r-1 goes on",
    ]


def test_of_a_record_only_who_refused_and_the_evidence_is_shown() -> None:
    record = "\n".join(
        (
            "a__b  DENY by loops / loops.repeat",
            "  run       r-1#3",
            "  checks    · exposure  allow",
            "            ✗ loops     deny  loops.repeat",
            "                count = 3",
            "            · budgets   allow",
            "  told      no",
        )
    )
    assert refusal(record).splitlines() == [
        "a__b  DENY by loops / loops.repeat",
        "✗ loops     deny  loops.repeat",
        "  count = 3",
    ]
    assert refusal("nothing was refused") == "nothing was refused"
