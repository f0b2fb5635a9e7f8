"""Names go out under their upstream's alias and find their way back."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.routing import MAX_CUT, MAX_NAME, MAX_OWN, MAX_URI, Names, Origins, expose, split

ACCEPTED = re.compile(r"[A-Za-z0-9_-]{1,64}")
aliases = st.from_regex(r"[A-Za-z0-9-]{1,10}(_[A-Za-z0-9-]{1,10}){0,1}", fullmatch=True)


@pytest.mark.parametrize(
    ("alias", "name", "exposed"),
    [
        pytest.param("git", "log", "git__log", id="a name that fits is put behind its alias"),
        pytest.param("git", "_log", "git___log", id="a name that begins with the separator's letter"),
        pytest.param("git", "a__b", "git__a__b", id="a name that holds the separator"),
        pytest.param("git", "x" * 59, "git__" + "x" * 59, id="64 letters fit"),
        pytest.param("git", "x" * 60, "git__" + "x" * 50 + "_be9180b6", id="65 letters are cut"),
        pytest.param("git", "log.all", "git__log_all_01fd0416", id="a dot is replaced, and the hash tells it apart"),
    ],
)
def test_exposed(alias: str, name: str, exposed: str) -> None:
    assert expose(alias, name) == exposed


@given(aliases, st.text(min_size=1, max_size=100))
def test_every_exposed_name_is_one_that_model_apis_accept_and_leads_back_to_its_alias(alias: str, name: str) -> None:
    exposed = expose(alias, name)
    assert ACCEPTED.fullmatch(exposed)
    assert exposed == expose(alias, name)
    parts = split(exposed)
    assert parts is not None
    assert parts[0] == alias


@given(aliases, st.lists(st.text(alphabet="ab.é ", min_size=1, max_size=90), unique=True, max_size=8))
def test_names_that_were_exposed_find_their_way_back(alias: str, given_names: list[str]) -> None:
    names = Names(alias, prefixed=True)
    exposed = [names.exposed(name) for name in given_names]
    assert len(set(exposed)) == len(given_names)
    assert [names.own(name) for name in exposed] == given_names


@pytest.mark.parametrize(
    ("exposed", "parts"),
    [
        ("git__log", ("git", "log")),
        ("git___log", ("git", "_log")),
        ("git__a__b", ("git", "a__b")),
        ("log", None),
        ("git_log", None),
        ("__log", None),
        ("git__", None),
        ("", None),
    ],
)
def test_split(exposed: str, parts: tuple[str, str] | None) -> None:
    assert split(exposed) == parts


def test_with_one_upstream_names_stay_as_they_are() -> None:
    names = Names("git", prefixed=False)
    odd = "any name, however odd" * 10
    assert names.exposed(odd) == odd
    assert names.own(odd) == odd
    assert names.own("git__log") == "git__log"


def test_a_name_that_was_never_shown_is_taken_without_its_alias() -> None:
    assert Names("git", prefixed=True).own("git__log") == "log"


def test_a_name_that_a_caller_invents_is_not_remembered() -> None:
    names = Names("git", prefixed=True)
    invented = names.exposed("log.all", listed=False)
    assert invented == names.exposed("log.all", listed=False) == expose("git", "log.all")
    assert names.own(invented) == invented.removeprefix("git__")
    assert names.exposed("log.all") == invented
    assert names.own(invented) == "log.all"


def test_who_was_listed_first_keeps_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseboard.routing.expose", lambda alias, name: "git__same_01234567")
    names = Names("git", prefixed=True)
    assert names.exposed("log.all") == names.exposed("log?all") == "git__same_01234567"
    assert names.own("git__same_01234567") == "log.all"


def test_however_many_names_are_listed_the_newest_are_remembered() -> None:
    names = Names("git", prefixed=True)
    for n in range(MAX_CUT + 100):
        names.exposed(f"log.{n}")
    assert len(names._cut) == MAX_CUT
    assert names.own(names.exposed(f"log.{MAX_CUT}", listed=False)) == f"log.{MAX_CUT}"
    huge = "x" * (MAX_OWN + 1)
    assert names.own(names.exposed(huge)) != huge


def test_the_longest_alias_still_leaves_room_for_a_name() -> None:
    assert len(expose("a" * 32, "x" * 100)) == MAX_NAME
    assert split(expose("a" * 32, "x" * 100)) is not None


# Resources.


def test_a_uri_belongs_to_whoever_listed_it_first() -> None:
    origins = Origins()
    origins.remember("file:///a", "one")
    origins.remember("file:///a", "two")
    assert origins.find("file:///a") == "one"
    assert origins.find("file:///b") is None


@pytest.mark.parametrize(
    ("template", "uri", "fits"),
    [
        pytest.param("file:///{name}", "file:///a.txt", True, id="an expression is one segment"),
        pytest.param("file:///{name}", "file:///a/b", False, id="and not two"),
        pytest.param("file:///{name}", "file:///", True, id="or none"),
        pytest.param("file:///{+path}", "file:///a/b?c#d", True, id="reserved expansion is anything"),
        pytest.param("x://h{/path*}", "x://h/a/b", True, id="path expansion is anything"),
        pytest.param("x://h{?q,r}", "x://h?q=1&r=2", True, id="query expansion is anything"),
        pytest.param("x://{a}/{b}.md", "x://1/2.md", True, id="several expressions"),
        pytest.param("x://{a}/{b}.md", "x://1/2.txt", False, id="what stands between them counts"),
        pytest.param("x://{a}-{b}", "x://1-2-3", True, id="a separator that may stand in a value"),
        pytest.param("x://{a}aab", "x://aaaab", True, id="a value that looks like what follows"),
        pytest.param("x://a.c", "x://abc", False, id="a dot is a dot"),
        pytest.param("x://a(b", "x://a(b", True, id="a template is no regular expression"),
        pytest.param("x://{}", "x://{}", True, id="empty braces are no expression"),
        pytest.param("x://{a}", "x://%0A\n", True, id="any character may stand in a value"),
        pytest.param("x://{a}", "xx://b", False, id="the whole URI has to fit"),
        pytest.param("x://{a}b", "x://bc", False, id="to its end"),
    ],
)
def test_a_uri_that_nobody_listed_belongs_to_whose_template_it_fits(template: str, uri: str, fits: bool) -> None:
    origins = Origins()
    origins.remember_template(template, "one")
    origins.remember_template(template, "two")
    assert origins.find(uri) == ("one" if fits else None)


segments = st.sampled_from(["a", "b", "ab", "/", "?", "{x}", "{+x}", "{_y}", "{/z}"])


@given(st.lists(segments, max_size=6), st.text(alphabet="ab/?", max_size=10))
def test_templates_fit_as_the_regular_expression_of_the_same_meaning_would(parts: list[str], uri: str) -> None:
    meaning = {"{x}": "[^/?#]*", "{_y}": "[^/?#]*", "{+x}": ".*", "{/z}": ".*"}
    pattern = "".join(meaning.get(part) or re.escape(part) for part in parts)
    origins = Origins()
    origins.remember_template("".join(parts), "one")
    assert (origins.find(uri) is not None) == (re.fullmatch(pattern, uri) is not None)


def test_no_template_of_an_upstream_s_making_keeps_the_proxy_busy() -> None:
    """As a regular expression this one would not end in a lifetime."""
    origins = Origins()
    origins.remember_template("{+a}" + "x{+b}" * 12 + "y", "one")
    origins.remember_template("{a}" + "x{b}" * 12 + "y", "one")
    began = time.process_time()
    assert origins.find("x" * MAX_URI) is None
    assert time.process_time() - began < 5


def test_a_uri_longer_than_any_server_takes_is_not_tried_on_templates() -> None:
    origins = Origins()
    origins.remember_template("x://{+a}", "one")
    long = "x://" + "a" * MAX_URI
    assert origins.find(long) is None
    origins.remember(long, "two")
    assert origins.find(long) == "two"


def test_what_several_list_is_the_first_one_s_as_configured_whoever_answered_first() -> None:
    origins = Origins(["one", "two"])
    for remember in (origins.remember, origins.remember_template):
        remember("x://{a}", "two")
        remember("x://{a}", "one")
        remember("x://{a}", "two")
    assert origins.listed("x://{a}") == origins.of_template("x://{a}") == "one"


def test_a_uri_that_two_templates_fit_is_the_first_one_s_as_configured() -> None:
    origins = Origins(["one", "two"])
    origins.remember_template("x://t/{a}", "two")
    origins.remember_template("x://{+a}", "one")
    assert origins.find("x://t/7") == "one"
    assert origins.of_template("x://t/{a}") == "two"
    origins.remember("x://t/7", "two")
    assert origins.find("x://t/7") == "two"


def test_however_many_resources_are_listed_the_newest_are_remembered() -> None:
    origins = Origins(["one"], limit=10)
    for n in range(100):
        origins.remember(f"x://{n}", "one")
        origins.remember_template(f"y://{n}/{{a}}", "one")
    assert [origins.listed(f"x://{n}") for n in (0, 89, 90, 99)] == [None, None, "one", "one"]
    assert [origins.of_template(f"y://{n}/{{a}}") for n in (89, 90)] == [None, "one"]


def test_of_those_with_a_tool_of_that_view_the_first_is_found() -> None:
    origins = Origins(["a", "b"])
    for alias in ("b", "a"):
        origins.remember_view("ui://x", alias)
    assert origins.of_view("ui://x") == "a"
    assert origins.of_view("ui://y") is None
    assert origins.find("ui://x") is None  # for that, somebody has to list it
