from itertools import pairwise

from fuseboard.adapters.demo.chapters import CHAPTERS
from fuseboard.adapters.demo.story import Call, steps_of

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
