from __future__ import annotations

import re
from collections.abc import Callable
from time import perf_counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fuseboard.cedar import paths
from fuseboard.cedar.paths import (
    canonical,
    canonical_arguments,
    canonical_uri,
    is_path_like,
    spelt_out,
    veiled,
    veiled_argument,
)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        pytest.param("/data/out/../../etc/passwd", "/etc/passwd", id="dots climb"),
        pytest.param("/../../etc", "/etc", id="nothing lies above the root"),
        pytest.param("//etc//passwd", "/etc/passwd", id="empty segments vanish, two leading ones too"),
        pytest.param("/home/ana/.ssh/", "/home/ana/.ssh", id="a closing slash is one spelling too many"),
        pytest.param("./a/./b", "a/b", id="single dots vanish"),
        pytest.param("a/..", ".", id="a folder's way back is the folder itself"),
        pytest.param("a/../../x", "../x", id="what climbs out of a relative path stays"),
        pytest.param("~/../x", "~/../x", id="only the upstream knows what lies above a home"),
        pytest.param("~/a/../.ssh", "~/.ssh", id="below a home, dots resolve"),
        pytest.param("a/../~/x", "./~/x", id="a folder called ~ does not become a home"),
        pytest.param("/data/%2e%2e/etc", "/etc", id="encoded dots are dots"),
        pytest.param("/data%2f..%2fetc", "/etc", id="encoded slashes are slashes"),
        pytest.param("%2%65%2e/x", "../x", id="decoding goes on to the end"),
        pytest.param("/home/.%73sh/id", "/home/.ssh/id", id="encoded letters are letters"),
        pytest.param("/a%20b/100%", "/a%20b/100%", id="what a file name may mean stays"),
        pytest.param("/data/..\\..\\etc", "/etc", id="backslashes separate"),
        pytest.param("C:\\Users\\ana\\..\\bob", "C:/Users/bob", id="a drive keeps its letter"),
        pytest.param("/a/b\\ c", "/a/b\\ c", id="a shell's escape stays"),
        pytest.param("/data\x00/../etc", "/etc", id="a NUL cuts nothing off"),
        pytest.param("", "", id="nothing stays nothing"),
        pytest.param("file:///data/%2e%2e/etc", "file:///etc", id="file URI: encoded dots"),
        pytest.param("FILE://localhost/a//b", "file:///a/b", id="file URI: scheme and host have one spelling"),
        pytest.param("file:///a b/é", "file:///a%20b/%C3%A9", id="file URI: what needs encoding is encoded"),
        pytest.param("file:///d?/../../etc", "file:///etc", id="file URI: a question mark hides no dots"),
        pytest.param("HTTPS://API.GitHub.com/a/../b", "https://api.github.com/b", id="URL: host and dots"),
        pytest.param("https://good.com\\@evil.com", "https://good.com/@evil.com", id="URL: a backslash ends the host"),
        pytest.param("https://h/a//b/", "https://h/a//b/", id="URL: empty segments mean something"),
        pytest.param("demo://Static/x", "demo://Static/x", id="an own scheme's authority keeps its letters"),
    ],
)
def test_each_place_has_one_spelling(written: str, plain: str) -> None:
    assert canonical(written) == plain


_SPELLINGS = st.builds(
    str.__add__,
    st.sampled_from(["", "/", "~/", "C:", "file:", "file://", "https://h", "x://", "\\\\"]),
    st.text("/\\.~%2efFcC:a @?#", max_size=16),
)


@given(_SPELLINGS)
def test_the_one_spelling_of_the_one_spelling_is_itself(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


_SEGMENTS = st.sampled_from(
    ["file:", "FILE:x", "c:", "C:x", "ab:", "fil%65:x", "%43:", "%7e", "~", "..", ".", "", "x:y"]
)


@given(st.lists(_SEGMENTS, max_size=6), st.sampled_from(["/", "\\"]))
def test_nor_does_a_colon_in_a_segment_turn_it_into_a_scheme_or_a_drive(segments: list[str], separator: str) -> None:
    plain = canonical(separator.join(segments))
    assert canonical(plain) == plain


def test_what_was_a_plain_name_stays_one() -> None:
    assert canonical("ab:/../file:x") == "./file:x"
    assert canonical("fil%65:/x") == "./file:/x"


_ESCAPES = st.text("%2356ef1F/", max_size=14)


@given(_ESCAPES)
def test_decoding_in_one_walk_is_decoding_until_nothing_changes(text: str) -> None:
    def character(match: re.Match[str]) -> str:
        char = chr(int(match[1], 16))
        return char if re.fullmatch(r"[A-Za-z0-9._~/\\-]", char) else match[0].upper()

    before, decoded = "", text
    while decoded != before:
        before, decoded = decoded, re.sub("%([0-9A-Fa-f]{2})", character, decoded)
    parts = decoded.split("/")
    assume(".." not in parts)
    assert canonical(f"/{text}") == "/" + "/".join(part for part in parts if part not in ("", "."))


@pytest.mark.parametrize("knot", [lambda n: "%6" + "%3" * n + "%31", lambda n: "%" * n + "3" * n], ids=["%3%3", "%%33"])
def test_decoding_takes_time_in_proportion(knot: Callable[[int], str]) -> None:
    def seconds(n: int) -> float:
        text = "/a" + knot(n)
        times = []
        for _ in range(3):
            start = perf_counter()
            canonical(text)
            times.append(perf_counter() - start)
        return min(times)

    assert seconds(80_000) < 6 * seconds(20_000) + 0.05  # a quadratic loop takes sixteen times as long


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("uri", "file:///data/..\n/etc/passwd", True, id="a line end between dots and slash"),
        pytest.param("uri", "file:///data/.\t./etc/passwd", True, id="a tab between dots"),
        pytest.param("url", "htt\rps://evil", True, id="a scheme in two parts"),
        pytest.param("image_url", "/relative\n", True, id="a relative reference"),
        pytest.param("target", " file:///etc/passwd", True, id="a space in front of a URI, by its look"),
        pytest.param("path", "file:///da\nta", True, id="a URI under a key of paths"),
        pytest.param("src", "/data/\n../etc", True, id="a place by its key"),
        pytest.param("target", "/data/x\n/../../etc", True, id="dots after a line end, by its look"),
        pytest.param("target", "/data/x\n/%2e%2e/etc", True, id="encoded dots, too"),
        pytest.param("uri", "file:///data/x", False, id="nothing that is dropped"),
        pytest.param("uri", "file:///a b", False, id="a space inside is encoded, not dropped"),
        pytest.param("path", "/a\n/../b", False, id="a file system drops nothing"),
        pytest.param("source", "// a program\nmain()", False, id="a program is no place"),
        pytest.param("note", "/a\n/b", False, id="lines of text"),
        pytest.param("content", "file:///a\n", False, id="text, whatever it looks like"),
    ],
)
def test_veiled_is_what_a_url_parser_reads_in_another_way(key: str, value: str, expected: bool) -> None:
    assert veiled(key, value) is expected
    assert veiled_argument({"n": 1, key: [{key: value}]}, None) == (key if expected else None)
    assert veiled_argument({key: value}, ["other"]) is None
    if expected:
        assert canonical_arguments({key: value}, None) == {key: value}


@given(_SPELLINGS)
def test_an_absolute_path_never_keeps_dots(text: str) -> None:
    plain = canonical(text)
    if plain.startswith("/"):
        assert not {"", ".", ".."} & set(plain.split("/")[1:]) or plain == "/"


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), max_size=8))
def test_an_absolute_path_resolves_as_a_walk_does(segments: list[str]) -> None:
    walk: list[str] = []
    for segment in segments:
        if segment == "..":
            walk = walk[:-1]
        elif segment not in ("", "."):
            walk.append(segment)
    assert canonical("/" + "/".join(segments)) == "/" + "/".join(walk)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("path", "whatever", True, id="by its key"),
        pytest.param("outputFilePath", "x", True, id="by the end of its key"),
        pytest.param("source_dir", "x", True, id="with underscores"),
        pytest.param("target", "/etc/passwd", True, id="by its look: absolute"),
        pytest.param("target", "a/../b", True, id="by its look: dots"),
        pytest.param("target", "file:///x", True, id="by its look: a file URI"),
        pytest.param("name", "ana", False, id="a plain word is no path"),
        pytest.param("content", "/not/../a path", False, id="text is no path, whatever it looks like"),
        pytest.param("command", "/bin/rm -rf //x", False, id="a command is no path"),
        pytest.param("note", "/a\n/b", False, id="what has lines is no path"),
        pytest.param("path", "/a\n/../b", True, id="unless its key says so"),
    ],
)
def test_path_like(key: str, value: str, expected: bool) -> None:
    assert is_path_like(key, value) is expected


def test_only_named_arguments_change_and_only_if_they_have_to() -> None:
    arguments = {"path": "/a/../b", "other_path": "/c/../d", "paths": ["/ok", "/x/.."], "n": 1}
    assert canonical_arguments(arguments, {"path"}) == {**arguments, "path": "/b"}
    assert canonical_arguments(arguments, {"n", "absent"}) is arguments
    assert canonical_arguments({"path": "/b"}, None) == {"path": "/b"}
    assert canonical_arguments(arguments, None) == {"path": "/b", "other_path": "/d", "paths": ["/ok", "/"], "n": 1}


def test_paths_inside_of_arguments_are_found() -> None:
    arguments = {"edits": [{"path": "/a/./b", "content": "/a/./b"}], "deep": {"file": "x//y"}}
    plain = canonical_arguments(arguments, {"edits", "deep"})
    assert plain == {"edits": [{"path": "/a/b", "content": "/a/./b"}], "deep": {"file": "x/y"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("file:///a b/é", "file:///a%20b/%C3%A9"), ("file:///%C3%A9", "file:///%C3%A9"), ("*/ü?é#~", "*/%C3%BC?%C3%A9#~")],
)
def test_what_a_uri_does_not_hold_is_spelt_out_wherever_it_stands(text: str, expected: str) -> None:
    assert spelt_out(text) == expected


def test_a_text_that_is_no_uri_is_no_business_of_uris() -> None:
    assert canonical_uri("note:a/../b") == "note:a/../b"
    assert canonical_uri("/a/../b") == "/a/../b"


def test_relative_paths_are_told_from_where_they_start_and_others_left_alone() -> None:
    before = {
        "path": ".ssh/id",
        "paths": ["a/b", "/c"],
        "cwd": "~/x",
        "url": "https://a/b",
        "text": "a/b",
        "up": "../x",
    }
    after = paths.anchored_arguments(before, None)
    assert after == {**before, "path": "./.ssh/id", "paths": ["./a/b", "/c"]}
    assert paths.anchored_arguments({"path": "/a"}, None) == {"path": "/a"}
    same = {"path": "./a"}
    assert paths.anchored_arguments(same, None) is same
    assert paths.anchored_arguments(before, ["cwd"]) is before
