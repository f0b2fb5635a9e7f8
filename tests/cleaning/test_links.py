"""Links and images reach no host that is not allowed."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fuseboard.cleaning.links import allowing, disarmed, hosts
from fuseboard.cleaning.quick import Quick
from fuseboard.cleaning.secrets import Secrets

ALLOWED = allowing(["ok.example", "*.ok.example"])
assert ALLOWED is not None
RENDER = MarkdownIt("commonmark", {"html": True})
PIECES = st.lists(
    st.sampled_from(
        [
            "![a]",
            "](",
            "[",
            "]",
            "(",
            ")",
            "//evil.example/x",
            "https://evil.example",
            "<",
            ">",
            '"',
            "'",
            "src=",
            "href=",
            " ",
            "\n",
            "[a]:",
            "https:",
            "- ",
            "> ",
            "javascript:a",
            "\\@",
            "a",
            "url(",
            "\\",
            "`",
            "!",
            "&#47;&#47;evil.example",
            "<img ",
            "<a ",
            "</a>",
            "=",
            "?q=1",
        ]
    ),
    max_size=14,
)

FOREIGN = (
    "![x](https://evil.example/?q=1)",
    '[x](https://evil.example "t")',
    "[x](<https://evil.example/a b>)",
    "[![b](https://evil.example/b.png)](https://evil.example)",
    "[x](//evil.example)",
    "[x]( \n https://evil.example)",
    "[x](https://ok.example@evil.example/)",
    "[x](HTTPS://EVIL.example)",
    "[x](https&#58;//evil.example)",
    "[x](https:\\\\evil.example)",
    "![x][1]\n\n[1]: https://evil.example/x.png",
    "![x][1]\n\n[1]:\n  <https://evil.example/x.png>",
    "<https://evil.example>",
    '<img src="https://evil.example/x.png">',
    "<img src=//evil.example/x.png>",
    "<IMG alt='>' SRC = 'https://evil.example'>",
    '<a href="https://evil.example">x</a>',
    '<img srcset="https://ok.example/x 1x, https://evil.example/x 2x">',
    '<div style="background:url(https://evil.example)">',
    "![x](https:evil.example)",
    "![x](https://ok.example\\@evil.example)",
    "![x](https\\://evil.example)",
    "![x](\\/\\/evil.example)",
    "> - [1]: https://evil.example/x.png\n\n![x][1]",
    "1. [1]: https://evil.example/x.png\n\n   ![x][1]",
    "> [1]:\n> https://evil.example/x.png\n\n![x][1]",
    "[a\nb]: https://evil.example/x.png\n\n![x][a b]",
    "[a\\]b]: https://evil.example/x.png\n\n![x][a\\]b]",
)
RUNS = (
    "[x](javascript:alert(1))",
    "[x](JavaScript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript\\:alert(1))",
    "[x](vbscript:x)",
    "[x](data:text/html,<script>)",
    "![x](data:image/svg+xml;base64,AAAA)",
    "<javascript:alert(1)>",
    "[x](mailto:a@evil.example?body=secret)",
    "<object data=https://evil.example>",
    '<meta http-equiv=refresh content="0;url=https://evil.example">',
    '<style>@import "https://evil.example"</style>',
    "<img lowsrc=https://evil.example>",
)
HONEST = (
    "![x](https://ok.example/x.png)",
    "[x](https://cdn.ok.example:8443/x?y=1#z)",
    "[x](docs/readme.md)",
    "[x](#part)",
    "[x](mailto:a@b.example)",
    "[x](mailto:a@ok.example?subject=hello)",
    "![x](data:image/png;base64,iVBORw0KGgo=)",
    "[x](docs/a\\_b.md)",
    "- [1]: https://ok.example/a",
    "1. see [1]: it is the data: of a list",
    '<meta charset="utf-8">',
    "@import 'styles/a.css'",
    "<https://ok.example>",
    "see https://evil.example, which is text",
    "a[i](j) = b // c",
    "if (a < b) { src = c; } // x",
    '<img src="img/x.png">',
    "array[1]: int",
)


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_link_becomes_text(text: str) -> None:
    clean, places = disarmed(text, ALLOWED)
    assert places
    page = RENDER.render(clean)
    assert not [one for one in ('src="http', 'href="http', 'src="//', 'href="//', "src=//") if one in page.lower()]
    assert "url(" not in page


@pytest.mark.parametrize("text", RUNS)
def test_what_runs_or_carries_a_letter_becomes_text(text: str) -> None:
    clean, places = disarmed(text, ALLOWED)
    assert places
    assert disarmed(clean, ALLOWED) == (clean, [])


@pytest.mark.parametrize("text", [*FOREIGN, *RUNS])
def test_the_quick_look_sees_each_of_them(text: str) -> None:
    quick = Quick(Secrets(()), characters=False, formats=False, addresses=True, media=False, strange=False)
    assert not quick.passes(json.dumps({"content": [{"type": "text", "text": text}]}).encode())


@pytest.mark.parametrize("text", HONEST)
def test_what_is_no_foreign_link_stays(text: str) -> None:
    assert disarmed(text, ALLOWED) == (text, [])


@settings(max_examples=300)
@example(["src=", "url(", "src=", "//evil.example"])
@example(["url(", "\\", "\\", "url(", "//evil.example/x"])
@given(PIECES)
def test_disarming_twice_is_disarming_once(pieces: list[str]) -> None:
    once, _ = disarmed("".join(pieces), ALLOWED)
    assert disarmed(once, ALLOWED)[0] == once


@settings(max_examples=300)
@given(PIECES)
def test_no_renderer_finds_a_foreign_link_in_what_is_left(pieces: list[str]) -> None:
    tokens = MarkdownIt("commonmark").parse(disarmed("".join(pieces), ALLOWED)[0])
    inner = [child for token in tokens for child in token.children or ()]
    targets = [str(one.attrs.get("href") or one.attrs.get("src") or "") for one in inner]
    assert not [one for one in targets if "evil.example" in "".join(hosts(one)) or "javascript:" in hosts(one)]


def test_all_may_be_linked_to_by_default() -> None:
    assert allowing(["*"]) is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://a.example:80/x", ["a.example"]),
        ("https://u:p@a.example", ["a.example"]),
        ("https://[::1]/x", ["[::1]"]),
        ("https:/a.example", ["a.example"]),
        ("https:a.example", ["a.example"]),
        ("https://a.example%2f.b.example", ["?"]),
        ("javascript:alert(1)", ["javascript:"]),
        ("mailto:a@a.example,b@b.example?body=x", ["a.example", "b.example"]),
        ("docs/x", []),
        ("a" * 100_000, []),
    ],
)
def test_the_host_is_the_one_that_a_browser_would_ask(address: str, host: list[str]) -> None:
    assert hosts(address) == host
