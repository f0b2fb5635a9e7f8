"""The same call asked again has the same fingerprint; another has another."""

from fuseboard.fingerprints import of_call


def test_the_order_of_the_arguments_does_not_matter() -> None:
    assert of_call("a__t", {"x": 1, "y": 2}) == of_call("a__t", {"y": 2, "x": 1})


def test_another_tool_or_another_argument_is_another_call() -> None:
    assert len({of_call("a__t", {"x": 1}), of_call("b__t", {"x": 1}), of_call("a__t", {"x": 2})}) == 3


def test_what_changes_each_time_is_set_aside() -> None:
    assert of_call("a__t", {"x": 1, "at": 5}, {"at"}) == of_call("a__t", {"x": 1, "at": 6}, {"at"})
