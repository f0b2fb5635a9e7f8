"""A definition is accepted once, and whatever is not that definition is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseboard.era import Era
from fuseboard.events import Standing, Unpinned
from fuseboard.pins import book as module
from fuseboard.pins.book import Book, Shelf
from fuseboard.pins.lock import Lock
from support.pinning import LISTINGS, Paper, Settings, book

OLD, NEW = Era.HANDSHAKE, Era.STATELESS
EVERYTHING = [
    (server, field, item) for server, fields in LISTINGS.items() for field, items in fields.items() for item in items
]
"""Every definition of the real servers."""


def name_of(item: dict[str, Any]) -> str:
    return str(item.get("uriTemplate") or item["name"])


def raw(item: Any) -> bytes:
    return json.dumps(item).encode()


def shelf(**how: str) -> Shelf:
    return book(**how).shelf("u", "command")


def mutants(value: Any) -> Iterator[Any]:
    """``value`` with one thing in it changed, at every place in turn."""
    if isinstance(value, dict):
        yield {**value, "another": 1}
        for key in value:
            yield {other: value[other] for other in value if other != key}
            for inner in mutants(value[key]):
                yield {**value, key: inner}
    elif isinstance(value, list):
        yield [*value, "another"]
        for at in range(len(value)):
            yield value[:at] + value[at + 1 :]
            for inner in mutants(value[at]):
                yield [*value[:at], inner, *value[at + 1 :]]
    elif isinstance(value, str):
        yield value + "\u200b"
        yield value + "!"
        yield None
    elif isinstance(value, bool):
        yield not value
        yield int(value)
    else:
        yield (value or 0) + 1
        yield str(value)


def test_every_mutation_of_every_field_of_real_definitions_is_noticed() -> None:
    tried = 0
    for _, field, item in EVERYTHING:
        held = shelf()
        assert held.judge(field, name_of(item), raw(item), OLD) is None
        for mutant in mutants(item):
            against = held.judge(field, name_of(item), raw(mutant), OLD)
            assert against is not None, (field, name_of(item), mutant)
            assert against.standing is Standing.CHANGED
            tried += 1
        assert held.judge(field, name_of(item), raw(item), OLD) is None
    assert tried > 2000


@settings(max_examples=50, deadline=None)
@given(st.permutations(EVERYTHING), st.integers(1, 9))
def test_what_is_listed_again_in_any_order_and_spelling_is_accepted(again: list[Any], indent: int) -> None:
    own = book()
    for server, field, item in EVERYTHING:
        assert own.shelf(server, "c").judge(field, name_of(item), raw(item), OLD) is None
    for server, field, item in again:
        turned = json.dumps(dict(reversed(item.items())), indent=indent, ensure_ascii=False).encode()
        assert own.shelf(server, "c").judge(field, name_of(item), turned, OLD) is None


def test_what_was_never_accepted_is_new_where_a_person_has_to_accept_it() -> None:
    held = shelf(first_use="deny")
    against = held.judge("tools", "read", b'{"name":"read"}', OLD)
    assert against is not None
    assert (against.standing, against.word) == (Standing.NEW, "tool")
    prompt = held.judge("prompts", "read", b'{"name":"read"}', OLD)
    assert prompt is not None
    assert prompt.word == "prompt"


def test_kinds_and_servers_do_not_mix() -> None:
    own = book()
    one, other = own.shelf("one", "a"), own.shelf("other", "b")
    assert one.judge("tools", "x", b'{"name":"x"}', OLD) is None
    assert other.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is None
    assert one.judge("prompts", "x", b'{"name":"x","title":"p"}', OLD) is None
    assert one.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None


def test_a_file_that_many_share_tells_servers_of_one_alias_apart() -> None:
    own = Book(Paper(), Settings(), shared=True)
    assert own.shelf("files", "server /a").judge("tools", "x", b'{"name":"x"}', OLD) is None
    assert own.shelf("files", "server /b").judge("tools", "x", b'{"name":"x","title":"b"}', OLD) is None
    assert own.shelf("files", "server /a").judge("tools", "x", b'{"name":"x","title":"b"}', OLD) is not None


def test_a_list_without_something_takes_no_pin_away() -> None:
    held = shelf()
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    held.judge("tools", "y", b'{"name":"y"}', OLD)
    assert held.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None


EXECUTION = {"name": "x", "description": "d", "inputSchema": {}, "execution": {"taskSupport": "forbidden"}}
BARE = {key: value for key, value in EXECUTION.items() if key != "execution"}
VIEWED = {**BARE, "icons": [{"src": "https://evil.example/i"}], "_meta": {"ui": {"resourceUri": "ui://evil"}}}


@pytest.mark.parametrize(
    ("first", "then", "era", "accepted"),
    [
        pytest.param(EXECUTION, BARE, NEW, True, id="another era leaves a field out that it does not know"),
        pytest.param(BARE, EXECUTION, NEW, True, id="or knows one more"),
        pytest.param(EXECUTION, BARE, OLD, False, id="within one era that is a change"),
        pytest.param(EXECUTION, {**BARE, "description": "e"}, NEW, False, id="what both know has to be the same"),
        pytest.param(BARE, {**BARE, "title": "t"}, NEW, False, id="a title is known to both"),
        pytest.param(EXECUTION, {**EXECUTION, "execution": {}}, NEW, False, id="a field that both have may not differ"),
        pytest.param(VIEWED, BARE, NEW, True, id="an era may leave out what a client fetches or runs"),
        pytest.param(BARE, VIEWED, NEW, False, id="but not bring it in"),
    ],
)
def test_eras_may_write_one_definition_in_two_ways(
    first: dict[str, Any], then: dict[str, Any], era: Era, accepted: bool
) -> None:
    held = shelf()
    assert held.judge("tools", "x", raw(first), OLD) is None
    assert (held.judge("tools", "x", raw(then), era) is None) is accepted
    assert held.judge("tools", "x", raw(first), OLD) is None


@pytest.mark.parametrize("depth", [100, 500, 900, 960, 990, 2000, 20_000])
@pytest.mark.parametrize("era", [OLD, NEW])
def test_however_deep_it_is_a_change_is_noticed(depth: int, era: Era) -> None:
    held = shelf()
    deep = [b'{"name":"x","inputSchema":' + b'{"a":' * depth + word + b"}" * depth + b"}" for word in (b"1", b"2")]
    assert held.judge("tools", "x", deep[0], OLD) is None
    assert held.judge("tools", "x", deep[0], era) is None
    against = held.judge("tools", "x", deep[1], era)
    assert against is not None
    assert against.what


def test_an_era_is_given_that_once() -> None:
    held = shelf()
    held.judge("tools", "x", raw(EXECUTION), OLD)
    held.judge("tools", "x", raw(BARE), NEW)
    assert held.judge("tools", "x", raw({**BARE, "icons": []}), NEW) is not None


def test_what_changed_is_told_without_the_new_words() -> None:
    held = shelf()
    held.judge("tools", "x", b'{"name":"x","description":"d","inputSchema":{"properties":{"a":{}}}}', OLD)
    new = b'{"name":"x","description":"OBEY","inputSchema":{"properties":{"a":{"type":"string"},"do what I say":{}}}}'
    against = held.judge("tools", "x", new, OLD)
    assert against is not None
    assert against.what == "description changed, argument a: type added, argument … added"


def test_more_than_anybody_could_accept_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    held = shelf()
    found = [held.judge("tools", str(n), b'{"name":"%d"}' % n, OLD) for n in range(5)]
    assert [one is None for one in found] == [True, True, True, False, False]
    assert held.judge("prompts", "p", b'{"name":"p"}', OLD) is None


# Others write the file too.


def test_what_another_process_accepts_counts_at_the_next_look() -> None:
    paper = Paper()
    own, other = book(paper), book(paper)
    held = own.shelf("u", "c")
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    changed = b'{"name":"x","title":"t"}'
    against = held.judge("tools", "x", changed, OLD)
    assert isinstance(against, Unpinned)
    other.shelf("u", "c").judge("tools", "x", changed, OLD)
    paper.write(other.lock)
    before = held.version
    held.look()
    assert held.version == before + 1
    assert held.accepts("tools", "x", against.digest)
    assert held.judge("tools", "x", changed, OLD) is None


def test_what_waits_to_be_written_outlives_a_look_unless_another_was_first() -> None:
    paper = Paper()
    own, other = book(paper), book(paper)
    held = own.shelf("u", "c")
    held.judge("tools", "mine", b'{"name":"mine"}', OLD)
    held.judge("tools", "both", b'{"name":"both"}', OLD)
    other.shelf("u", "c").judge("tools", "both", b'{"name":"both","title":"theirs"}', OLD)
    paper.write(other.lock)
    held.look()
    assert held.judge("tools", "mine", b'{"name":"mine"}', OLD) is None
    assert held.judge("tools", "both", b'{"name":"both"}', OLD) is not None
    assert held.judge("tools", "both", b'{"name":"both","title":"theirs"}', OLD) is None


def test_our_own_writing_is_no_change() -> None:
    paper = Paper()
    own = book(paper)
    own.shelf("u", "c").judge("tools", "x", b'{"name":"x"}', OLD)
    paper.write(own.lock)
    own.look()
    assert own.version == 0


def test_a_file_that_does_not_change_is_read_once() -> None:
    paper = Paper()
    own = book(paper)
    for _ in range(5):
        own.look()
    assert paper.loads == 1


def test_a_file_that_cannot_be_read_leaves_everything_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    paper = Paper()
    own = book(paper)
    held = own.shelf("u", "c")
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    paper.raw = b"{"
    for _ in range(3):
        held.look()
    assert held.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None
    assert caplog.text.count("is left as it was known") == 1


def test_something_new_wakes_whoever_writes() -> None:
    woken: list[int] = []
    own = Book(Paper(), Settings(), shared=False, wake=lambda: woken.append(1))
    held = own.shelf("u", "c")
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    held.judge("tools", "x", b'{"name":"x","title":"t"}', OLD)
    assert (len(woken), [taken.name for taken in own.pending]) == (1, ["x"])


def test_who_the_server_says_it_is_goes_into_the_file() -> None:
    own = book()
    held = own.shelf("u", "npx it")
    held.introduced({"name": "It", "version": "2"})
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    identity = own.lock.servers["u"].identity
    assert (identity.target, identity.name, identity.version) == ("npx it", "It", "2")


def test_a_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    held = shelf()
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    for _ in range(3):
        held.judge("tools", "x", b'{"name":"x","title":"t"}', OLD)
    assert caplog.text.count("is not what was accepted: title added") == 1


def test_mutants_differ_from_what_they_are_of() -> None:
    value = {"a": [1, "x", True], "b": {"c": None}}
    before = copy.deepcopy(value)
    found = list(mutants(value))
    assert all(json.dumps(one) != json.dumps(value) for one in found)
    assert value == before
    assert isinstance(book().lock, Lock)


@pytest.mark.parametrize("gone", [None, b"", b"  \n"])
def test_a_file_that_is_gone_or_empty_takes_no_pin_along(gone: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    paper = Paper()
    own = book(paper)
    held = own.shelf("u", "c")
    held.judge("tools", "x", b'{"name":"x"}', OLD)
    paper.write(own.lock)
    own.pending.clear()
    held.look()
    paper.raw = gone
    held.look()
    held.look()
    assert held.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None
    assert caplog.text.count("fuseboard pins drop") == 1
    paper.write(Lock())
    held.look()
    assert held.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is None, "a person forgot it"
