import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import rest
from fuseboard.rest import JSON, TEXT, Page, Place, contents, document, linked, page, place
from fuseboard.vault import RESULT
from support.vaulting import kept


def result(*texts: str, **more: object) -> bytes:
    return json.dumps({"content": [{"type": "text", "text": text} for text in texts], **more}).encode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Place()),
        ("from=12", Place(12)),
        ("block=2", Place(0, 2)),
        ("from=5&block=0", Place(5, 0)),
        ("from=-1", None),
        ("from=١", None),
        ("from=1e3", None),
        ("from=9999999999999", None),
        ("from", None),
        ("from=1&to=2", None),
        ("a=1&b=2&c=3&d=4&e=5", None),
    ],
)
def test_a_place_is_a_byte_and_perhaps_a_block(query: str, expected: Place | None) -> None:
    assert place(query) == expected


def test_a_result_of_texts_is_their_text() -> None:
    assert document(result("one", "two"), "tools/call") == (TEXT, b"one\ntwo")


def test_a_result_of_more_is_given_as_it_is() -> None:
    raw = json.dumps(
        {"content": [{"type": "text", "text": "a"}, {"type": "image", "data": "", "mimeType": "x"}]}
    ).encode()
    assert document(raw, "tools/call") == (JSON, raw)
    assert document(raw, "tools/call", block=0) == (TEXT, b"a")
    shown = document(raw, "tools/call", block=1)
    assert shown is not None
    assert json.loads(shown.raw)["type"] == "image"
    assert document(raw, "tools/call", block=2) is None


def test_structured_content_alone_is_given_as_it_is() -> None:
    raw = b'{"content":[],"structuredContent":{"a":1}}'
    assert document(raw, "tools/call") == (JSON, raw)


def test_prompts_and_resources_have_their_text_elsewhere() -> None:
    messages = json.dumps({"messages": [{"role": "user", "content": {"type": "text", "text": "hello"}}]}).encode()
    assert document(messages, "prompts/get") == (TEXT, b"hello")
    found = json.dumps({"contents": [{"uri": "a:b", "text": "page"}]}).encode()
    assert document(found, "resources/read") == (TEXT, b"page")
    blob = json.dumps({"contents": [{"uri": "a:b", "blob": "AAAA"}]}).encode()
    assert document(blob, "resources/read") == (JSON, blob)


def test_an_error_is_given_as_it_is() -> None:
    assert document(b'{"code":1}', "tools/call", failure=True) == (JSON, b'{"code":1}')
    assert document(b'{"code":1}', "tools/call", failure=True, block=0) is None


@given(st.text(st.characters(codec="utf-8"), max_size=3000), st.integers(500, 2000))
def test_all_pages_in_a_row_are_the_whole(text: str, most_bytes: int) -> None:
    whole, at, parts = text.encode(), 0, []
    while True:
        shown = page(whole, at, most_bytes)
        assert shown is not None
        assert shown.start == at
        assert len(json.dumps(shown.text, ensure_ascii=False).encode()) <= most_bytes
        parts.append(shown.text)
        at = shown.end
        if at == len(whole):
            break
    assert "".join(parts) == text
    assert page(whole, at + 1, most_bytes) is None


def test_a_place_within_a_character_is_where_it_begins() -> None:
    shown = page("aé".encode(), 2, 1000)
    assert shown == Page("é", 1, 3, 3)


def test_a_page_says_what_it_is_and_how_to_go_on() -> None:
    shown = json.loads(contents("fuseboard://result/d-1?from=10", TEXT, Page("abc", 10, 13, 20)))["contents"]
    assert shown[0]["text"] == "abc"
    assert shown[1]["text"] == "[fuseboard: bytes 10 to 13 of 20; go on with fuseboard://result/d-1?from=13]"
    (last, told) = json.loads(contents("fuseboard://result/d-1?from=13", TEXT, Page("x", 13, 14, 14), block=2))[
        "contents"
    ]
    assert (last["text"], told["text"]) == ("x", "[fuseboard: bytes 13 to 14 of 14, the end]")


def test_what_fits_on_one_page_has_nothing_beside_it() -> None:
    (only,) = json.loads(contents("fuseboard://result/d-1", TEXT, Page("abc", 0, 3, 3)))["contents"]
    assert only == {"uri": "fuseboard://result/d-1", "mimeType": "text/plain", "text": "abc"}


def test_a_page_of_a_block_goes_on_in_that_block() -> None:
    shown = json.loads(contents("fuseboard://result/d-1?block=2", TEXT, Page("abc", 0, 3, 20), block=2))["contents"]
    assert "?from=3&block=2" in shown[1]["text"]


def test_a_link_stands_behind_the_result_and_leaves_the_rest_alone() -> None:
    raw = b'{"content":[{"type":"text","text":"cut"}],"isError":false,"vendor":1.10}'
    after = linked(raw, kept("d-1", RESULT, size_bytes=9), TEXT)
    assert b'"vendor":1.10' in after
    *before, link = json.loads(after)["content"]
    assert before == [{"type": "text", "text": "cut"}]
    assert (link["type"], link["uri"], link["size"]) == ("resource_link", "fuseboard://result/d-1", 9)
    assert link["name"] == "all of web__fetch's result"


def test_a_link_needs_no_content_to_stand_behind() -> None:
    (link,) = json.loads(linked(b'{"structuredContent":{}}', kept("d-1", RESULT), JSON))["content"]
    assert link["mimeType"] == JSON


def test_what_is_no_utf_8_is_paged_to_its_end_all_the_same() -> None:
    raw = b'{"content":[{"type":"image","data":"%b"}]}' % (b"\x80\xff" * 2000)
    for failure in (False, True):
        document = rest.document(raw, "tools/call", failure=failure)
        assert document is not None
        start, text = 0, ""
        while (page := rest.page(document.raw, start, 1000)) is not None and page.end > start:
            text, start = text + page.text, page.end
        assert text == raw.decode("utf-8", "replace")
        assert rest.page(document.raw, 37, 1000) is not None
