from itertools import pairwise

from fuseboard.adapters.demo.chapters import CHAPTERS
from fuseboard.adapters.demo.story import Call, Verb, steps_of

STEPS = steps_of(CHAPTERS)
CALLS = [step for step in STEPS if isinstance(step, Call)]


def test_one_refusal_is_explained_at_the_end() -> None:
    (call,) = [call for call in CALLS if call.explained]
    assert call.ends.refused


def test_the_story_has_every_kind_of_ending() -> None:
    assert {call.ends.verdict for call in CALLS} == {"allow", "rewrite", "deny", "hold"}


def test_a_mended_call_goes_through_right_after_its_refusal() -> None:
    mended = [(before, call) for before, call in pairwise(CALLS) if call.mends]
    assert mended
    for before, call in mended:
        assert before.tool == call.tool
        assert before.ends.refused
        assert not call.ends.refused


def test_each_step_is_told_on_one_line_of_a_narrow_terminal() -> None:
    assert [step.tells for step in STEPS if len(step.tells) > 75] == []


def test_a_paused_run_is_resumed_by_a_person_and_the_very_same_call_goes_through() -> None:
    (held,) = [number for number, step in enumerate(STEPS) if isinstance(step, Call) and step.ends.rule == "run.paused"]
    verbs = [step.words[0] for step in STEPS[held + 1 : -1] if isinstance(step, Verb)]
    assert verbs == ["inbox", "resume"]
    before, after = STEPS[held], STEPS[-1]
    assert isinstance(before, Call)
    assert isinstance(after, Call)
    assert (before.tool, before.arguments) == (after.tool, after.arguments)
    assert not after.ends.refused
