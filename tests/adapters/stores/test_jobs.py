from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fuseboard.adapters.stores.database import open_database
from fuseboard.adapters.stores.jobs import Ask, Job, decided, ruled
from fuseboard.adapters.stores.ledger_file import LedgerFile
from fuseboard.adapters.stores.records import NEWEST, Batch
from fuseboard.adapters.stores.table import Cell, Table
from fuseboard.ports import Entry
from fuseboard.state import EMPTY, Add, Push, Put, Snapshot, Write
from support.ledger_entries import BEGAN, concluded, denied, proposed

Answers = list[bool | Exception]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LedgerFile]:
    opened = LedgerFile(open_database(tmp_path / "ledger.db", lock_timeout_s=5))
    yield opened
    opened.close()


@pytest.fixture
def write(file: LedgerFile) -> Callable[..., Answers]:
    def _write(*jobs: Job) -> Answers:
        answers: Answers = []

        def ask() -> Batch:
            batch, answers[:] = ruled(jobs, file)
            return batch

        file.write(ask, durable=False, touch=False)
        return answers

    return _write


def asking(*writes: Write, entry: Entry | None = None, read: Snapshot = EMPTY) -> Job:
    return Job(entry, ask=Ask(writes, read, BEGAN))


def values(file: LedgerFile, *keys: str) -> list[object]:
    return [cell.value for cell in file.cells(keys).values()]


def test_each_is_decided_upon_what_those_before_it_wrote(file: LedgerFile, write: Callable[..., Answers]) -> None:
    take = asking(Add("k", 2, 5, 60))
    assert write(take, take, take) == [True, True, False]
    assert write(take) == [False]
    assert values(file, "k") == [4]


def test_a_refused_one_writes_nothing_and_costs_no_other_anything(
    file: LedgerFile, write: Callable[..., Answers]
) -> None:
    answers = write(
        asking(Add("a", 1, None, 60), Add("b", 2, 1, 60), entry=proposed("d-1")),
        asking(Add("a", 1, None, 60), entry=proposed("d-2")),
        Job(proposed("d-3")),
    )
    assert answers == [False, True, True]
    assert values(file, "a", "b") == [1]
    assert [file.admitted(id) for id in ("d-1", "d-2", "d-3")] == [False, True, True]


def test_a_mistake_is_its_own_alone(file: LedgerFile, write: Callable[..., Answers]) -> None:
    write(asking(Put("k", 1, 60)))
    mistake, fine = write(asking(Push("k", 1, 2, 60)), asking(Add("k", 1, None, 60)))
    assert isinstance(mistake, TypeError)
    assert fine is True
    assert values(file, "k") == [2]


def test_what_was_decided_in_memory_stands_before_what_is_asked_after_it(
    file: LedgerFile, write: Callable[..., Answers]
) -> None:
    assert write(Job(None, {"k": Cell(4, 9, BEGAN + 60)}), asking(Add("k", 2, 5, 60)), asking(Add("k", 1, 5, 60))) == [
        True,
        False,
        True,
    ]
    assert file.cells(["k"])["k"].version == 10


def test_versions_never_go_back_even_where_the_newest_cell_has_gone(
    file: LedgerFile, write: Callable[..., Answers]
) -> None:
    write(asking(Put("gone", 1, 60)), asking(Put("gone", 2, 60), read=Snapshot({}, {"gone": 1})))
    file.prune(0, BEGAN + 60)
    assert file.cells(["gone"]) == {}
    write(asking(Put("gone", 3, 60)))
    assert file.cells(["gone"])["gone"].version == 3
    assert file.cells([NEWEST])[NEWEST].version == 3


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_a_call_is_charged_once(file: LedgerFile, write: Callable[..., Answers], together: bool) -> None:
    admit = asking(Add("k", 1, 1, 60), entry=proposed())
    answers = write(admit, admit) if together else write(admit) + write(admit)
    assert answers == [True, True]
    assert values(file, "k") == [1]


def test_a_call_that_was_refused_first_is_charged_when_it_is_let_through(
    file: LedgerFile, write: Callable[..., Answers]
) -> None:
    write(asking(Add("k", 1, None, 60), entry=denied()))
    assert not file.admitted("d-1")
    write(asking(Add("k", 1, None, 60), entry=proposed()))
    assert file.admitted("d-1")
    assert values(file, "k") == [2]


def closing(id: str = "d-1") -> Job:
    return Job(concluded(id, truth="lost"), if_open=True)


@pytest.mark.parametrize("before", [(concluded(),), (denied("d-2"),), ()], ids=["ended", "refused", "unknown"])
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_only_an_open_call_is_closed(
    file: LedgerFile, write: Callable[..., Answers], before: Sequence[Entry], together: bool
) -> None:
    jobs = [Job(proposed()), *map(Job, before)] if before else []
    id = before[0].id if before else "d-1"
    answers = write(*jobs, closing(id)) if together else [*write(*jobs), *write(closing(id))]
    assert answers[-1] is False


def test_an_open_call_is_closed_once(file: LedgerFile, write: Callable[..., Answers]) -> None:
    assert write(Job(proposed()), closing(), closing()) == [True, True, False]
    assert not file.is_open("d-1")


def test_deciding_in_a_table_changes_that_table_alone(file: LedgerFile) -> None:
    table, here = Table(), set[str]()
    job = decided(asking(Add("k", 1, 1, 60), entry=proposed()), table, here, file)
    assert isinstance(job, Job)
    assert job.cells == {"k": Cell(1, 1, BEGAN + 60)}
    assert here == {"d-1"}
    assert decided(asking(Add("k", 1, 1, 60)), table, here, file) is False
    assert values(file, "k") == []
