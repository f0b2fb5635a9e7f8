"""What came back, in one word, and what it leaves behind."""

from msgspec.structs import replace

from fuseboard.events import CallReturned
from fuseboard.ports import Result
from fuseboard.results.findings import found, learnt
from fuseboard.state import EMPTY
from fuseboard.truth import Truth
from support.judging import READ, call


def test_each_result_of_a_tool_is_a_step_of_its_run() -> None:
    event = CallReturned(1.0, call(READ), Truth.OK)
    event = replace(event, finding=found(event, Result(b'{"content":[]}'), EMPTY))
    assert [write.key for write in learnt(event)][0] == "window/r1"
