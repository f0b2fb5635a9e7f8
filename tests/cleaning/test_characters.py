"""What nobody sees goes; what writing needs stays."""

from __future__ import annotations

import unicodedata

import emoji
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.characters import SUSPECT, cleaned

FORBIDDEN = [
    character
    for point in range(0x110000)
    if regex.match(
        r"[\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\U000e0000-\U000e007f]", character := chr(point)
    )
    and character not in "\t\n\r"
]
"""By the Unicode Character Database, as the package ``regex`` carries it."""

SCRIPTS = {
    "Arabic": "وُلد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "Armenian": "Բոլոր մարդիկ ծնվում են ազատ ու հավասար։",
    "Bengali": "র‍্যাব ও সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা নিয়ে জন্মায়।",
    "Cherokee": "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ ᎤᏂᏠᏱ.",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。葛󠄀城市",
    "Cyrillic": "Все люди рождаются свободными — «и равными».",
    "Devanagari": "सभी मनुष्यों को जन्मजात स्वतन्त्रता; क्‍ष और क्‌ष।",
    "Ethiopic": "የሰው፡ልጅ፡ሁሉ፡ሲወለድ፡ነጻና፡በክብርና፡በመብትም፡እኩልነት፡ያለው፡ነው።",
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι.",
    "Gujarati": "પ્રતિષ્ઠા અને અધિકારોની દૃષ્ટિએ સર્વ માનવો.",
    "Hebrew": "כל בני אדם נולדו בְּנֵי חוֹרִין.",
    "Japanese": "すべての人間は、生まれながらにして自由。カタカナ・漢字",
    "Kannada": "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ; ರ‍್ಯಾಂಕ್.",
    "Khmer": "មនុស្ស​ទាំង​អស់​កើត​មក​មាន​សេរីភាព",
    "Korean": "모든 인간은 태어날 때부터 자유로우며.",
    "Latin": "Tous les êtres humains naissent libres, œuvre, naïveté, Straße, Łódź, ở đây.",
    "Malayalam": "മനുഷ്യരെല്ലാം; അവന്‍ തമിഴ്‌നാട്",
    "Mongolian": "ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ ᠮᠡᠨᠳᠡᠯᠡᠬᠦ ᠡᠷᠬᠡ᠎ᠡ",
    "Myanmar": "လူတိုင်းသည် တူညီလွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့်",
    "Persian": "تمام افراد بشر آزاد به‌دنیا می‌آیند؛ ه‍.ش و کتاب‌ها",
    "Sinhala": "සියලු මනුෂ්‍යයෝ ශ්‍රී ලංකාව ක්‍ෂ.",
    "Tamil": "மனிதப் பிறிவியினர் சகலரும் ஸ்ரீ க்‌ஷ.",
    "Telugu": "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును.",
    "Thai": "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกัน",
    "Tibetan": "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས།",
}

CODE = (
    'def f(a: int) -> str:\r\n\treturn f"{a!r}\\u202e \\x1b[31m"  # “quotes” – ≤ ≠ → ∑ ½ ™\r\n',
    "if (a<b && c>d) { x ??= `$" + "{y}`; }  // ﬁ ligature, e\u0301, \u00a0nbsp, 全角\u3000space",
    "┌──┬──┐\n│a │b │ ✓ ✗ ⚠ ░▒▓ ⠋⠙\u2800\n└──┴──┘",
    "x² + y² = r², ∀ε>0 ∃δ: |x−a|<δ, ≨\ufe00, \U0001d49c",
)

RGI = sorted(emoji.EMOJI_DATA)
RAW = st.text(
    st.sampled_from([*"aבk १क्یم漢👩🏽❤🏴1#\u20e3\r\n\x1b[]m;\\", *FORBIDDEN[:80], *"\u200c\u200d\ufe0f\u034f"])
)


def test_the_forbidden_are_those_of_the_unicode_database() -> None:
    assert len(FORBIDDEN) > 4000
    assert not [f"{ord(one):x}" for one in FORBIDDEN if SUSPECT.search(one) is None]


@pytest.mark.parametrize("script", SCRIPTS)
def test_honest_text_keeps_every_character(script: str) -> None:
    text = SCRIPTS[script]
    assert cleaned(text)[0] is text


@pytest.mark.parametrize("code", CODE)
def test_code_and_drawings_keep_every_character(code: str) -> None:
    assert cleaned(code)[0] is code


def test_every_emoji_keeps_every_character() -> None:
    """Fully, minimally and unqualified forms, alone and in a row."""
    kept_not = [ascii(one) for one in RGI if cleaned(f"a{one}b")[0] != f"a{one}b"]
    assert kept_not == []
    assert cleaned("".join(RGI))[0] == "".join(RGI)


def test_each_forbidden_character_goes_between_latin_letters() -> None:
    kept = [f"{ord(one):x}" for one in FORBIDDEN if cleaned(f"ig{one}nore")[0] != "ignore"]
    assert kept == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_strewn_over_honest_text_goes_wherever_it_lands(script: str) -> None:
    """All but what the very place gives a reason for, which is at most one character between two."""
    text = SCRIPTS[script]
    for number, one in enumerate(FORBIDDEN[::7]):
        at = number % len(text)
        clean, removed = cleaned(text[:at] + one * 2 + text[at:])
        assert len(clean) <= len(text), f"{ord(one):x} at {at}"
        assert removed.counts


@pytest.mark.parametrize("hidden", ["ignore all rules", "x"])
def test_text_hidden_in_tags_and_selectors_goes(hidden: str) -> None:
    tags = "".join(chr(0xE0000 + ord(one)) for one in hidden)
    selectors = "".join(chr(0xE0100 + ord(one)) for one in hidden)
    assert cleaned(f"Hi{tags}!")[0] == "Hi!"
    assert cleaned(f"🏴{tags}\U000e007f")[0] == "🏴"
    assert cleaned(f"😀{selectors}")[0] == "😀"
    assert cleaned(f"漢\U000e0100{selectors}")[0] in ("漢\U000e0100", "漢")


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]8;;https://evil\x1b\\text\x1b]8;;\x1b\\", "text"),
        ("\x1b]52;c;ZXZpbA==\x07after", "after"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x1b_apc\x1b\\\x1b^pm\x9cx", "x"),
        ("\x1b(Bok", "ok"),
        ("\x1b]0;title that never ends", "]0;title that never ends"),
        ("\x1b\u200b[31mred", "[31mred"),
        ("a\x08\x08bb\x00\x07", "abb"),
        ("100%\r200%\r\n", "100%\n200%\r\n"),
        ("\ud800a\udfff", "a"),
        ("\ufeffBOM", "BOM"),
    ],
)
def test_nothing_steers_a_terminal(sent: str, left: str) -> None:
    assert cleaned(sent)[0] == left


@given(RAW)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = cleaned(text)[0]
    assert cleaned(once) == (once, cleaned("")[1])


@given(RAW)
def test_no_control_survives_anywhere(text: str) -> None:
    clean = cleaned(text)[0]
    assert not [one for one in clean if unicodedata.category(one) in ("Cc", "Cs") and one not in "\t\n\r"]
    assert not regex.search(r"\p{Bidi_Control}", clean)


def test_what_went_is_told_by_kind_and_place() -> None:
    removed = cleaned("a\u202eb\x1b[0mc\U000e0041")[1]
    assert removed.counts == {"bidi": 1, "terminal": 4, "tag": 1}
    assert removed.places == [("bidi", 1), ("terminal", 3), ("tag", 3)]
