"""What people write, in many scripts, and the characters that have no place in it."""

from __future__ import annotations

import regex

FORBIDDEN = [
    character
    for point in range(0x110000)
    if regex.match(
        r"[\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{Cc}\p{Cs}"
        r"\U000e0000-\U000e007f]",
        character := chr(point),
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
