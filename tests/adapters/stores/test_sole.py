from fuseboard.adapters.stores.sole import Admitted


def test_a_call_that_was_admitted_is_remembered() -> None:
    admitted = Admitted(5.0)
    admitted.add("d-1", 10.0)
    assert "d-1" in admitted
    assert "d-2" not in admitted
    assert admitted.before == 5.0


def test_what_is_forgotten_has_to_be_looked_up() -> None:
    admitted = Admitted(5.0, remembered=2)
    for n, at in enumerate([10.0, 9.0, 11.0, 12.0]):
        admitted.add(f"d-{n}", at)
    assert "d-1" not in admitted
    assert admitted.before == 10.0
