import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.adapters.upstream.events import Event, EventParser, EventTooLarge

LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINES = st.one_of(
    st.just(b""),
    st.sampled_from(
        [b"data", b"data:", b": comment", b"event: message", b"id: 7", b"id", b"retry: 250", b"retry: soon"]
    ),
    st.binary(max_size=12).map(lambda b: b"data: " + b.replace(b"\r", b"").replace(b"\n", b"")),
    st.binary(max_size=12).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"")),
)
STREAMS = st.lists(st.tuples(LINES, LINE_ENDS), max_size=30).map(lambda lines: b"".join(a + b for a, b in lines))


def parse(stream: bytes, cuts: list[int] | None = None) -> tuple[list[Event], str | None, int | None]:
    parser = EventParser()
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts or []), len(stream)]
    events = [event for start, end in pairwise(places) for event in parser.feed(stream[start:end])]
    return events, parser.last_event_id, parser.retry_ms


def by_the_book(stream: bytes) -> list[Event]:
    """The standard's algorithm, on the whole stream at once."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    *lines, _ = re.split(rb"\r\n|\r|\n", stream)
    events, type, data = [], "", b""
    for line in lines:
        if not line:
            if data:
                events.append(Event(type or "message", data[:-1]))
            type, data = "", b""
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if field == b"event":
                type = value.decode("utf-8", "replace")
            elif field == b"data":
                data += value + b"\n"
    return events


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert parse(stream, cuts) == parse(stream)


@given(stream=STREAMS, bom=st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_the_events_are_those_of_the_standards_own_algorithm(stream: bytes, bom: bytes) -> None:
    assert parse(bom + stream)[0] == by_the_book(bom + stream)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: 1\n\n", [Event("message", b"1")], id="plain"),
        pytest.param(b"data:1\r\rdata:2\r\n\r\n", [Event("message", b"1"), Event("message", b"2")], id="any line end"),
        pytest.param(b"data: a\ndata: b\n\n", [Event("message", b"a\nb")], id="lines of data are joined"),
        pytest.param(b"event: endpoint\ndata: /m\n\n", [Event("endpoint", b"/m")], id="a type of its own"),
        pytest.param(b": alive\n\n\n", [], id="comments and blank lines are nothing"),
        pytest.param(b"\xef\xbb\xbfdata: 1\n\n", [Event("message", b"1")], id="a byte order mark is skipped"),
        pytest.param(b"id: 1\ndata:\n\n", [Event("message", b"")], id="empty data primes a stream"),
        pytest.param(b"id: 1\n\n", [], id="an event without data is none"),
        pytest.param(b"data: 1\n", [], id="what the end cuts off is dropped"),
        pytest.param(b"DATA: 1\n\n", [], id="fields are case sensitive"),
        pytest.param(b"data:  1\n\n", [Event("message", b" 1")], id="one space is taken off"),
    ],
)
def test_a_stream_gives_its_events(stream: bytes, events: list[Event]) -> None:
    assert parse(stream)[0] == events


@pytest.mark.parametrize(
    ("stream", "last_event_id"),
    [
        pytest.param(b"id: 1\ndata: x\n\n", "1", id="of a dispatched event"),
        pytest.param(b"id: 1\n\n", "1", id="of an event without data"),
        pytest.param(b"id: 1\ndata: x\n", None, id="an unfinished event gives none"),
        pytest.param(b"id: 1\n\nid: 2\ndata: x\n", "1", id="the last finished one counts"),
        pytest.param(b"id: 1\n\nid\n\n", None, id="an empty id takes it back"),
        pytest.param(b"id: 1\n\nid: a\0b\n\n", "1", id="an id with NUL is ignored"),
        pytest.param(b"id: 1\n\ndata: x\n\n", "1", id="it stays until there is a newer one"),
    ],
)
def test_the_id_to_resume_after(stream: bytes, last_event_id: str | None) -> None:
    assert parse(stream)[1] == last_event_id


@pytest.mark.parametrize(
    ("stream", "retry_ms"),
    [(b"retry: 500\n", 500), (b"retry: 5s\n", None), (b"retry: -1\n", None), (b"retry:\n", None)],
)
def test_the_delay_that_the_server_asks_for(stream: bytes, retry_ms: int | None) -> None:
    assert parse(stream)[2] == retry_ms


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"data: " + b"x" * 200 + b"\n\n"], id="in one line"),
        pytest.param([b"data: xxxxxxxxxxxxxxxxxx\n"] * 20, id="in many lines"),
        pytest.param([b"data: "] + [b"x" * 10] * 20, id="in a line that never ends"),
        pytest.param([b": " + b"x" * 10] + [b"x" * 10] * 20, id="in a comment that never ends"),
        pytest.param([b"id: " + b"x" * 200 + b"\n"], id="in its id"),
    ],
)
def test_an_event_past_the_limit_is_refused(chunks: list[bytes]) -> None:
    parser = EventParser(limit_bytes=100)
    with pytest.raises(EventTooLarge):
        list(map(parser.feed, chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b'data: {"id":7,' + b"x" * 5000 + b"\n\n"], id="in one line"),
        pytest.param([b'data: {"id":7,'] + [b"x" * 10] * 20, id="in a line that never ends"),
        pytest.param([b'data:{"id":7,xxxxxx\n'] * 20, id="in many lines"),
    ],
)
def test_how_an_event_past_the_limit_began_is_known(chunks: list[bytes]) -> None:
    parser = EventParser(limit_bytes=100)
    with pytest.raises(EventTooLarge):
        list(map(parser.feed, chunks))
    assert parser.head().startswith(b'{"id":7,x')
    assert len(parser.head()) <= 1024


def test_what_is_too_large_and_no_data_has_no_head() -> None:
    parser = EventParser(limit_bytes=100)
    with pytest.raises(EventTooLarge):
        parser.feed(b": " + b"x" * 200)
    assert parser.head() == b""


def test_the_limit_is_that_of_one_event_not_of_the_stream() -> None:
    parser = EventParser(limit_bytes=100)
    assert sum(len(parser.feed(b"data: " + b"x" * 80 + b"\n\n")) for _ in range(50)) == 50


def test_a_new_connection_forgets_the_unfinished_event_and_keeps_the_id() -> None:
    parser = EventParser()
    parser.feed(b"id: 1\nretry: 9\ndata: a\n\nid: 2\ndata: b\ndat")
    parser.restart()
    assert parser.feed(b"data: c\n\n") == [Event("message", b"c")]
    assert (parser.last_event_id, parser.retry_ms, parser.dispatched) == ("1", 9, 2)
