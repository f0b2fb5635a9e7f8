from itertools import pairwise

from fuseboard.adapters.demo.chapters import CHAPTERS
from fuseboard.adapters.demo.servers.web import ADDRESS, TAKER
from fuseboard.adapters.demo.story import Back, Call, Verb, steps_of

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
    steps = next(one.steps for one in CHAPTERS if "half of its budget" in one.title)
    (held,) = [number for number, step in enumerate(steps) if isinstance(step, Call) and step.ends.rule == "run.paused"]
    verbs = [step.words[0] for step in steps[held + 1 : -1] if isinstance(step, Verb)]
    assert verbs == ["inbox", "resume"]
    before, after = steps[held], steps[-1]
    assert isinstance(before, Call)
    assert isinstance(after, Call)
    assert (before.tool, before.arguments) == (after.tool, after.arguments)
    assert not after.ends.refused


def test_each_of_the_four_failures_is_stopped_and_the_trace_says_why() -> None:
    stops = {"loops.repeat", "retries.per_call", "effects.unknown", "run.breaker", "locks.cycle"}
    assert stops <= {call.ends.rule for call in CALLS}
    explained = [step.said[0] for step in STEPS if isinstance(step, Verb) and step.words[0] == "trace"]
    assert explained[:4] == ["repeat", "locks.cycle", "effects.unknown", "run.breaker"]


def test_a_poisoned_page_is_named_when_what_it_asks_for_is_stopped() -> None:
    steps = CHAPTERS[-1].steps
    held = next(step for step in steps if isinstance(step, Call) and step.ends.rule == "flow.copied")
    assert held.arguments["to"] == TAKER
    assert [step.arguments["url"] for step in steps if isinstance(step, Call) and "url" in step.arguments] == [ADDRESS]
    assert [step.said for step in steps if isinstance(step, Verb)] == [("web__read_page",)]


def test_a_call_that_is_made_aside_is_waited_for_in_its_chapter() -> None:
    for chapter in CHAPTERS:
        aside = [at for at, step in enumerate(chapter.steps) if isinstance(step, Call) and step.aside]
        back = [at for at, step in enumerate(chapter.steps) if isinstance(step, Back)]
        assert len(aside) == len(back) <= 1
        assert aside <= back


def test_other_agents_are_not_those_whose_run_is_shown_at_the_end() -> None:
    assert not any(call.by and call.explained for call in CALLS)
